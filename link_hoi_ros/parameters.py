"""What the table of parameters gives: declarations, `config/hoi.yaml` and the README's rows.

`python -m link_hoi_ros.parameters` writes both files of a checkout anew.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from link_hoi_core.data.json_files import write_whole
from link_hoi_ros.parameter_table import PARAMETERS

if TYPE_CHECKING:
    from rclpy.node import Node


#: Where the README's table stands.
BEGIN, END = '<!-- parameters: begin -->', '<!-- parameters: end -->'

#: All names, as the table has them.
NAMES = tuple(parameter.name for parameter in PARAMETERS)


def defaults(**overrides: Any) -> dict[str, Any]:
    """Values by name, the table's but for `overrides`: for a pipeline without a node.

    Raises:
        ValueError: there is no parameter of a name in `overrides`.
    """
    for name in overrides:
        _check_name(name)
    return {**{parameter.name: parameter.default for parameter in PARAMETERS}, **overrides}


def declare(node: Node, overrides: dict[str, Any]) -> None:
    """Declare the table.

    Args:
        overrides: what the user set, by name.

    Raises:
        ValueError: there is no parameter of a name in `overrides`.
        rclpy.exceptions.ParameterException: a value has another type, or is out of range.
    """
    for parameter in PARAMETERS:
        node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
    for name in overrides:
        if not node.has_parameter(name) and not name.startswith('qos_overrides.'):
            _check_name(name)


def check(value: Callable[[str], Any]) -> None:
    """Raise ValueError if a value breaks a rule that a descriptor cannot state.

    Args:
        value: a parameter by name.
    """
    for parameter in PARAMETERS:
        if parameter.choices and value(parameter.name) not in parameter.choices:
            raise ValueError(
                f'parameter {parameter.name} is {value(parameter.name)!r}, '
                f'expected one of {parameter.constraint}'
            )
    kind, detector = value('detections_type'), value('detector')
    if (kind == 'builtin') != bool(detector):
        raise ValueError(
            f"parameter detector is {detector!r} and detections_type is {kind!r}: 'builtin' needs "
            f'a detector, and no other type has one'
        )
    size = list(value('detections.image_size'))
    if size != [0, 0] and (len(size) != 2 or min(size) <= 0):
        raise ValueError(
            f'parameter detections.image_size is {size}, expected [width, height] or [0, 0]'
        )
    start, end = value('event.start_score'), value('event.end_score')
    if end > start:
        raise ValueError(
            f'parameter event.end_score is {end}, expected no more than event.start_score, {start}'
        )


def to_yaml() -> str:
    """`config/hoi.yaml`: every parameter with its default, [DYNAMIC] where it is hot."""
    lines = [
        '# Parameters of hoi_node with their defaults. Those marked [DYNAMIC] can be changed while',
        '# it runs: ros2 param set /hoi/hoi_node score_threshold 0.5',
        '# Written by: python -m link_hoi_ros.parameters',
        '/**:',
        '  ros__parameters:',
    ]
    for parameter in PARAMETERS:
        mark = '[DYNAMIC] ' if parameter.hot else ''
        allowed = f'  # {parameter.constraint}' if parameter.constraint else ''
        indent = '    # '
        lines += textwrap.wrap(
            mark + parameter.description, 100, initial_indent=indent, subsequent_indent=indent
        )
        # JSON is YAML, and quotes no more than it must
        lines.append(f'    {parameter.name}: {json.dumps(parameter.default)}{allowed}')
    return '\n'.join(lines) + '\n'


def to_markdown() -> str:
    """The README's table."""
    rows = ['| parameter | default | |', '|---|---|---|']
    for parameter in PARAMETERS:
        mark = '[DYNAMIC] ' if parameter.hot else ''
        allowed = f' ({parameter.constraint})' if parameter.constraint else ''
        default = json.dumps(parameter.default)
        description = parameter.description.replace('<', '&lt;')
        rows.append(f'| `{parameter.name}` | `{default}`{allowed} | {mark}{description} |')
    return '\n'.join(rows) + '\n'


def write(root: Path) -> None:
    """Write the parameter file and the README's table of a checkout anew."""
    write_whole(root / 'config' / 'hoi.yaml', to_yaml().encode())
    readme = root / 'README.md'
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    write_whole(readme, f'{before}{BEGIN}\n{to_markdown()}{END}{after}'.encode())


def _check_name(name: str) -> None:
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1) or NAMES
        raise ValueError(f'unknown parameter {name!r}, did you mean {" or ".join(near)}?')


if __name__ == '__main__':
    write(Path(__file__).resolve().parents[1])

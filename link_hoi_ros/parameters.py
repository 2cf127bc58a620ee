"""What the table of parameters gives: declarations, `config/hoi.yaml` and the README's rows.

`python -m link_hoi_ros.parameters > config/hoi.yaml` writes the file anew.
"""

from __future__ import annotations

import difflib
import json
import textwrap
from typing import TYPE_CHECKING, Any

from link_hoi_ros.parameter_table import PARAMETERS

if TYPE_CHECKING:
    from rclpy.node import Node


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
            names = [parameter.name for parameter in PARAMETERS]
            near = difflib.get_close_matches(name, names, n=1) or names
            raise ValueError(f'unknown parameter {name!r}, did you mean {" or ".join(near)}?')


def check(node: Node) -> None:
    """Raise ValueError if a value breaks a rule that a descriptor cannot state."""
    for parameter in PARAMETERS:
        value = node.get_parameter(parameter.name).value
        if parameter.choices and value not in parameter.choices:
            raise ValueError(
                f'parameter {parameter.name} is {value!r}, expected one of {parameter.constraint}'
            )
    kind, detector = (node.get_parameter(name).value for name in ('detections_type', 'detector'))
    if (kind == 'builtin') != bool(detector):
        raise ValueError(
            f"parameter detector is {detector!r} and detections_type is {kind!r}: 'builtin' needs "
            f'a detector, and no other type has one'
        )
    size = list(node.get_parameter('detections.image_size').value)
    if size != [0, 0] and (len(size) != 2 or min(size) <= 0):
        raise ValueError(
            f'parameter detections.image_size is {size}, expected [width, height] or [0, 0]'
        )


def to_yaml() -> str:
    """`config/hoi.yaml`: every parameter with its default, [DYNAMIC] where it is hot."""
    lines = [
        '# Parameters of hoi_node with their defaults. Those marked [DYNAMIC] can be changed while',
        '# it runs: ros2 param set /hoi/hoi_node score_threshold 0.5',
        '# Written by: python -m link_hoi_ros.parameters > config/hoi.yaml',
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


if __name__ == '__main__':
    print(to_yaml(), end='')

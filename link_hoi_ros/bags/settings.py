"""The node's parameters for a bag: from a parameter file and `--set name=value`, as the node's."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rclpy.parameter import Parameter, parameter_dict_from_yaml_file

from link_hoi_ros import parameter_table, parameters

NODES = ['/hoi/hoi_node', '/hoi_node']
# Parameters that every node has: they say nothing of the model, and a bag has its own clock.
ROS_OWN = ('use_sim_time', 'qos_overrides.')


def given_parameters(config: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """What the user sets, by name; 'score_threshold=0.3' in the words of YAML.

    Args:
        config: a ROS parameter file, of which '/**' and the node in namespace /hoi or in none
            count.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no parameter file, or there is no such parameter, or a value has another
            type or is out of range; one sentence.
    """
    given = {} if config is None else _read(config)
    for assignment in assignments:
        name, equals, text = assignment.partition('=')
        if not equals:
            raise ValueError(f'--set {assignment}: expected name=value')
        try:
            given[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(f'--set {assignment}: {text!r} is no value of YAML') from error
    parameters.defaults(**given)  # refuses unknown names
    types = {parameter.name: parameter for parameter in parameter_table.PARAMETERS}
    return {name: _checked(types[name], value) for name, value in given.items()}


def _read(config: Path) -> dict[str, Any]:
    if not config.is_file():
        raise FileNotFoundError(f'{config}: no such file')
    try:
        found = parameter_dict_from_yaml_file(str(config), use_wildcard=True, target_nodes=NODES)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError, yaml.YAMLError) as error:
        cause = ' '.join(str(error).split())
        raise ValueError(f'{config}: not a file of ROS parameters ({cause})') from error
    return {
        name: Parameter.from_parameter_msg(value).value
        for name, value in found.items()
        if not name.startswith(ROS_OWN)
    }


def _checked(parameter: parameter_table.Parameter, value: Any) -> Any:
    """The value in the parameter's type, a whole number as a float where that is meant."""
    expected = type(parameter.default)
    if expected is float and type(value) is int:
        value = float(value)
    if expected is list:
        value = list(value) if isinstance(value, (list, tuple, array)) else [value]
        item = type(parameter.default[0])
        if any(type(each) is not item for each in value):
            raise ValueError(f'{parameter.name} is {value!r}, expected a list of {item.__name__}')
    if type(value) is not expected:
        raise ValueError(f'{parameter.name} is {value!r}, expected {expected.__name__}')
    if parameter.range and not parameter.range[0] <= value <= parameter.range[1]:
        raise ValueError(f'{parameter.name} is {value!r}, expected {parameter.constraint}')
    return value

"""The table, the YAML file and what a node declares are one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip('rcl_interfaces.msg', reason='needs ROS 2')

from link_hoi_ros.parameters import PARAMETERS, to_yaml

CONFIG = Path(__file__).parents[2] / 'config' / 'hoi.yaml'


def test_the_yaml_file_is_the_table():
    assert CONFIG.read_text() == to_yaml(), 'python -m link_hoi_ros.parameters > config/hoi.yaml'


def test_the_yaml_file_holds_every_default():
    values = yaml.safe_load(CONFIG.read_text())['/**']['ros__parameters']
    assert values == {parameter.name: parameter.default for parameter in PARAMETERS}


@pytest.mark.parametrize('parameter', PARAMETERS, ids=lambda parameter: parameter.name)
def test_every_parameter_is_described_and_its_default_allowed(parameter):
    descriptor = parameter.descriptor()
    assert descriptor.description.endswith('.')
    assert descriptor.read_only != parameter.hot
    if parameter.range:
        assert parameter.range[0] <= parameter.default <= parameter.range[1]
    if parameter.choices:
        assert parameter.default in parameter.choices

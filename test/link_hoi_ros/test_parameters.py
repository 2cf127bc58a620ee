"""The table, the YAML file and what a node declares are one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip('rcl_interfaces.msg', reason='needs ROS 2')

from link_hoi_ros.parameters import BEGIN, END, PARAMETERS, check, defaults, to_markdown, to_yaml

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / 'config' / 'hoi.yaml'


def test_the_yaml_file_is_the_table():
    assert CONFIG.read_text() == to_yaml(), 'python -m link_hoi_ros.parameters'


def test_the_table_in_the_readme_is_the_table():
    found = (ROOT / 'README.md').read_text().partition(BEGIN)[2].partition(END)[0]
    assert found == f'\n{to_markdown()}', 'python -m link_hoi_ros.parameters'


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


def test_defaults_are_allowed_and_overridden_by_name():
    check(defaults().__getitem__)
    assert defaults(**{'event.overlap': 0.5})['event.overlap'] == 0.5
    with pytest.raises(ValueError, match="'event.overlapp', did you mean event.overlap"):
        defaults(**{'event.overlapp': 0.5})


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        ({'matching.policy': 'guess'}, 'expected one of exact, tolerance, approximate'),
        ({'event.end_score': 0.9}, 'no more than event.start_score, 0.3'),
        ({'detections.image_size': [640]}, r'expected \[width, height\]'),
        ({'detector': 'detr-r50'}, "'builtin' needs a detector"),
    ],
)
def test_what_contradicts_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        check(defaults(**wrong).__getitem__)

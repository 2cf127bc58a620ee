"""Parameters are given as to the node, and a wrong one is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from link_hoi_ros.bags.settings import given_parameters  # noqa: E402
from link_hoi_ros.parameter_table import PARAMETERS  # noqa: E402

CONFIG = Path(__file__).resolve().parents[3] / 'config' / 'hoi.yaml'


def test_the_nodes_own_file_gives_the_nodes_defaults():
    assert given_parameters(CONFIG, []) == {item.name: item.default for item in PARAMETERS}


def test_what_is_set_stands_above_the_file(tmp_path):
    file = tmp_path / 'hoi.yaml'
    file.write_text(
        '/**:\n  ros__parameters: {score_threshold: 0.3, event: {start_score: 0.7}}\n'
        '/hoi/hoi_node:\n  ros__parameters: {max_triplets: 7, use_sim_time: true}\n'
        '/other/node:\n  ros__parameters: {max_triplets: 9}\n'
    )
    given = given_parameters(file, ['score_threshold=0', 'verbs=[ride, hold]', 'model=boxes'])
    assert given == {
        'score_threshold': 0.0,
        'event.start_score': 0.7,
        'max_triplets': 7,
        'verbs': ['ride', 'hold'],
        'model': 'boxes',
    }
    assert isinstance(given['score_threshold'], float)


@pytest.mark.parametrize(
    ('assignment', 'sentence'),
    [
        ('score_treshold=0.3', 'unknown parameter .*score_threshold'),
        ('score_threshold', 'expected name=value'),
        ('score_threshold=high', "score_threshold is 'high', expected float"),
        ('score_threshold=2', 'score_threshold is 2.0, expected 0.0 to 1.0'),
        ('max_triplets=1.5', 'max_triplets is 1.5, expected int'),
        ('max_triplets=[', 'no value of YAML'),
        ('verbs=[ride, 3]', r"verbs is \['ride', 3\], expected a list of str"),
        ('detections.image_size=[wide, high]', 'expected a list of int'),
    ],
)
def test_a_wrong_assignment_is_refused(assignment, sentence):
    with pytest.raises(ValueError, match=sentence):
        given_parameters(None, [assignment])


@pytest.mark.parametrize('text', ['', 'a: [', 'just words', '/**: 3\n', '/x:\n  y: 1\n'])
def test_what_is_no_parameter_file_is_refused(tmp_path, text):
    file = tmp_path / 'hoi.yaml'
    file.write_text(text)
    with pytest.raises(ValueError, match=f'{file}: not a file of ROS parameters') as refused:
        given_parameters(file, [])
    assert '\n' not in str(refused.value)
    with pytest.raises(FileNotFoundError, match='no such file'):
        given_parameters(tmp_path / 'none.yaml', [])

"""The shipped RViz and Foxglove layouts ask for what the node publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from visualization_msgs.msg import ImageMarker

from link_hoi_msgs.msg import HoiEvent, HoiFrameStats, HoiTripletArray
from link_hoi_ros import qos

CONFIG = Path(__file__).resolve().parents[2] / 'config'
TOPICS = {
    '/hoi/image': Image,
    '/hoi/overlay': Image,
    '/hoi/triplets': HoiTripletArray,
    '/hoi/events': HoiEvent,
    '/hoi/stats': HoiFrameStats,
    '/hoi/markers': ImageMarker,
    '/hoi/annotations': None,  # foxglove_msgs may be missing
    '/diagnostics': DiagnosticArray,
}


@pytest.fixture(scope='module')
def foxglove() -> dict[str, Any]:
    return json.loads((CONFIG / 'foxglove.json').read_text())


def leaves(layout: str | dict[str, Any]) -> Iterator[str]:
    """Panels of a layout, from left to right and from top to bottom."""
    if isinstance(layout, str):
        yield layout
    else:
        assert layout['direction'] in ('row', 'column')
        yield from leaves(layout['first'])
        yield from leaves(layout['second'])


def topic_paths(config: Any) -> Iterator[str]:
    """Everything in a panel's settings that looks like a topic."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield from topic_paths(key)
            yield from topic_paths(value)
    elif isinstance(config, list):
        for value in config:
            yield from topic_paths(value)
    elif isinstance(config, str) and config.startswith('/'):
        yield config


def test_every_panel_has_settings_and_every_setting_a_panel(foxglove):
    panels = foxglove['configById']
    tabs = [tab['layout'] for name in panels for tab in panels[name].get('tabs', ())]
    shown = [*leaves(foxglove['layout']), *tabs]
    assert sorted(shown) == sorted(panels)
    kinds = {name.split('!')[0] for name in panels}
    assert kinds == {'Image', 'Tab', 'Table', 'RawMessages', 'DiagnosticSummary', 'Plot'}


def test_every_path_is_a_field_of_what_the_node_publishes(foxglove):
    paths = set(topic_paths(foxglove['configById']))
    assert len(paths) > 10
    for path in paths:
        topic, *fields = re.split(r'\.', path)
        assert topic in TOPICS, path
        for field in fields:
            assert field in TOPICS[topic].get_fields_and_field_types(), path


def test_pictures_are_shown_with_the_annotations_of_their_own_stamp(foxglove):
    panels = foxglove['configById']
    annotated = [panels[name]['imageMode'] for name in panels if name.startswith('Image!')]
    for settings in annotated:
        assert settings['imageTopic'] in TOPICS
        if 'annotations' in settings:
            assert settings['synchronize'] is True
            assert [s['visible'] for s in settings['annotations'].values()].count(True) == 1


def test_rviz_shows_the_overlay_at_a_quality_that_the_node_offers():
    rviz = yaml.safe_load((CONFIG / 'hoi.rviz').read_text())
    displays = rviz['Visualization Manager']['Displays']
    (shown,) = (display for display in displays if display['Enabled'])
    assert shown['Class'] == 'rviz_default_plugins/Image'
    topic, offered = shown['Topic'], qos.result_output()
    assert TOPICS[topic['Value']] is Image
    assert topic['Reliability Policy'].replace(' ', '_').upper() == offered.reliability.name
    assert topic['Durability Policy'] == 'Volatile'

"""docs/operating.md tells of every topic, service and state that there is."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from link_hoi_ros.diagnostics import State

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / 'docs' / 'operating.md').read_text()


def section(title: str) -> str:
    return GUIDE.split(f'\n## {title}\n')[1].split('\n## ')[0]


def test_every_state_of_the_diagnosis_has_its_row_in_order() -> None:
    rows = re.findall(r'^\| ([^|]+?) \|', section('Diagnostics'), re.MULTILINE)
    assert [row for row in rows if row != 'State'] == [state.value for state in State]


def test_every_topic_and_service_of_the_policy_is_explained() -> None:
    """The policy itself is compared with the running node in test_security.py."""
    policy = ElementTree.parse(ROOT / 'config' / 'sros2_policy.xml')
    topics = {entry.text for entry in policy.iter('topic')}
    of_every_node = {'/clock', '/parameter_events', '/rosout', '~/transition_event'}
    services = {'~/set_verbs', '~/snapshot'}
    assert services <= {entry.text for entry in policy.iter('service')}
    for name in topics - of_every_node | services:
        assert f'`{name}`' in section('Topics'), name


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r'\]\(([^)#]+)[^)]*\)', GUIDE):
        assert (ROOT / 'docs' / target).exists(), target
    titles = {
        title.lower().replace(' ', '-') for title in re.findall(r'^## (.*)', GUIDE, re.MULTILINE)
    }
    assert set(re.findall(r'\]\(#([^)]+)\)', GUIDE)) <= titles

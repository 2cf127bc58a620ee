"""What the running node can be made to do: nothing that its configuration did not name."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

import rclpy
from rclpy.node import Node, NodeNameNonExistentError

from link_hoi_core.checkpoint import find_checkpoint
from link_hoi_ros.parameter_table import PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / 'config' / 'sros2_policy.xml'
# Only with another detector, image transport or optional package; see the topics' table.
NOT_ALWAYS = {'/hoi/image/compressed', '/hoi/label_info', '/hoi/annotations', '/clock'}
DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE = 4, 2, 1, 3  # of lifecycle_msgs/Transition

# Read by every Python that starts: tells what the node writes, starts and connects to.
AUDIT = """
import os, sys

def tell(event, arguments):
    if event == 'open' and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        if not isinstance(arguments[0], int):
            os.write(log, f'write {os.path.abspath(os.fsdecode(arguments[0]))}\\n'.encode())
    elif event.startswith(('socket.connect', 'socket.getaddrinfo', 'subprocess.', 'os.system')):
        os.write(log, f'{event} {arguments[0]}\\n'.encode())

if 'link_hoi_ros.hoi_node' in sys.orig_argv:
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.addaudithook(tell)
"""


class OpenedFiles:
    """Whether a file of a folder was opened, by whichever process and library (inotify)."""

    IN_OPEN = 0x20

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK)
        watch = libc.inotify_add_watch(self._descriptor, os.fsencode(folder), self.IN_OPEN)
        assert self._descriptor >= 0 and watch >= 0

    def any(self) -> bool:
        """Whether one was since this was asked last."""
        try:
            return bool(os.read(self._descriptor, 4096))
        except BlockingIOError:
            return False


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A folder that the node has no business with: a checkpoint that it could well load."""
    return Path(shutil.copytree(find_checkpoint('boxes'), tmp_path / 'forbidden'))


@pytest.fixture
def onlooker(bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A node that sees the others of this test."""
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(bench.ros.environment['ROS_DOMAIN_ID']))
    yield rclpy.create_node('onlooker', context=context)
    context.shutdown()


def test_no_parameter_or_message_makes_the_node_open_a_file(bench, forbidden: Path) -> None:
    opened = OpenedFiles(forbidden)
    (forbidden / 'config.json').read_text()
    assert opened.any(), 'the watch works'

    for path in (str(forbidden), f'file://{forbidden}/model.safetensors'):
        for parameter in PARAMETERS:
            if isinstance(parameter.default, str):
                answer = set_parameter(bench, parameter.name, path)
                assert not answer['success'] and 'read-only' in answer['reason']
        set_parameter(bench, 'verbs', [path, 'ride'])  # a word like any other
        bench.recorder.ask('verbs', 'set_verbs', verbs=[path])
        stamp = bench.image(encoding=path)
        bench.detections(stamp, [])
        bench.stats(lambda stats: stats['stamp'] == stamp)
        bench.frame([[path, 0.9, 1.0, 1.0, 99.0, 99.0, path]])
    assert not opened.any()

    for transition in (DEACTIVATE, CLEANUP):
        bench.recorder.ask('changed', 'change_state', transition=transition)
    assert not set_parameter(bench, 'model', str(forbidden))['success']
    for transition in (CONFIGURE, ACTIVATE):
        bench.recorder.ask('changed', 'change_state', transition=transition)
    assert not opened.any()


def set_parameter(bench, name: str, value: object) -> dict:
    return bench.recorder.ask('parameter', 'set_parameter', name=name, value=value)


@pytest.mark.slow
def test_the_node_connects_to_nothing_and_writes_where_it_is_told(
    ros, make_bench, tmp_path: Path
) -> None:
    audit, folder = tmp_path / 'audit', tmp_path / 'snapshots'
    audit.mkdir()
    (audit / 'sitecustomize.py').write_text(f'LOG = {str(audit / "log")!r}\n{AUDIT}')
    ros.environment |= {'PYTHONPATH': str(audit), 'PYTHONDONTWRITEBYTECODE': '1'}
    bench = make_bench(**{'snapshot.folder': str(folder)})
    bench.wait_active()
    bench.frame([['person', 0.9, 1.0, 1.0, 99.0, 99.0, '']])
    bench.recorder.ask('verbs', 'set_verbs', verbs=['mend', 'admire'])
    assert bench.recorder.ask('snapshot', 'snapshot')['success']
    bench.node.stop()
    lines = (audit / 'log').read_text().splitlines()
    # ctypes asks ldconfig where libraries lie
    told = (f'write {tmp_path}/', 'write /dev/null', 'subprocess.Popen /sbin/ldconfig')
    assert any(line.startswith(f'write {folder}/') for line in lines), 'the audit works'
    assert [line for line in lines if not line.startswith(told)] == []


def test_the_policy_allows_what_the_node_does_and_nothing_else(onlooker) -> None:
    profile = ElementTree.parse(POLICY).getroot().find('enclaves/enclave/profiles/profile')
    assert profile.attrib == {'ns': '/hoi', 'node': 'hoi_node'}
    node = ('hoi_node', '/hoi')
    for kind, rule, seen in (
        ('topic', 'publish', onlooker.get_publisher_names_and_types_by_node),
        ('topic', 'subscribe', onlooker.get_subscriber_names_and_types_by_node),
        ('service', 'reply', onlooker.get_service_names_and_types_by_node),
    ):
        allowed = names(profile, kind, rule)
        found = {name for name, _ in wait_for(lambda: seen(*node))}
        assert found <= allowed, 'it may do what it does'
        assert allowed - found <= NOT_ALWAYS, 'it does what it may do'


def wait_for(look):
    """What `look` finds once the graph has settled."""
    deadline, last = time.monotonic() + 20, None
    while time.monotonic() < deadline:
        try:
            found = look()
        except NodeNameNonExistentError:
            found = None
        if found and found == last:
            return found
        last = found
        time.sleep(1)
    pytest.fail('hoi_node is not seen')


def names(profile: ElementTree.Element, kind: str, rule: str) -> set[str]:
    """Full names of what a profile allows."""
    listed = [
        entry.text
        for group in profile.findall(f'{kind}s')
        if group.get(rule) == 'ALLOW'
        for entry in group.findall(kind)
    ]
    assert len(listed) == len(set(listed))
    full = (name.replace('~', '/hoi/hoi_node') for name in listed)
    return {name if name.startswith('/') else f'/hoi/{name}' for name in full}

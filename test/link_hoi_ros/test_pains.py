"""What users of such nodes suffer from, one test a pain, each shown to be designed out."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from untrained import OF_88_MB, write_checkpoint

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.structures import Detections
from link_hoi_msgs.msg import HoiDetection, HoiDetectionArray
from link_hoi_ros.messages import DetectionsReader

ROOT = Path(__file__).resolve().parents[2]
PERSON = ['person', 0.9, 200.0, 50.0, 300.0, 400.0, '1']
BICYCLE = ['bicycle', 0.8, 150.0, 200.0, 380.0, 460.0, '']
RIDER = [PERSON, BICYCLE]
STARTED, ENDED = 0, 1


def diagnosis(steered, state: str, *words: str, feed: Callable[[], object] = lambda: None) -> None:
    """Feed the node until it says that it is in this state, in a sentence with these words."""
    start, deadline = len(steered.events), time.monotonic() + 40
    while time.monotonic() < deadline:
        feed()
        time.sleep(0.1)
        for event in steered.seen('diagnosis', start):
            if event['state'] == state and all(word in event['message'] for word in words):
                return
    told = [(event['state'], event['message']) for event in steered.seen('diagnosis', start)]
    pytest.fail(f'never {state!r} with {words}: {told}')


@pytest.mark.slow
def test_pain_1_no_output_because_of_the_publisher_says_so(ros):
    """yolo_ros #15 #17 #27 #65 #76: wrong topic, wrong type, wrong QoS, or nothing at all."""
    ros.node('-r', 'image:=camera', **{'qos.image': 'reliable'})
    recorder = ros.steered('recorder')
    diagnosis(recorder, 'no publisher', 'nobody publishes images on /hoi/camera')
    codec, hasty, silent = (ros.steered('stranger') for _ in range(3))
    codec.send('offer', topic='camera', kind='CompressedImage', reliable=True)
    types = 'sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image'
    diagnosis(recorder, 'wrong type', '/hoi/camera', '/hoi/stranger', types)
    hasty.send('offer', topic='camera', kind='Image', reliable=False)
    policy = 'reliability: Best effort publisher and reliable subscription'
    diagnosis(recorder, 'incompatible QoS', '/hoi/camera', '/hoi/stranger', policy, 'qos.image')
    silent.send('offer', topic='camera', kind='Image', reliable=True)
    diagnosis(recorder, 'no images', '/hoi/camera', '/hoi/stranger')


@pytest.mark.slow
def test_pain_1_no_output_because_of_the_detections_says_so(make_bench):
    """Images arrive, and still there is no output: each cause by its name, and then none."""
    bench = make_bench()

    def both(apart: int) -> None:
        bench.detections(bench.image() + apart, RIDER)

    told = functools.partial(diagnosis, bench.recorder)
    told('images but no detections', '/hoi/detections', '/hoi/player', feed=bench.image)
    told(
        'never matched',
        'stamped 4 ms after an image',
        'matching.tolerance',
        feed=lambda: both(4_000_000),
    )
    told('running', 'images a second', feed=lambda: both(0))
    bench.ros.steered('stranger').send('ask', topic='overlay', kind='Image')
    told('incompatible QoS', 'a subscriber hears nothing', 'durability', feed=lambda: both(0))
    values = bench.recorder.seen('diagnosis')[-1]
    left = sum(int(values[name]) for name in values if name.startswith('dropped_'))
    assert int(values['received']) == int(values['processed']) + left + int(values['pending'])


def test_pain_2_synchronisers_that_never_fire_or_fire_wrongly(bench):
    """message_filters #169, #79; ros2 #1313: a detector 400 ms late, a fault, a jump back."""
    expected: dict[int, str] = {}

    def play(first: int) -> None:
        waiting: list[int] = []
        for number in range(first, first + 16):
            waiting.append(bench.image())
            if len(waiting) > 4:  # four images of 100 ms behind
                expected[waiting[0]] = str(number)
                bench.detections(waiting.pop(0), [[*PERSON[:-1], str(number)], BICYCLE])
            time.sleep(0.1)

    bench.stamp += 10**12  # stamps that no other test has used
    before, start = bench.settled(), len(bench.recorder.events)
    play(0)
    nonsense = bench.image(encoding='nonsense8')
    bench.detections(nonsense, RIDER)  # what would hold a lock for ever
    bench.stats(lambda stats: stats['stamp'] == nonsense)
    bench.stamp -= 5 * 10**11  # what would end matching for ever
    play(100)
    bench.triplets(max(stamp for stamp, number in expected.items() if int(number) > 100))
    after = bench.settled()
    fired = {
        event['stamp']: event['detections'][0][2]
        for event in bench.recorder.seen('triplets', start)
        if event['stamp'] in expected
    }
    assert fired.items() <= expected.items(), 'each late frame with its own detections'
    # but for what a machine that holds everything up made the transport and the node pass over
    lost = 1 + 2 * 16 + 1 - (after['received'] - before['received'])
    busy = after['dropped_busy'] - before['dropped_busy']
    assert len(expected) - busy - lost <= len(fired), 'and every one'


def test_pain_3_stale_frames(bench):
    """OpenDR #275, Isaac #63: the newest pair is worked on, what is passed over is counted."""
    # as many pairs as the model ever looks at, so that it is slower than they are sent
    rows = [
        [name, 0.9, 40.0 * n, top, 40.0 * n + 35, top + 100, '']
        for n in range(15)
        for name, top in (('person', 50.0), ('bicycle', 250.0))
    ]
    bench.frame(rows)
    start = len(bench.recorder.events)
    for _ in range(60):
        bench.detections(bench.image(), rows)
    last = bench.frame(RIDER)['stamp']
    stats = bench.stats(lambda stats: stats['stamp'] == last)
    published = [event['stamp'] for event in bench.recorder.seen('triplets', start)]
    assert published == sorted(set(published)), 'never an older one after a newer one'
    assert published[-1] == last, 'the newest is never given up'
    assert stats['dropped_busy'] > 0
    losses = sum(value for name, value in stats.items() if name.startswith('dropped_'))
    assert stats['received'] == stats['processed'] + losses


def test_pain_4_boxes_in_another_pixel_space(bench):
    """Isaac #39, depthai #604: said as an error, and put right by a parameter."""
    wide = ['bicycle', 0.9, 900.0, 10.0, 1200.0, 90.0, '']

    def send() -> None:
        bench.detections(bench.image(), [PERSON, wide])

    words = ('outside the image of 640 x 480', 'detections.image_size')
    diagnosis(bench.recorder, 'failing', *words, feed=send)
    reader = DetectionsReader('hoi', HoiPredictor.from_checkpoint().vocabulary)
    box = HoiDetection(class_name='person', score=1.0, x1=0.0, y1=20.0, x2=1280.0, y2=960.0)
    read, _ = reader.read(HoiDetectionArray(detections=[box]), (480, 640), (960, 1280))
    assert read.boxes.tolist() == [[0, 10, 640, 480]]


def test_pain_5_deployed_accuracy_is_evaluated_accuracy(bench):
    """Isaac #18: the node's triplets are the predictor's, to the last bit."""
    random = np.random.default_rng(0)
    predictor = HoiPredictor.from_checkpoint(max_interactions=100)
    for _ in range(5):
        corners = random.uniform((0, 0), (400, 300), (8, 2))
        boxes = np.hstack([corners, corners + random.uniform(20, 200, (8, 2))]).astype(np.float32)
        scores = random.uniform(0.3, 1, 8).astype(np.float32)
        labels = np.array([0, 0, 0, 1, 1, 2, 56, 41])
        names = [predictor.vocabulary.objects[label] for label in labels]
        rows = [
            [name, score, *box, '']
            for name, score, box in zip(names, scores.tolist(), boxes.tolist())
        ]
        deployed = bench.frame(rows)['triplets']
        evaluated = predictor.predict(None, Detections(boxes, scores, labels, (480, 640)))
        assert [row[0] for row in deployed] == evaluated.human.tolist()
        assert [row[2] for row in deployed] == evaluated.object.tolist()
        verbs = [predictor.vocabulary.verbs[verb] for verb in evaluated.verb]
        assert [row[1] for row in deployed] == verbs
        assert np.float32([row[4] for row in deployed]).tolist() == evaluated.score.tolist()


OPTIONAL = (
    'cv2 cv_bridge foxglove_msgs message_filters onnxruntime open_clip PIL rosbags scipy sklearn '
    'timm torchmetrics torchvision transformers ultralytics vision_msgs yolo_msgs'
)


@pytest.fixture
def bare(ros, tmp_path):
    """Processes that find none of the packages that are optional."""
    hide = f'import sys\nsys.modules.update(dict.fromkeys({OPTIONAL.split()}))\n'
    (tmp_path / 'sitecustomize.py').write_text(hide)
    path = [str(tmp_path), ros.environment.get('PYTHONPATH', '')]
    ros.environment['PYTHONPATH'] = ':'.join(filter(None, path))
    return ros


def test_pain_6_images_are_read_without_cv_bridge(bare, make_bench):
    """vision_opencv #535, yolo_ros #75: cv_bridge breaks on NumPy 2, and is not asked."""
    bench = make_bench()
    bench.wait_active()
    for encoding, channels in {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}.items():
        stamp = bench.image(encoding=encoding, step=640 * channels)
        bench.detections(stamp, RIDER)
        assert bench.triplets(stamp)['size'] == [640, 480]
    assert bench.node.log() == ''


def test_pain_7_the_threshold_changes_while_it_runs(bench):
    """Isaac PR 65."""

    def least(threshold: float) -> float:
        answer = bench.recorder.ask(
            'parameter', 'set_parameter', name='score_threshold', value=threshold
        )
        assert answer['success']
        return min((row[4] for row in bench.frame(RIDER)['triplets']), default=1.0)

    assert least(0.0) < 0.1 <= least(0.1)
    assert least(0.0) < 0.1


def test_pain_8_an_environment_that_lacks_something_says_what_to_install(bare):
    """yolo_ros #112, ros2cli #1024: the node runs with any Python that can import it."""
    wanted = {
        'vision_msgs': {'detections_type': 'vision_msgs'},
        'timm': {'model': 'clip_zero_shot'},
    }
    nodes = [bare.node(**parameters) for parameters in wanted.values()]
    for node, package in zip(nodes, wanted):
        assert node.child.wait(60) == 1
        (sentence,) = node.log().strip().splitlines()
        assert 'install' in sentence, package


def test_pain_9_track_ids_change_or_are_missing(make_bench):
    """yolo_ros #71 #81: what goes on over the same boxes is one interaction."""
    bench = make_bench(**{'event.start_score': 0.02, 'event.end_score': 0.01})
    bench.wait_active()
    start = len(bench.recorder.events)
    for number in range(60):
        track_id = ('1', '', '7')[number // 20]
        bench.frame([[*PERSON[:-1], track_id], BICYCLE])
    events = bench.recorder.seen('hoi_event', start)
    assert 'bicycle' in {event['object_name'] for event in events}
    told = [(event['object_name'], event['verb']) for event in events]
    assert [event['kind'] for event in events] == [STARTED] * len(events), 'none has ended'
    assert len(told) == len(set(told)), 'each is told once'


def test_pain_10_how_do_i_see_it(bench):
    """yolo_ros #54 #82: layouts are shipped, and what they show is published."""
    rviz = (ROOT / 'config' / 'hoi.rviz').read_text()
    assert '/hoi/overlay' in rviz
    foxglove = json.dumps(json.loads((ROOT / 'config' / 'foxglove.json').read_text()))
    for topic in ('/hoi/image', '/hoi/triplets', '/hoi/events', '/hoi/stats', '/diagnostics'):
        assert topic in foxglove
    bench.recorder.send('show_overlay')
    deadline = time.monotonic() + 20
    while not bench.recorder.seen('overlay') and time.monotonic() < deadline:
        bench.frame(RIDER)
    seen = bench.recorder.wait('overlay')
    bench.recorder.send('hide_overlay')
    assert seen['size'] == [640, 480] and not seen['black']


@pytest.mark.slow
def test_pain_11_does_it_work_on_my_bag(tmp_path):
    """zed #930: a bag becomes annotations to fill in, and then figures."""
    pytest.importorskip('rosbags')
    from sensor_msgs.msg import Image

    from link_hoi_ros.bags.writing import Recording

    def bag(*arguments: object) -> None:
        command = [sys.executable, '-m', 'link_hoi_ros.bag', *map(str, arguments)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=120)

    found = HoiDetectionArray(image_width=640, image_height=480)
    names = ('class_name', 'score', 'x1', 'y1', 'x2', 'y2', 'track_id')
    found.detections = [HoiDetection(**dict(zip(names, row))) for row in RIDER]
    image = Image(width=640, height=480, step=1920, encoding='rgb8', data=bytes(1920 * 480))
    image.header.stamp.sec = found.header.stamp.sec = 1_700_000_000
    topics = {'/hoi/image': Image, '/hoi/detections': HoiDetectionArray}
    with Recording(tmp_path / 'ride', topics) as recording:
        recording.write('/hoi/image', 1, image)
        recording.write('/hoi/detections', 2, found)
    bag('export', tmp_path / 'ride', '--output', tmp_path / 'labels')
    file = tmp_path / 'labels' / 'annotations.json'
    labels = json.loads(file.read_text())
    (frame,) = labels['annotation']
    ride, bicycle = labels['verbs'].index('ride'), labels['objects'].index('bicycle')
    (hoi,) = (hoi for hoi, *rest in labels['correspondence'] if rest == [bicycle, ride])
    frame.update(boxes_h=frame['boxes'][:1], boxes_o=frame['boxes'][1:])
    frame.update(hoi=[hoi], object=[bicycle], verb=[ride])
    file.write_text(json.dumps(labels))
    figures = tmp_path / 'figures.json'
    bag('evaluate', tmp_path / 'ride', '--annotations', file, '--json', figures)
    assert json.loads(figures.read_text())['annotated'] == pytest.approx(100)


@pytest.mark.slow
def test_pain_12_memory_held_while_inactive(make_bench, tmp_path):
    """yolo_ros keeps 338 MB: after cleanup the weights are gone."""
    for package in ('timm', 'torchvision'):
        pytest.importorskip(package)
    bench = make_bench(autostart=False, model=str(write_checkpoint(tmp_path / 'large', OF_88_MB)))
    configure, cleanup, activate, deactivate = 1, 2, 3, 4  # of lifecycle_msgs/Transition

    def after(*transitions: int) -> float:
        for transition in transitions:
            assert bench.recorder.ask('changed', 'change_state', transition=transition)['success']
        return bench.node.memory()

    empty = after(configure, activate, deactivate, cleanup)  # libraries are loaded, and stay
    for _ in range(2):
        assert after(configure, activate) > empty + 80
        assert after(deactivate, cleanup) < empty + 10

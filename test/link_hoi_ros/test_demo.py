"""The demo as its users start it: real frames through three processes over DDS, then files."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.recorded import read_recorded, write_recorded
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import load_vocabulary

cv2 = pytest.importorskip('cv2')
for package in ('rclpy', 'skvideo', 'link_hoi_msgs'):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f'needs {package}', allow_module_level=True)

from link_hoi_ros import demo, demo_report  # noqa: E402
from link_hoi_ros.demo_video import open_video  # noqa: E402

VOCABULARY = load_vocabulary('hico-det')
# What the man on the bicycle of frames 115 to 135 does with it.
SENSIBLE = {'ride', 'straddle', 'sit_on', 'hold'}
LIMIT = 300.0
# Frames a second of the short video: so few that a busy machine, too, answers every one.
RATE = 5.0


@pytest.fixture(scope='module')
def short_video(tmp_path_factory) -> tuple[Path, Path]:
    """Frames 116 to 135 of the demo's video, and their detections."""
    return slowed_video(tmp_path_factory.mktemp('video'), slice(116, 136))


def slowed_video(folder: Path, frames: slice) -> tuple[Path, Path]:
    """Some frames of the demo's video at RATE, and their detections."""
    video = open_video(demo._default_video())
    size = (video.size[1], video.size[0])
    writer = cv2.VideoWriter(str(folder / 'short.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), RATE, size)
    for frame in list(video.frames())[frames]:
        writer.write(frame[:, :, ::-1].copy())
    writer.release()
    # Written in the vocabulary's names, all of which the recording's detector has.
    images = read_recorded(demo.DETECTIONS, VOCABULARY)[frames]
    write_recorded(folder / 'short.json', images, VOCABULARY.objects)
    return folder / 'short.mp4', folder / 'short.json'


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, '-m', 'link_hoi_ros.demo', *map(str, arguments)]


def environment() -> dict[str, str]:
    """Without a domain, so that the demo takes its own."""
    return {name: value for name, value in os.environ.items() if name != 'ROS_DOMAIN_ID'}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=LIMIT
    )


def best_verbs(frame: dict) -> list[str]:
    """Verbs of the three best triplets with the bicycle."""
    return [t['verb'] for t in frame['triplets'] if t['object_name'] == 'bicycle'][:3]


def check_files(output: Path, frame_count: int, rate: float) -> dict:
    """The three files and nothing else, each frame accounted for; gives triplets.json."""
    assert {path.name for path in output.iterdir()} == {'picture.png', 'video.mp4', 'triplets.json'}
    assert cv2.imread(str(output / 'picture.png')).shape == (544, 1280, 3)
    video = open_video(output / 'video.mp4')
    assert (video.size, video.rate, video.frame_count) == ((544, 1280), rate, frame_count)
    triplets = json.loads((output / 'triplets.json').read_text())
    counts = triplets['counts']
    assert triplets['played'] == counts['received'] == frame_count
    dropped = sum(count for name, count in counts.items() if name.startswith('dropped_'))
    assert len(triplets['frames']) == counts['processed'] == frame_count - dropped
    return triplets


def test_own_video_gives_sensible_triplets_and_files(short_video, tmp_path):
    video, detections = short_video
    done = run('--video', video, '--detections', detections, '--output', tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    triplets = check_files(tmp_path, 20, RATE)
    assert len(triplets['frames']) == 20
    assert '20 frames played, 20 answered.' in done.stdout
    assert re.search(r'person +ride +bicycle +0\.\d\d', done.stdout)
    assert str(tmp_path) in done.stdout
    for frame in triplets['frames']:
        assert set(best_verbs(frame)) <= SENSIBLE, frame['frame']
        assert best_verbs(frame), frame['frame']


@pytest.mark.slow
def test_the_default_video_is_played_to_its_end(tmp_path):
    done = run('--output', tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    # How many of them it answers at 25 a second is a matter of the machine and its load.
    check_answers(check_files(tmp_path, 250, 25.0))


@pytest.mark.slow
def test_a_slow_video_is_answered_to_its_end(tmp_path):
    video, detections = slowed_video(tmp_path, slice(None))
    output = tmp_path / 'output'
    done = run('--video', video, '--detections', detections, '--output', output)
    assert done.returncode == 0, done.stdout + done.stderr
    triplets = check_files(output, 250, RATE)
    assert len(triplets['frames']) >= 240
    assert len(check_answers(triplets)) >= 19


def check_answers(triplets: dict) -> list[dict]:
    """What is answered of the whole video; gives the frames of the man on the bicycle."""
    # Joined to their own frames: an answer has the boxes that were recorded for the frame.
    recorded = read_recorded(demo.DETECTIONS, VOCABULARY)
    for frame in triplets['frames']:
        boxes = [found['box'] for found in frame['detections']]
        expected = recorded[frame['frame']].detections.boxes
        assert np.allclose(np.reshape(boxes, (-1, 4)), expected, atol=0.01)
    rider = [frame for frame in triplets['frames'] if 115 <= frame['frame'] <= 135]
    assert rider
    assert all(best_verbs(frame) and set(best_verbs(frame)) <= SENSIBLE for frame in rider)
    return rider


def test_a_node_that_cannot_start_is_one_sentence_and_its_last_lines(short_video, tmp_path):
    video, detections = short_video
    options = ('--video', video, '--detections', detections, '--output', tmp_path)
    done = run(*options, '--model', tmp_path / 'none')
    assert done.returncode == 1
    assert 'demo: the node ended with status 1' in done.stderr
    assert 'no checkpoint' in done.stderr
    assert 'Traceback' not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('how', (signal.SIGINT, signal.SIGTERM))
def test_a_signal_ends_every_process_and_leaves_nothing(short_video, tmp_path, how):
    video, detections = short_video
    options = ('--video', video, '--detections', detections, '--output', tmp_path)
    process = subprocess.Popen(
        command(*options), env=environment(), stderr=subprocess.PIPE, text=True
    )
    children = _children(process.pid, 2)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == 'demo: interrupted\n'
    assert not [pid for pid in children if Path(f'/proc/{pid}').exists()]
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_dies_while_playing_ends_the_demo(tmp_path):
    process = subprocess.Popen(
        command('--output', tmp_path),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    node, *_ = _children(process.pid, 3)  # the third is the player
    os.kill(node, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith('demo: the node ended with status -9')
    assert list(tmp_path.iterdir()) == []


def _children(pid: int, count: int) -> list[int]:
    """The processes that `pid` started, once there are `count` of them."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        text = Path(f'/proc/{pid}/task/{pid}/children').read_text()
        if len(text.split()) >= count:
            return [int(child) for child in text.split()]
        time.sleep(0.05)
    raise AssertionError('the demo started no processes')


def changed_recording(path: Path, folder: Path, **changes) -> Path:
    """A copy of recorded detections whose last image has other values."""
    content = json.loads(path.read_text())
    content['images'][-1].update(changes)
    (folder / 'changed.json').write_text(json.dumps(content))
    return folder / 'changed.json'


def test_bad_input_is_one_sentence(short_video, tmp_path, capsys):
    video, detections = short_video
    text = tmp_path / 'text.mp4'
    text.write_text('not a video')
    whole = demo.DETECTIONS
    for video_given, detections_given, message in (
        (tmp_path / 'none.mp4', detections, 'no such file'),
        (text, detections, 'not a video that OpenCV can read'),
        (video, tmp_path / 'none.json', 'no such file'),
        (video, text, 'not valid JSON'),
        (video, whole, 'has 250 images, expected one for each of the 20 frames'),
        (
            video,
            changed_recording(detections, tmp_path, width=1280, height=544),
            'was recorded at 1280 x 544 pixels (image 19)',
        ),
    ):
        arguments = ['--video', video_given, '--detections', detections_given]
        assert demo.main([*map(str, arguments), '--output', str(tmp_path / 'output')]) == 1
        errors = capsys.readouterr().err
        assert errors.startswith('demo: ') and message in errors
        assert errors.count('\n') == 1
    assert not (tmp_path / 'output').exists()


def test_a_video_without_its_detections_is_refused(short_video, capsys):
    with pytest.raises(SystemExit):
        demo.main(['--video', str(short_video[0])])
    assert '--video and --detections go together' in capsys.readouterr().err


def test_the_shipped_detections_are_those_of_the_video():
    video = open_video(demo._default_video())
    demo._check(video, demo.DETECTIONS)
    for image in read_recorded(demo.DETECTIONS, VOCABULARY)[115:136]:
        found = image.detections
        sure = {VOCABULARY.objects[label] for label in found.labels[found.scores > 0.7]}
        assert {'person', 'bicycle'} <= sure


# The report


def frame(*triplets: tuple[str, str, float]) -> dict:
    keys = ('verb', 'object_name', 'score')
    return {'triplets': [dict(zip(keys, triplet)) for triplet in triplets]}


def test_episodes_bridge_short_gaps_and_count_a_verb_once_a_frame():
    ride, wear = ('ride', 'bicycle', 0.8), ('wear', 'tie', 0.3)
    frames = [frame(ride, ('ride', 'bicycle', 0.5)), None, frame(ride), frame(wear)]
    frames += [frame()] * 20 + [frame(ride)]
    first, second, third = demo_report.find_episodes(frames, rate=25.0)
    assert (first.verb, first.object_name, first.frames) == ('ride', 'bicycle', [0, 2])
    assert first.mean_score == pytest.approx(0.8)
    assert (second.verb, second.frames) == ('ride', [24])
    assert (third.verb, third.frames) == ('wear', [3])


def test_the_table_is_in_order_of_time():
    frames = [frame(('wear', 'tie', 0.3))] + [frame(('ride', 'bicycle', 0.8))] * 2
    rows = demo_report.table(demo_report.find_episodes(frames, 2.0), 2.0).splitlines()[2:]
    assert [row.split() for row in rows] == [
        ['0.0', '-', '0.0', '1', 'person', 'wear', 'tie', '0.30'],
        ['0.5', '-', '1.0', '2', 'person', 'ride', 'bicycle', '0.80'],
    ]
    assert 'No triplet' in demo_report.table([], 2.0)


def test_the_picture_is_the_frame_that_shows_most():
    frames = [None, frame(('wear', 'tie', 0.9)), frame(('ride', 'x', 0.8), ('hold', 'x', 0.7))]
    assert demo_report.best_frame(frames) == 2


def test_frames_without_an_answer_are_shown_as_they_are(short_video):
    video = open_video(short_video[0])
    found = Detections([[10, 10, 60, 90], [40, 40, 200, 200]], [1, 1], [0, 1], video.size)
    rider = {
        'detections': [
            {'class_name': name, 'score': 1.0, 'box': box.tolist()}
            for name, box in zip(('person', 'bicycle'), found.boxes)
        ],
        'triplets': [
            {'human': 0, 'verb': 'ride', 'object': 1, 'score': 0.9, 'interaction_score': 0.9}
        ],
    }
    short = dataclasses.replace(video, frame_count=2)
    with_, without = demo_report.annotated(short, [rider, None], VOCABULARY)
    plain, second = demo_report.annotated(short, [None, None], VOCABULARY)
    assert with_.shape == (544, 1280, 3)
    assert not np.array_equal(with_, plain)
    assert np.array_equal(without, second)

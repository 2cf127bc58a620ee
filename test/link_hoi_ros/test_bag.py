"""The commands on bags, as their users start them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from bag_files import (
    PERIOD,
    START,
    annotate,
    detections,
    header,
    image,
    jpeg,
    key,
    street,
    write_bag,
)
from sensor_msgs.msg import CompressedImage

from link_hoi_core import evaluate
from link_hoi_msgs.msg import HoiEvent, HoiFrameStats, HoiTripletArray, HoiVocabulary
from link_hoi_ros import bag
from link_hoi_ros.bags.reading import Bag, deserialised

SHARED = Path(
    os.environ.get('LINK_HOI_SHARED', Path(__file__).resolve().parents[2].parent / 'shared')
)
KEYS = [key(number) for number in range(5)]


@pytest.fixture(autouse=True)
def signals():
    """`main` is the process's own otherwise."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def run(*arguments: str | Path) -> int:
    return bag.main([str(argument) for argument in arguments])


def figures(folder: Path, *arguments: str | Path) -> dict:
    file = folder / 'figures.json'
    assert run('evaluate', *arguments, '--json', file) == 0
    return json.loads(file.read_text())


def read(path: Path) -> dict[str, list]:
    with Bag(path) as opened:
        types = {topic: opened.check_type(topic) for topic in opened.types}
        messages = {topic: [] for topic in types}
        for item in opened.messages(types):
            messages[item.topic].append((item.time, deserialised(item, types[item.topic])))
    return messages


def test_every_frame_is_scored_and_twice_the_same_bag_gives_the_same_bytes(tmp_path, capsys):
    path = write_bag(tmp_path / 'bag', street(5))
    labels = annotate(tmp_path / 'labels.json', KEYS)
    for name in ('one', 'two'):
        assert run('evaluate', path, '--annotations', labels, '--json', tmp_path / name) == 0
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes()
    assert '5 images, 5 answered' in capsys.readouterr().out
    found = json.loads((tmp_path / 'one').read_text())
    assert found['frames'] == {'received': 5, 'processed': 5}
    assert found['annotated'] > 50  # somebody astride a bicycle: not hard
    assert found['per_class_ap']['ride bicycle'] == found['annotated']
    assert not found['remarks']


@pytest.mark.parametrize('make_image', [image, jpeg])
def test_a_bag_scores_what_its_export_scores_in_the_evaluation(tmp_path, make_image):
    """The deployed model is the evaluated one; and the export is fit for labelling."""
    path = write_bag(tmp_path / 'bag', street(5, make_image=make_image))
    assert run('export', path) == 0
    folder = tmp_path / 'bag_frames'
    skeleton = json.loads((folder / 'annotations.json').read_text())
    suffix = '.jpg' if make_image is jpeg else '.png'
    assert skeleton['filenames'] == [f'{name}{suffix}' for name in KEYS]
    assert all((folder / 'images' / name).is_file() for name in skeleton['filenames'])
    pairs = json.loads(annotate(tmp_path / 'labels.json', skeleton['filenames']).read_text())
    for entry, pair in zip(skeleton['annotation'], pairs['annotation']):
        # what a labeller does
        assert (entry['hoi'], entry['classes']) == ([], ['person', 'bicycle', 'dog'])
        entry['boxes_h'], entry['boxes_o'] = [entry['boxes'][0]], [entry['boxes'][1]]
        entry.update({name: pair[name] for name in ('hoi', 'object', 'verb')})
        assert [entry[name] for name in pair] == list(pair.values())
    labels = folder / 'annotations.json'
    labels.write_text(json.dumps(skeleton))

    of_the_bag = figures(tmp_path, path, '--annotations', labels)
    file = tmp_path / 'evaluation.json'
    command = ['hico-det', '--model', 'boxes', '--boxes', str(folder / 'detections.json')]
    command += ['--annotations', str(labels), '--json', str(file)]
    assert evaluate.main(command) == 0
    of_the_evaluation = json.loads(file.read_text())
    for name in ('full', 'rare', 'non_rare', 'mf1', 'mprec', 'mrec', 'f1_threshold', 'images'):
        assert of_the_bag[name] == of_the_evaluation[name]
    assert of_the_bag['per_class_ap'] == of_the_evaluation['per_class_ap']


def test_what_the_node_would_publish_is_scored_by_itself(tmp_path):
    path = write_bag(tmp_path / 'bag', street(3))
    labels = annotate(tmp_path / 'labels.json', KEYS[:3])
    strict = figures(tmp_path, path, '--annotations', labels, '--set', 'score_threshold=1')
    assert strict['annotated'] > 50
    assert strict['as_published']['annotated'] == 0


def test_the_verbs_that_a_node_was_told_are_scored_as_far_as_they_are_annotated(tmp_path):
    path = write_bag(tmp_path / 'bag', street(3))
    labels = annotate(tmp_path / 'labels.json', KEYS[:3])
    asked = figures(tmp_path, path, '--annotations', labels, '--set', 'verbs=[hold, ride]')
    assert asked['per_class_ap']['ride bicycle'] == asked['annotated'] > 50
    (remark,) = asked['remarks']
    assert 'predictions are of hico-det+custom-' in remark
    others = figures(tmp_path, path, '--annotations', labels, '--set', 'verbs=[hold]')
    assert others['annotated'] == 0


def test_what_cannot_be_answered_is_counted_and_told(tmp_path, capsys):
    messages = street(5)
    del messages[1]  # the first detections
    empty = image(START + 9 * PERIOD)
    empty.step = 7
    messages.append(('/camera/image_raw', START + 9 * PERIOD, empty))
    found = detections(START + 9 * PERIOD, 0)
    messages.append(('/camera/detections', START + 9 * PERIOD, found))
    path = write_bag(tmp_path / 'bag', messages)
    labels = annotate(tmp_path / 'labels.json', [*KEYS, '99_000000000'])
    told = figures(tmp_path, path, '--annotations', labels)
    assert told['frames'] == {
        'received': 6,
        'processed': 4,
        'dropped_unmatched': 1,
        'dropped_invalid': 1,
    }
    sentences = '\n'.join(told['remarks'])
    assert f'without detections, which so gave nothing: 1 ({KEYS[0]})' in sentences
    assert f'cannot be read, which so gave nothing: 1 ({key(9)}: image has' in sentences
    assert 'annotated frames that are not in the bag, so nothing is found: 1' in sentences
    assert sentences in capsys.readouterr().err.replace('bag: ', '')


def test_several_cameras_are_scored_together_their_frames_named_apart(tmp_path):
    later = START + 3_000_000
    messages = street(3, '/front') + street(3, '/rear', jpeg, first=later)
    path = write_bag(tmp_path / 'bag', messages, 'sqlite3')
    names = [f'front/{name}' for name in KEYS[:3]] + [f'rear/{key(n, later)}' for n in range(3)]
    both = figures(tmp_path, path, '--annotations', annotate(tmp_path / 'both.json', names))
    assert both['frames'] == {'received': 6, 'processed': 6}
    assert not both['remarks']
    one = annotate(tmp_path / 'one.json', KEYS[:3])
    front = figures(tmp_path, path, '--image', '/front/image_raw', '--annotations', one)
    assert front['frames'] == {'received': 3, 'processed': 3}


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_triplets_events_and_counters_are_recorded_beside_the_bag(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', street(20))
    assert run('record', path, '--storage', storage) == 0
    said = read(tmp_path / 'bag_hoi')
    times = [START + number * PERIOD + 1_000_000 for number in range(20)]
    triplets = said['/hoi/triplets']
    assert [time for time, _ in triplets] == times
    assert {type(message) for _, message in triplets} == {HoiTripletArray}
    stamps = [message.header.stamp for _, message in triplets]
    assert [f'{stamp.sec}_{stamp.nanosec:09d}' for stamp in stamps] == [key(n) for n in range(20)]
    assert 'ride' in [triplet.verb for triplet in triplets[0][1].triplets]
    ((_, vocabulary),) = said['/hoi/vocabulary']
    assert isinstance(vocabulary, HoiVocabulary)
    assert vocabulary.verbs[triplets[0][1].triplets[0].verb_id] == triplets[0][1].triplets[0].verb
    counters = [message for _, message in said['/hoi/stats']]
    assert isinstance(counters[-1], HoiFrameStats)
    assert [(c.received, c.processed) for c in counters] == [(n, n) for n in range(1, 21)]
    rides = [e for _, e in said['/hoi/events'] if (e.verb, e.object_name) == ('ride', 'bicycle')]
    assert [event.kind for event in rides] == [HoiEvent.STARTED, HoiEvent.ENDED]


@pytest.mark.slow
def test_class_numbers_are_named_by_the_label_info_that_was_recorded(tmp_path):
    vision = pytest.importorskip('vision_msgs.msg')
    names = {7: 'person', 3: 'bicycle'}
    messages = []
    for topic, time, message in street(3):
        if topic.endswith('detections'):
            message = vision.Detection2DArray(
                header=message.header,
                detections=[vision_detection(vision, names, d) for d in message.detections[:2]],
            )
        messages.append((topic, time, message))
    entries = [vision.VisionClass(class_id=n, class_name=name) for n, name in names.items()]
    info = vision.LabelInfo(class_map=entries)
    messages.append(('/camera/label_info', START, info))
    path = write_bag(tmp_path / 'bag', messages, packages=('vision_msgs',))
    found = figures(
        tmp_path, path, '--annotations', annotate(tmp_path / 'labels.json', KEYS[:3]), '--live'
    )
    assert found['annotated'] > 50
    assert found['live']['difference']['annotated'] == 0


def vision_detection(vision, names, found):
    """A detection as vision_msgs has it, of a class that is a number."""
    number = next(number for number, name in names.items() if name == found.class_name)
    hypothesis = vision.ObjectHypothesis(class_id=str(number), score=found.score)
    made = vision.Detection2D(results=[vision.ObjectHypothesisWithPose(hypothesis=hypothesis)])
    made.bbox.center.position.x = (found.x1 + found.x2) / 2
    made.bbox.center.position.y = (found.y1 + found.y2) / 2
    made.bbox.size_x, made.bbox.size_y = found.x2 - found.x1, found.y2 - found.y1
    return made


def test_the_nodes_own_detector_needs_no_detections_in_the_bag(tmp_path):
    pytest.importorskip('onnxruntime')
    weights = SHARED / 'weights' / 'yolox_nano_coco.onnx'
    photo = SHARED / 'data' / 'images' / 'COCO_val2014_000000000294.jpg'
    if not (weights.is_file() and photo.is_file()):
        pytest.skip(f'no test data in {SHARED}')
    taken = CompressedImage(header=header(START), format='jpeg', data=photo.read_bytes())
    path = write_bag(tmp_path / 'bag', [('/camera/image_raw/compressed', START, taken)])
    detector = ['--set', f'detector=onnx:{weights}']
    assert run('export', path, *detector) == 0
    (picture,) = (tmp_path / 'bag_frames' / 'images').iterdir()
    assert picture.read_bytes() == photo.read_bytes()
    skeleton = json.loads((tmp_path / 'bag_frames' / 'annotations.json').read_text())
    assert 'person' in skeleton['annotation'][0]['classes']
    assert run('record', path, *detector) == 0
    ((_, triplets),) = read(tmp_path / 'bag_hoi')['/hoi/triplets']
    assert [d.class_name for d in triplets.detections] == skeleton['annotation'][0]['classes']


def test_an_export_takes_only_so_many_frames(tmp_path):
    path = write_bag(tmp_path / 'bag', street(5))
    assert run('export', path, '--every', '2', '--output', tmp_path / 'out') == 0
    names = sorted(file.stem for file in (tmp_path / 'out' / 'images').iterdir())
    assert names == [KEYS[0], KEYS[2], KEYS[4]]


def test_where_nothing_can_be_exported_it_says_why_and_writes_nothing(tmp_path, capsys):
    path = write_bag(tmp_path / 'bag', street(2, shift=1))
    assert run('export', path) == 2
    said = capsys.readouterr().err
    assert 'no image to export (images without detections, which so gave nothing: 2 (' in said
    assert list(tmp_path.iterdir()) == [path]


REFUSALS = {
    'no bag': (['evaluate', 'none', '--annotations', 'labels.json'], 'none: no such bag'),
    'no labels': (['evaluate', 'bag', '--annotations', 'none.json'], 'none.json: no such file'),
    'empty labels': (['evaluate', 'bag', '--annotations', 'empty.json'], 'no pair is annotated'),
    'other labels': (['evaluate', 'bag', '--annotations', 'other.json'], 'annotates no frame of'),
    'no model': (['record', 'bag', '--model', 'none/such'], 'none/such'),
    'no such parameter': (['record', 'bag', '--set', 'modle=x'], 'did you mean model'),
    'there already': (['record', 'bag', '--output', 'bag'], 'is there already'),
    'there already too': (['export', 'bag', '--output', 'bag'], 'is there already'),
    'nowhere': (['export', 'bag', '--output', 'no/where'], 'no: no such folder'),
    'every': (['export', 'bag', '--every', '0'], '--every is 0'),
    'rate': (['evaluate', 'bag', '--annotations', 'labels.json', '--rate', '2'], 'with --live'),
    'backwards': (
        ['evaluate', 'bag', '--annotations', 'labels.json', '--live', '--rate', '-1'],
        '--rate is -1',
    ),
    'no rate': (
        ['evaluate', 'bag', '--annotations', 'labels.json', '--live', '--rate', 'nan'],
        '--rate is nan',
    ),
    'nodes': (
        ['evaluate', 'bag', '--annotations', 'labels.json', '--live', '--node', '/a/n', '/b/n'],
        '2 nodes for 1 cameras',
    ),
    'json': (['evaluate', 'bag', '--annotations', 'labels.json', '--json', 'no/x'], 'no: no such'),
    'json of a folder': (
        ['evaluate', 'bag', '--annotations', 'labels.json', '--json', 'bag'],
        'bag: is a folder',
    ),
}


@pytest.mark.parametrize(('arguments', 'sentence'), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_cannot_work_is_refused_in_one_sentence(
    tmp_path, monkeypatch, capsys, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    write_bag(Path('bag'), street(1))
    annotate(Path('labels.json'), KEYS[:1])
    annotate(Path('other.json'), ['99_000000000'])
    content = json.loads(Path('labels.json').read_text())
    content['annotation'] = [{name: [] for name in content['annotation'][0]}]
    Path('empty.json').write_text(json.dumps(content))
    before = sorted(tmp_path.rglob('*'))
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith('bag: ') and sentence in said
    assert len(said.strip().splitlines()) == 1
    assert sorted(tmp_path.rglob('*')) == before

"""Detections of three message types become one thing; what is wrong is left out and counted."""

from __future__ import annotations

import importlib.util
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from std_msgs.msg import Header

from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_msgs.msg import HoiDetection, HoiDetectionArray
from link_hoi_ros import messages
from link_hoi_ros.messages import (
    MAX_DETECTIONS,
    DetectionsReader,
    triplets_message,
    vocabulary_message,
)

HICO = load_vocabulary('hico-det')
SIZE = (480, 640)
BOX = (10.0, 20.0, 110.0, 220.0)


def hoi(name='person', score=0.9, box=BOX, track_id='') -> HoiDetection:
    x1, y1, x2, y2 = box
    return HoiDetection(class_name=name, score=score, x1=x1, y1=y1, x2=x2, y2=y2, track_id=track_id)


def read(*detections: HoiDetection, size=(0, 0), classes=None, **options):
    message = HoiDetectionArray(
        image_height=size[0], image_width=size[1], detections=list(detections)
    )
    return DetectionsReader('hoi', HICO, classes).read(message, SIZE, **options)


def test_a_detection_comes_through_with_class_score_box_and_track():
    detections, dropped = read(hoi('bicycle', 0.5, track_id='7'), hoi())
    assert [HICO.objects[label] for label in detections.labels] == ['bicycle', 'person']
    np.testing.assert_allclose(detections.scores, [0.5, 0.9], rtol=1e-6)
    np.testing.assert_array_equal(detections.boxes, [BOX, BOX])
    assert detections.track_ids == ('7', '')
    assert detections.image_size == SIZE
    assert not dropped


def test_no_detection_is_not_an_error():
    detections, dropped = read()
    assert len(detections) == 0
    assert not dropped


@pytest.mark.parametrize(
    ('name', 'meant'),
    [('cell phone', 'cell_phone'), ('tvmonitor', 'tv'), ('0', 'person'), ('1', 'bicycle')],
)
def test_detectors_spellings_and_coco_numbers_are_understood(name, meant):
    detections, _ = read(hoi(name))
    assert HICO.objects[detections.labels[0]] == meant


@pytest.mark.parametrize('name', ['unicorn', '', '80', '-1', '٣٤٥'])
def test_a_class_outside_the_vocabulary_is_left_out_and_counted(name):
    detections, dropped = read(hoi(name), hoi(name), hoi())
    assert len(detections) == 1
    assert list(dropped.values()) == [2]
    assert repr(name) in next(iter(dropped))


def test_numbers_of_a_detectors_own_are_looked_up_in_its_classes():
    named = [hoi(name) for name in ('0', '2', '3', 'bicycle')]
    detections, dropped = read(*named, classes=['mug', 'unicorn', 'People'])
    assert [HICO.objects[label] for label in detections.labels] == ['cup', 'person', 'bicycle']
    assert dropped == {"class '3' is not in vocabulary 'hico-det'": 1}
    assert not len(read(hoi('1'), classes=['mug', 'unicorn', 'People'])[0])


def test_a_text_too_long_for_a_name_is_neither_kept_nor_told_whole():
    detections, dropped = read(hoi('9' * 1_000_000), hoi('person' + ' ' * 1_000_000), hoi())
    assert len(detections) == 1
    assert sum(dropped.values()) == 2
    assert max(map(len, dropped)) < 200


def test_ever_new_names_do_not_fill_the_memory():
    reader = DetectionsReader('hoi', HICO)
    tracemalloc.start()
    try:
        for start in range(0, 12_000, 4000):
            rows = [hoi(f'{number:0>90}') for number in range(start, start + 4000)]
            reader.read(HoiDetectionArray(detections=rows), SIZE)
            del rows
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ('wrong', 'cause'),
    [
        ({'box': (float('nan'), 0.0, 10.0, 10.0)}, 'not finite'),
        ({'box': (0.0, 0.0, float('inf'), 10.0)}, 'not finite'),
        ({'box': (100.0, 10.0, 50.0, 60.0)}, 'inverted'),
        ({'box': (10.0, 10.0, 10.0, 60.0)}, 'no area'),
        ({'box': (-30.0, 10.0, -2.0, 60.0)}, 'inside the image'),
        ({'score': float('nan')}, 'score'),
        ({'score': 1.5}, 'score'),
    ],
)
def test_a_wrong_box_or_score_is_left_out_and_the_others_stay(wrong, cause):
    detections, dropped = read(hoi(**wrong), hoi())
    assert len(detections) == 1
    assert len(dropped) == 1
    assert cause in next(iter(dropped))


def test_a_box_a_little_over_the_edge_is_clipped():
    detections, dropped = read(hoi(box=(-12.0, -3.0, 660.0, 485.0)))
    np.testing.assert_array_equal(detections.boxes, [[0, 0, 640, 480]])
    assert not dropped


@pytest.mark.parametrize('box', [(700.0, 10.0, 900.0, 100.0), (10.0, 10.0, 100.0, 640.0)])
def test_boxes_in_pixels_of_another_image_are_an_error_that_says_so(box):
    with pytest.raises(ValueError, match=r'outside the image of 640 x 480.*image_size') as error:
        read(hoi(), hoi(box=box))
    assert '\n' not in str(error.value)


def test_boxes_are_scaled_from_the_size_that_the_detector_saw():
    half = [[5, 10, 55, 110]]
    np.testing.assert_allclose(read(hoi(), size=(960, 1280))[0].boxes, half)
    np.testing.assert_allclose(read(hoi(), detections_size=(960, 1280))[0].boxes, half)


def test_five_thousand_detections_are_read_and_too_many_are_refused():
    detections, _ = read(*[hoi()] * 5000)
    assert len(detections) == 5000
    with pytest.raises(ValueError, match='65536 detections'):
        read(*[hoi()] * (MAX_DETECTIONS + 1))


def vision_detection(*hypotheses: tuple[str, float], size=(100.0, 200.0), track_id=''):
    """Shaped like vision_msgs/Detection2D, for machines without it."""
    return SimpleNamespace(
        results=[
            SimpleNamespace(hypothesis=SimpleNamespace(class_id=name, score=score))
            for name, score in hypotheses
        ],
        bbox=SimpleNamespace(
            center=SimpleNamespace(position=SimpleNamespace(x=60.0, y=120.0), theta=0.0),
            size_x=size[0],
            size_y=size[1],
        ),
        id=track_id,
    )


def yolo_detection(name: str, number: int):
    """Shaped like yolo_msgs/Detection."""
    return SimpleNamespace(
        class_name=name,
        class_id=number,
        score=0.9,
        id='3',
        bbox=SimpleNamespace(
            center=SimpleNamespace(position=SimpleNamespace(x=60.0, y=120.0), theta=0.0),
            size=SimpleNamespace(x=100.0, y=200.0),
        ),
    )


def read_shaped(monkeypatch, kind: str, type_name: str, *detections):
    module = SimpleNamespace(**{type_name: SimpleNamespace})
    monkeypatch.setattr(messages, 'require', lambda *_: module)
    message = SimpleNamespace(detections=list(detections))
    return DetectionsReader(kind, HICO).read(message, SIZE)


def test_vision_msgs_gives_the_best_hypothesis_and_corners(monkeypatch):
    detections, dropped = read_shaped(
        monkeypatch,
        'vision_msgs',
        'Detection2DArray',
        vision_detection(('dog', 0.2), ('person', 0.9), track_id='5'),
        vision_detection(),
        vision_detection(('dog', 0.8), size=(-100.0, 200.0)),
    )
    np.testing.assert_allclose(detections.boxes, [BOX])
    assert (detections.labels[0], detections.track_ids) == (HICO.person, ('5',))
    assert dropped == {'a detection has no class': 1, 'a box is inverted or has no area': 1}


@pytest.mark.filterwarnings('error::RuntimeWarning')
@pytest.mark.parametrize('width', [1e308, float('inf'), float('nan')])
def test_numbers_beyond_all_measure_are_left_out_in_silence(monkeypatch, width):
    boundless = vision_detection(('dog', 0.8), size=(width, 200.0))
    module = SimpleNamespace(Detection2DArray=SimpleNamespace)
    monkeypatch.setattr(messages, 'require', lambda *_: module)
    reader = DetectionsReader('vision_msgs', HICO)
    detections, dropped = reader.read(
        SimpleNamespace(detections=[boundless]), SIZE, detections_size=(2, 2)
    )
    assert len(detections) == 0
    assert dropped == {'a box is not finite': 1}


def test_yolo_msgs_gives_the_class_by_name_or_else_by_number(monkeypatch):
    detections, _ = read_shaped(
        monkeypatch,
        'yolo_msgs',
        'DetectionArray',
        yolo_detection('person', 77),
        yolo_detection('', 1),
    )
    assert [HICO.objects[label] for label in detections.labels] == ['person', 'bicycle']
    np.testing.assert_allclose(detections.boxes, [BOX, BOX])


def label_info(**names: str):
    """Shaped like vision_msgs/LabelInfo."""
    class_map = [SimpleNamespace(class_id=int(i[1:]), class_name=n) for i, n in names.items()]
    return SimpleNamespace(class_map=class_map)


def test_label_info_names_the_numbers_from_then_on(monkeypatch):
    module = SimpleNamespace(Detection2DArray=SimpleNamespace, LabelInfo=SimpleNamespace)
    monkeypatch.setattr(messages, 'require', lambda *_: module)
    message = SimpleNamespace(detections=[vision_detection(('3', 0.9))])
    reader = DetectionsReader('vision_msgs', HICO)
    assert reader.label_info_type is SimpleNamespace

    def seen() -> list[str]:
        return [HICO.objects[label] for label in reader.read(message, SIZE)[0].labels]

    assert seen() == ['motorcycle']  # COCO's number, as long as nothing else is known
    reader.set_label_info(label_info(_3='dog', _7='cat'))
    assert seen() == ['dog']
    reader.set_label_info(label_info(_7='cat'))
    assert seen() == []
    assert DetectionsReader('vision_msgs', HICO, ['cat']).label_info_type is None


def real(package: str):
    return pytest.importorskip(f'{package}.msg', reason=f'needs {package}')


def test_the_real_vision_msgs_is_read():
    vision = real('vision_msgs')
    detection = vision.Detection2D(id='5')
    detection.bbox.center.position.x, detection.bbox.center.position.y = 60.0, 120.0
    detection.bbox.size_x, detection.bbox.size_y = 100.0, 200.0
    hypothesis = vision.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = 'person', 0.9
    detection.results = [hypothesis]
    message = vision.Detection2DArray(detections=[detection])
    reader = DetectionsReader('vision_msgs', HICO)
    detections, _ = reader.read(message, SIZE)
    np.testing.assert_allclose(detections.boxes, [BOX])
    assert detections.track_ids == ('5',)
    hypothesis.hypothesis.class_id = '300'
    entry = vision.VisionClass(class_id=300, class_name='dog')
    reader.set_label_info(reader.label_info_type(class_map=[entry]))
    assert HICO.objects[reader.read(message, SIZE)[0].labels[0]] == 'dog'


def test_the_real_yolo_msgs_is_read():
    yolo = real('yolo_msgs')
    detection = yolo.Detection(class_id=1, class_name='', score=0.5, id='8')
    detection.bbox.center.position.x, detection.bbox.center.position.y = 60.0, 120.0
    detection.bbox.size.x, detection.bbox.size.y = 100.0, 200.0
    reader = DetectionsReader('yolo_msgs', HICO)
    assert (reader.message_type, reader.label_info_type) == (yolo.DetectionArray, None)
    detections, _ = reader.read(yolo.DetectionArray(detections=[detection]), SIZE)
    np.testing.assert_allclose(detections.boxes, [BOX])
    assert (HICO.objects[detections.labels[0]], detections.track_ids) == ('bicycle', ('8',))


@pytest.mark.parametrize('kind', ['vision_msgs', 'yolo_msgs'])
def test_a_missing_message_package_is_one_sentence_with_the_remedy(kind):
    if importlib.util.find_spec(kind) is not None:
        pytest.skip(f'{kind} is installed')
    with pytest.raises(ImportError, match=f'apt install .*-{kind.replace("_", "-")}') as error:
        DetectionsReader(kind, HICO)
    assert '\n' not in str(error.value)


INTERACTIONS = Interactions(
    human=np.array([0, 0, 0]),
    object=np.array([1, 1, 0]),
    verb=np.array([HICO.verb_index('ride'), HICO.verb_index('hold'), 0]),
    score=np.array([0.8, 0.5, 0.1], np.float32),
    verb_score=np.array([0.9, 0.6, 0.2], np.float32),
)


def test_triplets_carry_names_and_the_images_header():
    boxes = np.array([BOX, BOX])
    detections = Detections(boxes, [0.75, 0.5], [0, 1], SIZE, ('7', ''))
    header = Header(frame_id='camera')
    header.stamp.nanosec = 5
    message = triplets_message(header, detections, INTERACTIONS, HICO, 'boxes')
    assert message.header == header
    assert (message.image_width, message.image_height) == (640, 480)
    assert (message.model, message.vocabulary_id) == ('boxes', 'hico-det')
    assert [d.class_name for d in message.detections] == ['person', 'bicycle']
    assert message.detections[0] == hoi('person', 0.75, track_id='7')
    first = message.triplets[0]
    assert (first.human_index, first.object_index, first.verb) == (0, 1, 'ride')
    assert (first.object_name, HICO.verbs[first.verb_id]) == ('bicycle', 'ride')
    assert (first.score, first.interaction_score) == pytest.approx((0.8, 0.9))


def test_the_vocabulary_message_names_everything():
    message = vocabulary_message(HICO, 'boxes', 'ab' * 32)
    assert (message.id, message.model, message.checkpoint_sha256) == (
        'hico-det',
        'boxes',
        'ab' * 32,
    )
    assert (len(message.verbs), len(message.objects)) == (117, 80)

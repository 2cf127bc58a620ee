"""From messages to triplets without a node."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from link_hoi_core.predictor import HoiPredictor
from link_hoi_msgs.msg import HoiDetection, HoiDetectionArray
from link_hoi_ros import pipeline
from link_hoi_ros.images import rgb_to_image
from link_hoi_ros.parameters import defaults
from link_hoi_ros.pipeline import EVENT_TRIPLETS, Pipeline


class Loaded:
    """A pipeline, its parameters and its warnings."""

    def __init__(self, **parameters: object) -> None:
        self.values = defaults(detections_type='hoi', device='cpu', **parameters)
        self.warnings: list[str] = []
        self.pipeline = Pipeline.load(self.values.__getitem__, self.warnings.append)


@pytest.fixture(scope='module')
def loaded() -> Loaded:
    return Loaded(score_threshold=0.2, **{'event.end_score': 0.01})


def image() -> Image:
    return rgb_to_image(np.zeros((480, 640, 3), np.uint8), Header(frame_id='camera'))


def rider(*others: HoiDetection) -> HoiDetectionArray:
    person = HoiDetection(class_name='person', score=0.9, x1=200.0, y1=50.0, x2=300.0, y2=400.0)
    bicycle = HoiDetection(class_name='bicycle', score=0.8, x1=150.0, y1=200.0, x2=380.0, y2=460.0)
    return HoiDetectionArray(detections=[person, bicycle, *others])


def test_what_is_published_is_what_the_predictor_says_above_the_threshold(loaded):
    frame = loaded.pipeline.process(image(), rider())
    predictor = HoiPredictor.from_checkpoint('boxes', device='cpu', score_threshold=0.2)
    expected = predictor.predict(None, frame.detections)
    assert len(expected) > 0
    np.testing.assert_array_equal(frame.interactions.verb, expected.verb)
    np.testing.assert_array_equal(frame.interactions.score, expected.score)
    assert frame.header.frame_id == 'camera'


def test_events_see_weaker_triplets_than_are_published(loaded):
    frame = loaded.pipeline.process(image(), rider())
    assert len(frame.candidates) > len(frame.interactions)
    assert frame.candidates.score.min() >= 0.01
    np.testing.assert_array_equal(
        frame.candidates.verb[: len(frame.interactions)], frame.interactions.verb
    )


def test_few_triplets_published_do_not_hide_the_others_from_events(loaded):
    loaded.values['max_triplets'] = 1
    frame = loaded.pipeline.process(image(), rider())
    loaded.values['max_triplets'] = 100
    assert len(frame.interactions) == 1
    assert 1 < len(frame.candidates) <= EVENT_TRIPLETS


def test_without_events_nothing_but_what_is_published_is_computed(loaded):
    loaded.values['publish.events'] = False
    frame = loaded.pipeline.process(image(), rider())
    loaded.values['publish.events'] = True
    assert len(frame.candidates) == len(frame.interactions)


def test_what_is_left_out_is_told(loaded):
    unicorn = HoiDetection(class_name='unicorn', score=0.9, x2=10.0, y2=10.0)
    frame = loaded.pipeline.process(image(), rider(unicorn))
    assert len(frame.detections) == 2
    assert any("'unicorn'" in warning for warning in loaded.warnings)


def test_numbers_are_looked_up_in_the_given_names():
    loaded = Loaded(**{'detections.classes': ['bicycle', 'person']})
    rows = rider()
    rows.detections[0].class_name, rows.detections[1].class_name = '1', '0'
    frame = loaded.pipeline.process(image(), rows)
    names = [frame.vocabulary.objects[label] for label in frame.detections.labels]
    assert names == ['person', 'bicycle']


def test_times_of_the_stages_are_kept(loaded):
    loaded.pipeline.process(image(), rider())
    assert set(loaded.pipeline.stages) == {'convert', 'backbone', 'interaction'}
    assert loaded.pipeline.stages['interaction'] > 0 == loaded.pipeline.stages['backbone']


def test_verbs_may_change_from_another_thread_while_images_are_processed():
    loaded = Loaded(score_threshold=0.0)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            loaded.pipeline.set_verbs(['ride', 'hold'])
            loaded.pipeline.set_verbs([''])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            frame = loaded.pipeline.process(image(), rider())
            assert frame.interactions.verb.max() < len(frame.vocabulary.verbs)
    finally:
        stop.set()
        thread.join()


def test_a_model_that_hangs_does_not_hold_up_who_asks_for_verbs(loaded, monkeypatch):
    monkeypatch.setattr(pipeline, 'ANSWER_SECONDS', 0.1)
    with loaded.pipeline._in_use, pytest.raises(TimeoutError, match='has not answered'):
        loaded.pipeline.set_verbs(['ride'])
    loaded.pipeline.set_verbs([''])


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        ({'model': 'no/such/model'}, 'no/such/model'),
        ({'device': 'cuda:77'}, "no device 'cuda:77'"),
        ({'precision': 'fp8'}, 'fp8'),
        ({'verbs': ['ride', 'riding']}, 'rid'),
    ],
)
def test_what_cannot_be_loaded_is_said_at_once(wrong, sentence):
    values = defaults(detections_type='hoi', **{'device': 'cpu', **wrong})
    with pytest.raises((ValueError, OSError, ImportError), match=sentence):
        Pipeline.load(values.__getitem__, print)

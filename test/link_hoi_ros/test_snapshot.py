"""What a snapshot writes; test_services.py asks a running node for one."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip('link_hoi_msgs.msg', reason='needs ROS 2 and link_hoi_msgs')

from std_msgs.msg import Header

from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_ros.frame import Frame
from link_hoi_ros.snapshot import snapshot_folder, write_snapshot

cv2 = pytest.importorskip('cv2')


def frame(height: int, width: int) -> Frame:
    nothing, pixels = Interactions.empty(), np.zeros((height, width, 3), np.uint8)
    pixels[0, 0] = (255, 0, 0)
    detections = Detections.empty((height, width))
    vocabulary = load_vocabulary('hico-det')
    return Frame(Header(), pixels, detections, nothing, nothing, vocabulary, 'boxes')


def test_colours_and_facts_are_kept(tmp_path):
    path = write_snapshot(tmp_path / 'new' / 'folder', frame(4, 6), {'counts': {'received': 1}})
    picture = cv2.imread(str(path.with_suffix('.png')))
    assert picture.shape == (4, 6, 3)
    assert picture[0, 0].tolist() == [0, 0, 255]  # OpenCV's order
    kept = json.loads(path.read_text())
    assert kept['counts'] == {'received': 1}
    assert kept['detections'] == kept['triplets'] == []


def test_an_image_that_is_no_picture_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match='no picture of 1100000 x 1 pixels'):
        write_snapshot(tmp_path, frame(1, 1_100_000), {})
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_given_one_or_in_the_log_folder(tmp_path, monkeypatch):
    assert snapshot_folder(str(tmp_path)) == tmp_path
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path))
    assert snapshot_folder('') == tmp_path / 'link_hoi_snapshots'

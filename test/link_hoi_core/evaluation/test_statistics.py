"""Counts of annotation files, against counts by hand and the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.statistics import (
    statistics,
    statistics_json,
    statistics_table,
    summarise,
)
from link_hoi_core.vocabulary import load_vocabulary

HICO = load_vocabulary('hico-det')


def image(hois: list[int], side_h: float = 100, side_o: float = 20) -> AnnotatedImage:
    """One pair of each class; square boxes of these sides."""
    count = len(hois)
    verb, object_ = HICO.hois[np.array(hois, np.int64)].T
    boxes_h = np.tile(np.array([0, 0, side_h, side_h], np.float32), (count, 1))
    boxes_o = np.tile(np.array([0, 0, side_o, side_o], np.float32), (count, 1))
    ids = np.array(hois, np.int64)
    return AnnotatedImage('a.jpg', (480, 640), boxes_h, boxes_o, ids, object_, verb)


def test_counts_by_hand() -> None:
    found = statistics('few', [image([0] * 10 + [1]), image([]), image([0, 599, 1], 10, 40)], HICO)
    summary = summarise(found)
    assert (summary.images, summary.images_with_pairs, summary.pairs) == (3, 2, 14)
    assert summary.classes == (3, 600)
    assert summary.few == 2  # classes 1 and 599
    assert summary.head_share == 1  # the tenth of 600 classes holds all three
    assert (summary.mean_pairs, summary.median_pairs, summary.most_pairs) == (7, 7, 11)
    assert summary.human_large == pytest.approx(11 / 14)
    assert summary.human_small == pytest.approx(3 / 14)
    assert summary.object_small == pytest.approx(11 / 14)
    assert summary.object_large == 0
    assert found.pairs_of_object.sum() == found.pairs_of_verb.sum() == 14
    content = statistics_json(found, HICO)
    verb, object_ = HICO.hois[599]
    assert content['pairs_of_class'][599] == [f'{HICO.verbs[verb]} {HICO.objects[object_]}', 1]
    assert content['images_by_pairs'] == [1, 0, 0, 1, *[0] * 7, 1]
    json.dumps(content)


def test_images_without_pairs_are_no_error() -> None:
    for images in ([], [image([])]):
        summary = summarise(statistics('none', images, HICO))
        assert (summary.pairs, summary.mean_pairs, summary.human_small) == (0, 0, 0)


def test_files_stand_side_by_side() -> None:
    table = statistics_table([statistics('one', [image([0])], HICO), statistics('b', [], HICO)])
    first, images, *_ = table.splitlines()
    assert first.split() == ['one', 'b']
    assert images.split() == ['images', '1', '0']
    assert len({len(line) for line in table.splitlines()}) == 1


def test_the_command_counts_the_real_files(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    hico = shared / 'data' / 'hicodet' / 'instances_test2015.coco80.json.gz'
    v_coco = shared / 'data' / 'vcoco' / 'instances_vcoco_test.json.gz'
    output, picture = tmp_path / 'counts.json', tmp_path / 'counts.svg'
    sources = ['--hico-det', hico, '--v-coco', v_coco]
    command = ['statistics', *sources, '--json', output, '--picture', picture]
    assert main([str(part) for part in command]) == 0
    first, second = json.loads(output.read_text())
    assert (first['images'], first['pairs'], first['classes']) == (9658, 33405, [600, 600])
    assert (second['images'], second['images_with_pairs']) == (4946, 4532)
    assert second['verbs'] == [24, 24]
    assert picture.stat().st_size > 10_000


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / 'nowhere')
    cases = [
        ([], 'no file to count'),
        (['--hico-det', nowhere], 'nowhere: no such file'),
        (['--hico-det', nowhere, '--picture', str(tmp_path / 'a.gif')], 'a picture is named'),
        (['--hico-det', nowhere, '--json', f'{nowhere}/a.json'], 'no such folder'),
    ]
    for arguments, message in cases:
        assert main(['statistics', *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count('\n') == 1

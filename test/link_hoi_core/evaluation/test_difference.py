"""AP of single images, the groups made of it, and mAP in a group, against slow ways to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.difference import (
    GROUPS,
    group_map,
    image_average_precision,
    split_images,
)
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.outcome import evaluate
from link_hoi_core.evaluation.pairs import ScoredPairs, annotated_pairs
from link_hoi_core.evaluation.prediction_files import write_predictions


@pytest.fixture
def images(tmp_path: Path, write_annotations: Callable[..., Path]) -> list[AnnotatedImage]:
    return read_hico_det(write_annotations(tmp_path / 'annotations.json', 40))


def guesses(images: list[AnnotatedImage], seed: int, wrong: int = 2) -> ScoredPairs:
    """Every annotated pair, and each of them `wrong` times with the class of any; random scores."""
    random = np.random.default_rng(seed)
    right = annotated_pairs(images)
    others = [
        ScoredPairs(
            right.image,
            right.boxes_h,
            right.boxes_o,
            random.permutation(right.hoi),
            right.score,
        )
        for _ in range(wrong)
    ]
    found = ScoredPairs.concatenate([right, *others])
    columns = vars(found) | {'score': random.random(len(found)).round(1)}  # with ties
    return ScoredPairs(**columns)


def rank(images: list[AnnotatedImage], predictions: ScoredPairs) -> RankedDetections:
    return evaluate(HicoDet(images), [predictions], 0.5).ranked


def slow_image_ap(ranked: RankedDetections, index: int, pairs: int) -> float:
    """Detection by detection, 11 points."""
    rows = [row for row in range(len(ranked.row)) if ranked.image[row] == index]
    rows.sort(key=lambda row: (-ranked.score[row], ranked.row[row]))
    hits, curve = 0, []
    for place, row in enumerate(rows, start=1):
        hits += bool(ranked.correct[row])
        curve.append((hits / pairs, hits / place))
    points = [0.1 * i if i < 5 else 1 - 0.1 * (10 - i) for i in range(11)]
    return sum(max([p for r, p in curve if r >= point], default=0) for point in points) / 11


def test_ap_of_each_image(images: list[AnnotatedImage]) -> None:
    ranked = rank(images, guesses(images, 0))
    found = image_average_precision(ranked, images)
    for index, image in enumerate(images):
        if len(image.hoi):
            expected = slow_image_ap(ranked, index, len(image.hoi))
            assert found[index] == pytest.approx(expected), index
        else:
            assert np.isnan(found[index])
    assert np.nanstd(found) > 0.1


def test_a_wrong_verb_costs(images: list[AnnotatedImage]) -> None:
    """Whether or not its class is annotated in the image."""
    perfect = image_average_precision(rank(images, annotated_pairs(images)), images)
    assert np.nanmin(perfect) == pytest.approx(1)
    assert np.nanmean(image_average_precision(rank(images, guesses(images, 0)), images)) < 0.8


def test_groups_are_those_of_the_paper_and_each_image_is_in_one() -> None:
    semantic = np.array([0.9, 0.5, 0.5, 0.39, 0.4, 0.1, 0.75, np.nan])
    spatial = np.array([0.1, 0.9, 0.3, 0.05, 0.0, 0.4, 0.5, np.nan])
    groups = split_images(semantic, spatial)
    names = [
        next((name for name in GROUPS if groups[name][index]), None)
        for index in range(len(semantic))
    ]
    assert names == ['semantic', 'spatial', 'both', 'hard', 'semantic', 'spatial', 'both', None]
    assert sum(members.sum() for members in groups.values()) == 7


def test_map_in_a_group_is_that_of_its_images_alone(images: list[AnnotatedImage]) -> None:
    predictions = guesses(images, 0)
    members = np.arange(len(images)) % 3 > 0
    number = np.cumsum(members) - 1
    inside = predictions.take(members[predictions.image])
    alone = ScoredPairs(**vars(inside) | {'image': number[inside.image].astype(np.int32)})
    some = [image for image, is_member in zip(images, members) if is_member]
    outcome = evaluate(HicoDet(some), [alone], 0.5)
    annotated = outcome.ranked.num_annotated > 0
    found = group_map(rank(images, predictions), images, members)
    assert found == pytest.approx(outcome.per_class_ap[annotated].mean())
    assert 0 < found < 100
    assert np.isnan(group_map(rank(images, predictions), images, members & False))


def test_the_command_compares_files(
    tmp_path: Path, images: list[AnnotatedImage], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('matplotlib')
    paths = [tmp_path / f'{name}.json' for name in ('clip', 'dino', 'link')]
    for seed, path in enumerate(paths):
        write_predictions(path, 'hico-det', images, guesses(images, seed))
    output, picture = tmp_path / 'groups.json', tmp_path / 'groups.svg'
    command = ['difference', '--annotations', tmp_path / 'annotations.json']
    command += ['--semantic', paths[0], '--spatial', paths[1], '--others', paths[2]]
    assert main([str(part) for part in [*command, '--json', output, '--picture', picture]]) == 0
    content = json.loads(output.read_text())
    ranked = rank(images, guesses(images, 2))
    aps = [image_average_precision(rank(images, guesses(images, seed)), images) for seed in (0, 1)]
    for name, members in split_images(*aps).items():
        assert content['groups'][name] == members.sum()
        expected = group_map(ranked, images, members)
        assert content['map']['link'][name] == (
            None if np.isnan(expected) else pytest.approx(expected)
        )
    whole = evaluate(HicoDet(images), [guesses(images, 2)], 0.5)
    annotated = whole.ranked.num_annotated > 0
    expected = whole.per_class_ap[annotated].mean()
    assert content['map']['link']['all'] == pytest.approx(expected)
    assert len(content['images']) == sum(len(image.hoi) > 0 for image in images)
    assert content['images'][0]['ap'] == pytest.approx([ap[1] for ap in aps])  # 0 has no pairs
    assert picture.stat().st_size > 10_000
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ['clip', 'dino', 'link']


def test_bad_input_is_one_sentence(
    tmp_path: Path, images: list[AnnotatedImage], capsys: pytest.CaptureFixture[str]
) -> None:
    annotations, path = tmp_path / 'annotations.json', tmp_path / 'found.json'
    write_predictions(path, 'hico-det', images, annotated_pairs(images))
    cases = [
        ([annotations, '--semantic', path, '--spatial', path], 'given twice'),
        ([annotations, '--semantic', path, '--spatial', tmp_path / 'no'], 'no: no such file'),
        ([path, '--semantic', path, '--spatial', annotations], 'not a HICO-DET annotation file'),
    ]
    for arguments, message in cases:
        assert main(['difference', '--annotations', *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count('\n') == 1, error

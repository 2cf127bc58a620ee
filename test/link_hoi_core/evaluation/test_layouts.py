"""What an image model is told to draw is what its pictures are then evaluated against."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.hico_det import read_hico_det
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.layouts import layouts, stretched
from link_hoi_core.vocabulary import load_vocabulary

HICO = load_vocabulary('hico-det')


def image(
    *pairs: tuple[str, str], size: tuple[int, int] | None = (100, 200), name: str = 'a.jpg'
) -> AnnotatedImage:
    """Pairs (verb, object), each on its own boxes, each smaller than the one before."""
    verb = np.array([HICO.verbs.index(v) for v, _ in pairs], np.int64)
    object_ = np.array([HICO.objects.index(o) for _, o in pairs], np.int64)
    right = 100 - np.arange(len(pairs))
    boxes = np.stack([0 * right, 0 * right, right, right], 1).astype(np.float32)
    return AnnotatedImage(
        name, size, boxes, boxes + 10, HICO.hoi_index[object_, verb], object_, verb
    )


def test_layout_says_who_does_what_where() -> None:
    given = image(('feed', 'cat'), ('no_interaction', 'apple'), ('feed', 'cat'))
    (layout,) = layouts([given], HICO)
    assert layout['prompt'] == 'a person feeding a cat, a person and an apple'
    assert layout['subject_phrases'] == ['person'] * 3
    assert layout['action_phrases'] == ['feeding', 'and', 'feeding']
    assert layout['object_phrases'] == ['cat', 'apple', 'cat']
    assert layout['subject_boxes'][0] == [0, 0, 0.5, 1]
    assert layout['object_boxes'][0] == [0.05, 0.1, 0.55, 1]  # cut at the image's border
    assert layout['file_name'] == 'a.jpg'


def test_names_are_words() -> None:
    (layout,) = layouts([image(('talk_on', 'cell_phone'))], HICO)
    assert layout['prompt'] == 'a person talking on a cell phone'
    assert layout['object_phrases'] == ['cell phone']


def test_of_too_many_pairs_the_largest_are_told() -> None:
    given = image(('eat', 'apple'), ('hold', 'apple'), ('wash', 'apple'))
    given = AnnotatedImage(**vars(given) | {'boxes_h': given.boxes_h[::-1].copy()})
    given = AnnotatedImage(**vars(given) | {'boxes_o': given.boxes_h})
    (layout,) = layouts([given], HICO, most=2)
    assert layout['action_phrases'] == ['holding', 'washing']


def test_stretched_boxes_keep_their_place_in_the_picture() -> None:
    (found,) = stretched([image(('eat', 'apple')), image(name='no_pairs.jpg')], (50, 50))
    assert found.size == (50, 50)
    np.testing.assert_allclose(found.boxes_h, [[0, 0, 25, 50]])


def test_unknown_size_is_one_sentence() -> None:
    for function in (lambda i: layouts(i, HICO), lambda i: stretched(i, (9, 9))):
        with pytest.raises(ValueError, match=r'a\.jpg: the annotations give no image size'):
            function([image(('eat', 'apple'), size=None)])


def test_command_writes_layouts_and_the_annotations_of_their_pictures(
    tmp_path: Path,
    write_annotations: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = write_annotations(tmp_path / 'source.json', 10)
    arguments = ['layouts', '--annotations', str(source), '--output', str(tmp_path / 'out')]
    assert main([*arguments, '--size', '256']) == 0
    drawn = json.loads((tmp_path / 'out/layouts.json').read_text())
    pictures = read_hico_det(tmp_path / 'out/annotations.json')
    annotated = [image for image in read_hico_det(source) if len(image.hoi)]
    assert f'{len(annotated)} layouts of ' in capsys.readouterr().out
    assert [layout['file_name'] for layout in drawn] == [image.file_name for image in pictures]
    for layout, picture, original in zip(drawn, pictures, annotated):
        assert picture.size == (256, 256)
        np.testing.assert_array_equal(picture.hoi, original.hoi)
        boxes = np.array(layout['object_boxes'])
        np.testing.assert_allclose(boxes * 256, picture.boxes_o, atol=1e-3)


def test_size_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ['layouts', '--annotations', 'a.json', '--output', str(tmp_path / 'out')]
    assert main([*arguments, '--size', '0']) == 2
    assert '--size is 0, expected at least 1 pixel' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()

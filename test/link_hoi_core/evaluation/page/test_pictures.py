"""What of an image is shown with a mistake."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.data.annotated_image import annotated_image
from link_hoi_core.evaluation.page.pictures import scene
from link_hoi_core.vocabulary import load_vocabulary

EMPTY = np.array([30.0, 10, 30, 50]), 'human'
NOTHING = np.zeros((0, 4)), np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, int)


@pytest.mark.parametrize(('size', 'view'), [((100, 200), (0, 0, 200, 100)), (None, (0, 0, 1, 1))])
def test_of_empty_boxes_the_whole_image_is_shown(size: tuple | None, view: tuple) -> None:
    image = annotated_image(load_vocabulary('hico-det'), '0.jpg', size, *NOTHING)
    shown = scene(image, [EMPTY, EMPTY], None)
    assert (shown.view, shown.boxes) == (view, [])


def test_what_surrounds_the_boxes_is_shown_and_empty_ones_are_not_drawn() -> None:
    image = annotated_image(load_vocabulary('hico-det'), '0.jpg', (1000, 1000), *NOTHING)
    shown = scene(image, [(np.array([600.0, 600, 700, 800]), 'object'), EMPTY], None)
    x, y, width, height = shown.view
    assert 300 < x < 600 < 700 < x + width < 1000
    assert 300 < y < 600 < 800 < y + height < 1000
    assert shown.boxes == [(600, 600, 100, 200, 'object')]

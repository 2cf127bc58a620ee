"""Views: what is drawn in a picture is found again where the view's boxes say."""

from __future__ import annotations

import numpy as np
import pytest

from link_hoi_core.data.views import Augmentation, View, draw_view, fixed_view

SIZES = [(480, 640), (640, 427), (1200, 900), (60, 90), (5, 700), (1, 1)]
EVERYTHING = Augmentation(flip=0.5, crop=0.7, colour=0.4)
CROP = Augmentation(flip=0, crop=1)


def random_boxes(size: tuple[int, int], count: int, random: np.random.Generator) -> np.ndarray:
    """(N, 4) float64 anywhere in an image, also reaching into its corners."""
    height, width = size
    corners = random.uniform(-0.1, 1.1, (count, 2, 2)).clip(0, 1) * (width, height)
    return np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)


def columns_and_rows(size: tuple[int, int]) -> np.ndarray:
    """A picture that says of each pixel where it is: column and row modulo 256, and both / 256."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack((x % 256, y % 256, x // 256 * 16 + y // 256), axis=-1).astype(np.uint8)


def places(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns and rows that `columns_and_rows` has written."""
    low_x, low_y, high = np.moveaxis(picture.astype(int), -1, 0)
    return low_x + high // 16 * 256, low_y + high % 16 * 256


def contains(box: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which of the points lie in a box."""
    return (box[0] <= x) & (x < box[2]) & (box[1] <= y) & (y < box[3])


@pytest.mark.parametrize('size', SIZES)
def test_a_drawn_rectangle_is_where_its_box_is(size: tuple[int, int]) -> None:
    """Red on grey stays red in other colours; a rectangle that is cut away has a box without area.

    A box is where the red pixels begin and end, found without a look at how the view was made.
    """
    random = np.random.default_rng(0)
    cut_away = cropped = 0
    for _ in range(150):
        x1, y1, x2, y2 = random_boxes(size, 1, random)[0].astype(int)
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        if x2 > size[1] or y2 > size[0]:
            continue
        image = np.full((*size, 3), 100, np.uint8)
        image[y1:y2, x1:x2] = (200, 60, 60)
        view = draw_view(size, EVERYTHING, random)
        picture, box = view.picture(image), view.boxes(np.float32([[x1, y1, x2, y2]]))[0]
        assert picture.shape == (*view.size, 3) and picture.dtype == np.uint8
        red = picture[..., 0].astype(int) - picture[..., 1] > 20
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        cropped += view.size != size
        if len(rows):
            assert box.tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert red[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        else:
            assert (box[2:] - box[:2]).min() == 0
            cut_away += 1
    if min(size) > 100:
        assert cut_away > 2 and cropped > 50


@pytest.mark.parametrize('size', SIZES[:4])
def test_fractional_boxes_hold_the_same_pixels(size: tuple[int, int]) -> None:
    """A pixel's centre is in the view's box if the pixel that it shows was in the original's."""
    random = np.random.default_rng(1)
    image = columns_and_rows(size)
    for _ in range(25):
        view = draw_view(size, Augmentation(flip=0.5, crop=1), random)
        x, y = places(view.picture(image))
        rows, columns = np.mgrid[: view.size[0], : view.size[1]]
        boxes = random_boxes(size, 8, random)
        seen = view.boxes(boxes)
        assert seen.dtype == np.float64
        for box, found in zip(boxes, seen):
            np.testing.assert_array_equal(
                contains(found, columns + 0.5, rows + 0.5), contains(box, x + 0.5, y + 0.5)
            )


def test_boxes_keep_their_precision() -> None:
    """In float64 to the last digits: a box within the window is moved, its size unchanged."""
    view = View((480, 640), (100, 50, 500, 400), flip=True)
    boxes = np.array([[120.123456789, 60.25, 300.987654321, 399.875]])
    (found,) = view.boxes(boxes)
    expected = [500 - 300.987654321, 10.25, 500 - 120.123456789, 349.875]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert view.boxes(boxes.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_the_whole_image_is_as_it_was(dtype: type) -> None:
    random = np.random.default_rng(2)
    image = random.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    boxes = random_boxes((480, 640), 100, random).astype(dtype)
    drawn = draw_view((480, 640), Augmentation(flip=0, crop=0, colour=0), random)
    assert drawn == View.whole((480, 640)) and drawn.size == (480, 640)
    assert drawn.boxes(boxes).tobytes() == boxes.tobytes()
    assert drawn.picture(image).tobytes() == image.tobytes()
    assert drawn.boxes(np.zeros((0, 4), dtype)).shape == (0, 4)


def test_each_box_is_held_against_the_window_by_itself() -> None:
    """The published crop compares a human's right edge with its object's left one (spec 9)."""
    view = View((480, 640), (200, 100, 600, 480))
    left_of_it, in_it = [10, 10, 200, 300], [210, 110, 300, 200]
    above, around = [250, 0, 300, 100], [0, 0, 640, 480]
    found = view.boxes(np.float32([left_of_it, in_it, above, around]))
    assert ((found[:, 2:] - found[:, :2]).min(axis=1) > 0).tolist() == [False, True, False, True]
    assert found[1].tolist() == [10, 10, 100, 100] and found[3].tolist() == [0, 0, 400, 380]


@pytest.mark.parametrize('size', SIZES)
def test_crops_are_of_384_to_600_pixels_of_the_scaled_image(size: tuple[int, int]) -> None:
    """And anywhere in it; an image scaled to 400 is cut to 384 to 400 of its short side."""
    random = np.random.default_rng(3)
    windows = np.array([draw_view(size, CROP, random).window for _ in range(4000)])
    for axis, side in ((1, size[0]), (0, size[1])):
        low, high = windows[:, axis], windows[:, axis + 2]
        length = high - low
        least, most = 384 / 600 * min(size), min(600 / 400 * min(size), side)
        assert low.min() == 0 and high.max() == side and (length >= 1).all()
        assert max(1, least - 0.51) <= length.min() <= least + 0.02 * side + 1
        assert most - 0.02 * side - 1 <= length.max() <= most + 0.51
        if side > 100:  # the window's room is used evenly
            room = side - length
            share = low[room > 20] / room[room > 20]
            np.testing.assert_allclose(
                np.quantile(share, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.05
            )


def test_how_often_and_how_far() -> None:
    random = np.random.default_rng(4)
    drawn = Augmentation(flip=0.25, crop=0.6, colour=0.3)
    views = [draw_view((480, 640), drawn, random) for _ in range(20000)]
    assert np.mean([view.flip for view in views]) == pytest.approx(0.25, abs=0.02)
    assert np.mean([view.size != (480, 640) for view in views]) == pytest.approx(0.6, abs=0.02)
    colours = np.array([view.colour for view in views])
    assert np.abs(colours - 1).max() <= 0.3 and (np.abs(colours - 1).max(axis=0) > 0.299).all()
    np.testing.assert_allclose(colours.mean(axis=0), 1, atol=0.01)
    assert np.abs(np.corrcoef(colours.T)[np.triu_indices(3, 1)]).max() < 0.05
    always = [draw_view((480, 640), Augmentation(flip=1), random) for _ in range(100)]
    assert all(view.flip and view.size == (480, 640) for view in always)


@pytest.mark.parametrize(
    'colour', [(1.4, 1, 1), (0.6, 1, 1), (1, 1.4, 1), (1, 0.6, 1), (1, 1, 1.4), (1.2, 0.7, 0.8)]
)
def test_colours_are_those_of_torchvision(colour: tuple[float, float, float]) -> None:
    torch = pytest.importorskip('torch')
    functional = pytest.importorskip('torchvision.transforms.v2.functional')
    image = np.random.default_rng(5).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    expected = torch.from_numpy(image).permute(2, 0, 1).double() / 255
    brightness, contrast, saturation = colour
    expected = functional.adjust_brightness(expected, brightness)
    expected = functional.adjust_contrast(expected, contrast)
    expected = functional.adjust_saturation(expected, saturation).permute(1, 2, 0) * 255
    found = View((40, 50), (0, 0, 50, 40), colour=colour).picture(image)
    assert np.abs(found - expected.numpy()).max() <= 0.5 + 1e-3  # the rounding to whole numbers


def test_a_fixed_view_is_the_same_in_every_process() -> None:
    """Written down: what a cache holds must be what a later run takes it for."""
    found = fixed_view('HICO_train2015_00000001.jpg', 4, (480, 640), EVERYTHING)
    assert found.window == (210, 51, 627, 465) and found.flip
    assert found.colour == pytest.approx((0.85604356439, 0.97500513553, 1.05175664150), abs=1e-10)


def test_fixed_views_differ_by_name_and_number() -> None:
    def views(*names: str) -> list[View]:
        return [fixed_view(name, k, (480, 640), EVERYTHING) for name in names for k in range(20)]

    assert views('a.jpg') == views('a.jpg')
    assert len(set(views('a.jpg', 'b.jpg', 'train/ä.jpg'))) == 60


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match='640 x 427 pixels, but its boxes are of one of 640 x 480'):
        View.whole((480, 640)).picture(np.zeros((427, 640, 3), np.uint8))


@pytest.mark.parametrize('change', [{'flip': 1.5}, {'colour': -0.1}, {'crop': float('nan')}])
def test_an_impossible_augmentation_is_refused(change: dict[str, float]) -> None:
    (name,) = change
    with pytest.raises(ValueError, match=rf'augmentation.{name} is .*, expected 0 to 1'):
        Augmentation(**change)

"""What augmentation makes of an image and its boxes: a part of it, mirrored, in other colours."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from link_hoi_core.data.transforms import flip_boxes

SHORT_SIDES = (400, 500, 600)
LEAST_CROP, MOST_CROP = 384, 600
AS_IT_IS = (1.0, 1.0, 1.0)
LUMINANCE = np.array([0.2989, 0.587, 0.114], dtype=np.float32)  # of red, green and blue


@dataclass(frozen=True)
class Augmentation:
    """How an annotated image is changed each time it is seen.

    Attributes:
        flip: probability of a mirrored image.
        crop: probability that an image is cropped (spec section 9).
        colour: most relative change of brightness, contrast and saturation.
        jitter: most relative shift and scale of a box (`transforms.jitter_boxes`).
        score_noise: probability that an image's boxes get random scores instead of their own.
        least_score: the random scores are uniform between this and 1.
    """

    flip: float = 0.5
    crop: float = 0.0
    colour: float = 0.0
    jitter: float = 0.1
    score_noise: float = 0.25
    least_score: float = 0.3

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f'augmentation.{name} is {value}, expected 0 to 1')


@dataclass(frozen=True)
class View:
    """How one image is seen: cropped, then mirrored, then with its colours changed.

    Attributes:
        image_size: (height, width) of the original image.
        window: (x1, y1, x2, y2), whole pixels of the original: what is kept of it.
        flip: whether the view is mirrored left to right.
        colour: factors of brightness, contrast and saturation, in this order; 1 = as it is.
    """

    image_size: tuple[int, int]
    window: tuple[int, int, int, int]
    flip: bool = False
    colour: tuple[float, float, float] = AS_IT_IS

    @classmethod
    def whole(cls, image_size: tuple[int, int]) -> View:
        """An image of (height, width) as it is."""
        height, width = image_size
        return cls(image_size, (0, 0, width, height))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the view."""
        x1, y1, x2, y2 = self.window
        return y2 - y1, x2 - x1

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) of the original image in the view's pixels, cut at its border.

        One that lies outside of the window comes back without an area.
        """
        x1, y1, *_ = self.window
        height, width = self.size
        moved = boxes - np.array((x1, y1, x1, y1), boxes.dtype)
        inside = moved.clip(0, np.array((width, height, width, height), boxes.dtype))
        return flip_boxes(inside, width) if self.flip else inside

    def picture(self, image: np.ndarray) -> np.ndarray:
        """The view of an (H, W, 3) uint8 RGB image: (h, w, 3) uint8, which may share its memory.

        Raises:
            ValueError: the image is of another size than `image_size`.
        """
        if image.shape[:2] != self.image_size:
            (height, width), (found_height, found_width) = self.image_size, image.shape[:2]
            raise ValueError(
                f'the image is of {found_width} x {found_height} pixels, but its boxes are of one '
                f'of {width} x {height}'
            )
        x1, y1, x2, y2 = self.window
        picture = _recoloured(image[y1:y2, x1:x2], self.colour)
        return picture[:, ::-1] if self.flip else picture


def draw_view(
    image_size: tuple[int, int], augmentation: Augmentation, random: np.random.Generator
) -> View:
    """A random view of an image of (height, width), as PViC and DETR draw it (spec section 9).

    Mirrored with probability `flip`; each colour factor uniform in 1 +- `colour`; with probability
    `crop` cut as if the image's short side were scaled to 400, 500 or 600 and a part of 384 to 600
    pixels a side (but no larger than the image) were taken. The scaled images themselves are never
    made: a model stretches what it gets to its own input.
    """
    # One call, whatever is switched on: a setting does not change what is drawn for another one.
    flip, crop, *colour, scale, height, width, top, left = random.random(10).tolist()
    window = View.whole(image_size).window
    if crop < augmentation.crop:
        factor = SHORT_SIDES[int(scale * len(SHORT_SIDES))] / min(image_size)
        y1, y2 = _crop(image_size[0], factor, height, top)
        x1, x2 = _crop(image_size[1], factor, width, left)
        window = (x1, y1, x2, y2)
    brightness, contrast, saturation = (
        1 + augmentation.colour * (2 * share - 1) for share in colour
    )
    return View(image_size, window, flip < augmentation.flip, (brightness, contrast, saturation))


def fixed_view(
    name: str, number: int, image_size: tuple[int, int], augmentation: Augmentation
) -> View:
    """View `number` of the image called `name`, the same in every run and process."""
    random = np.random.default_rng([number, *name.encode()])
    return draw_view(image_size, augmentation, random)


def _crop(side: int, factor: float, length: float, place: float) -> tuple[int, int]:
    """Where a crop begins and ends on one side of an image, in its own pixels.

    Args:
        side: of the image.
        factor: by which it would be scaled.
        length, place: uniform random numbers in [0, 1).
    """
    most = min(side * factor, MOST_CROP)
    kept = round((LEAST_CROP + length * (most - LEAST_CROP)) / factor)
    kept = max(1, min(kept, side))
    first = int(place * (side - kept + 1))
    return first, first + kept


def _recoloured(image: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Scale an image's brightness, its distance from the mean grey, and each pixel's from its own.

    As torchvision's ColorJitter, but always in this order and without rounding in between.
    """
    if colour == AS_IT_IS:
        return image
    brightness, contrast, saturation = colour
    pixels = image.astype(np.float32)
    _spread(pixels, 0.0, brightness)
    _spread(pixels, (pixels @ LUMINANCE).mean(), contrast)
    _spread(pixels, (pixels @ LUMINANCE)[..., None], saturation)
    return pixels.round().astype(np.uint8)


def _spread(pixels: np.ndarray, grey: np.ndarray | float, factor: float) -> None:
    """Scale the distance of `pixels` from `grey`, within 0 to 255 and in place, which is faster."""
    pixels -= grey
    pixels *= factor
    pixels += grey
    pixels.clip(0, 255, out=pixels)

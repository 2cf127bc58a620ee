"""What is put before a model whose cost is asked for."""

from __future__ import annotations

import numpy as np

from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary

HEIGHT, WIDTH = 480, 640
MOST = 15  # humans and objects, each, that LINK's selection lets through (A.4)
ROWS, COLUMNS = 5, 6


def crowded_scene(pairs: int, vocabulary: Vocabulary, seed: int = 0) -> Detections:
    """Boxes of a 640 x 480 image that make so many pairs; none hides another, so all are selected.

    Raises:
        ValueError: no scene of at most 15 humans and 15 objects has so many pairs.
    """
    humans, objects = people_and_things(pairs)
    count = humans + objects
    random = np.random.default_rng(seed)
    # A box lies in its own cell of a grid.
    cell = random.permutation(ROWS * COLUMNS)[:count]
    size = np.array([WIDTH / COLUMNS, HEIGHT / ROWS])
    corner = np.stack((cell % COLUMNS, cell // COLUMNS), axis=1) * size
    low, high = random.uniform(0, 0.3, (count, 2)), random.uniform(0.6, 1, (count, 2))
    boxes = np.concatenate((corner + low * size, corner + high * size), axis=1)
    things = np.delete(np.arange(len(vocabulary.objects)), vocabulary.person)
    labels = np.concatenate((np.full(humans, vocabulary.person), random.choice(things, objects)))
    return Detections(boxes, random.uniform(0.5, 1, count), labels, (HEIGHT, WIDTH))


def people_and_things(pairs: int) -> tuple[int, int]:
    """The fewest humans, and the objects, that make so many pairs: 60 is 4 and 12, 435 15 and 15.

    Raises:
        ValueError: as `crowded_scene`.
    """
    for humans in range(1, MOST + 1):
        others, left = divmod(pairs, humans)
        objects = others + 1 - humans
        if not left and pairs > 0 and 0 <= objects <= MOST:
            return humans, objects
    raise ValueError(
        f'{pairs} pairs cannot be made of at most {MOST} humans and {MOST} objects: '
        f'expected humans x (humans + objects - 1), such as 60 or 435'
    )

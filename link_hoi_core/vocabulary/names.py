"""Names of the 80 COCO objects: HICO's spelling, those of detectors, and COCO category ids."""

from __future__ import annotations

import re

#: COCO's 80 objects in COCO order, in HICO's spelling (0 = person).
COCO80: tuple[str, ...] = (
    'person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck', 'boat',
    'traffic_light', 'fire_hydrant', 'stop_sign', 'parking_meter', 'bench', 'bird', 'cat', 'dog',
    'horse', 'sheep', 'cow', 'elephant', 'bear', 'zebra', 'giraffe', 'backpack', 'umbrella',
    'handbag', 'tie', 'suitcase', 'frisbee', 'skis', 'snowboard', 'sports_ball', 'kite',
    'baseball_bat', 'baseball_glove', 'skateboard', 'surfboard', 'tennis_racket', 'bottle',
    'wine_glass', 'cup', 'fork', 'knife', 'spoon', 'bowl', 'banana', 'apple', 'sandwich', 'orange',
    'broccoli', 'carrot', 'hot_dog', 'pizza', 'donut', 'cake', 'chair', 'couch', 'potted_plant',
    'bed', 'dining_table', 'toilet', 'tv', 'laptop', 'mouse', 'remote', 'keyboard', 'cell_phone',
    'microwave', 'oven', 'toaster', 'sink', 'refrigerator', 'book', 'clock', 'vase', 'scissors',
    'teddy_bear', 'hair_drier', 'toothbrush',
)  # fmt: skip

#: COCO category id (1 to 90, ten of them never used) of each of `COCO80`.
COCO91_IDS: tuple[int, ...] = tuple(
    i for i in range(1, 91) if i not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
)

#: Other names of COCO objects in use (Pascal VOC, Open Images, LVIS, Objects365, British English),
#: beside those that differ only by what `name_key` drops.
SYNONYMS: dict[str, tuple[str, ...]] = {
    'person': ('people', 'pedestrian', 'human', 'man', 'woman', 'boy', 'girl', 'child'),
    'bicycle': ('bike', 'cycle'),
    'car': ('automobile',),
    'motorcycle': ('motorbike',),
    'airplane': ('aeroplane', 'plane', 'aircraft'),
    'boat': ('ship',),
    'traffic_light': ('stoplight', 'traffic signal'),
    'fire_hydrant': ('hydrant', 'fireplug'),
    'cow': ('cattle', 'bull', 'ox'),
    'backpack': ('rucksack', 'knapsack'),
    'handbag': ('purse',),
    'tie': ('necktie',),
    'suitcase': ('luggage',),
    'skis': ('ski',),
    'sports_ball': ('ball', 'sport ball', 'football', 'soccer ball', 'baseball', 'basketball'),
    'baseball_glove': ('baseball mitt', 'catcher mitt'),
    'tennis_racket': ('tennis racquet', 'racket'),
    'cup': ('mug', 'coffee cup'),
    'donut': ('doughnut',),
    'couch': ('sofa', 'settee'),
    'potted_plant': ('pot plant', 'houseplant', 'flowerpot'),
    'dining_table': ('table', 'dinner table'),
    'tv': ('television', 'tv monitor', 'television set', 'monitor', 'tv screen'),
    'laptop': ('laptop computer', 'notebook computer'),
    'mouse': ('computer mouse',),
    'remote': ('remote control',),
    'keyboard': ('computer keyboard',),
    'cell_phone': ('mobile phone', 'cellular telephone', 'smartphone', 'mobile', 'phone'),
    'microwave': ('microwave oven',),
    'refrigerator': ('fridge',),
    'scissors': ('scissor', 'pair of scissors'),
    'teddy_bear': ('teddy', 'plush bear'),
    'hair_drier': ('hair dryer', 'blow dryer'),
}


def name_key(name: str) -> str:
    """What is equal between spellings of one name: 'Cell phone', 'cell_phone', 'cellphone'."""
    return re.sub(r'[\W_]', '', name.lower())


def spellings(name: str) -> tuple[str, str, str]:
    """A name as it is, as lower-case words and as its key: how near another spelling may be."""
    return name, ' '.join(re.findall(r'[^\W_]+', name.lower())), name_key(name)


def coco_synonyms(name: str) -> tuple[str, ...]:
    """Every name of the COCO object called `name`, HICO's spelling first; () if COCO has none."""
    coco = _COCO_BY_KEY.get(name_key(name))
    return () if coco is None else (coco, *SYNONYMS.get(coco, ()))


def coco80_of_coco91(category_id: int) -> int:
    """Index (0 to 79) of a COCO category id (1 to 90).

    Raises:
        ValueError: COCO has no such category.
    """
    if category_id not in COCO91_IDS:
        raise ValueError(f'COCO has no category {category_id!r}: ids are 1 to 90 with ten unused')
    return COCO91_IDS.index(category_id)


_COCO_BY_KEY = {name_key(name): name for name in COCO80}
_COCO_BY_KEY.update(
    {name_key(other): name for name, others in SYNONYMS.items() for other in others}
)

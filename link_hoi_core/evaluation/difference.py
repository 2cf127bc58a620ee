"""Which images one model does well and another does not (appendix A.6, Figure 6).

The paper groups the test images by the "normalized performance difference" of a model that knows
what things mean (CLIP) and one that knows where they are (DINOv2), and does not say what that is.
Here it is the difference of the AP that each has on the image alone, a fraction in [0, 1]: of all
its detections there, of whatever class, in one ranking by score, against all annotated pairs, by 11
points. A mean of the APs of single classes would not do: a wrong verb would cost nothing, as its
class is not annotated in the image, and verbs are what the two models are to differ in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import average_precision
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.plots import COLOURS, GREY, picture

GROUPS = ('semantic', 'spatial', 'both', 'hard')
COLUMNS = ('all', *GROUPS)
LARGE_DIFFERENCE, HARD = 0.25, 0.4  # of APs in [0, 1]


def image_average_precision(
    ranked: RankedDetections, images: Sequence[AnnotatedImage]
) -> np.ndarray:
    """AP (I,) in [0, 1] of each image; NaN for one without annotated pairs."""
    order = np.lexsort((ranked.row, -ranked.score, ranked.image))
    pairs = np.array([len(image.hoi) for image in images], np.int64)
    columns = (ranked.image, ranked.score, ranked.correct, ranked.image, ranked.row)
    # With images for classes.
    by_image = RankedDetections(*(column[order] for column in columns), pairs)
    return np.where(pairs > 0, average_precision(by_image), np.nan)


def split_images(semantic: np.ndarray, spatial: np.ndarray) -> dict[str, np.ndarray]:
    """The groups of A.6, each image in one of them, one without pairs in none.

    The paper's conditions overlap: what is hard for both may also differ. Here 'hard' comes first,
    so that an image is called 'semantic' or 'spatial' only where one of the models does see it.

    Args:
        semantic, spatial: AP (I,) of each image by either model, as of `image_average_precision`.

    Returns:
        (I,) bool by name: 'semantic' where the first is better by more than 0.25, 'spatial' where
        the second is, 'both' where neither is, 'hard' where both are below 0.4.
    """
    known = ~np.isnan(semantic)
    hard = (semantic < HARD) & (spatial < HARD)
    gain = semantic - spatial
    groups = {
        'semantic': (gain > LARGE_DIFFERENCE) & ~hard,
        'spatial': (gain < -LARGE_DIFFERENCE) & ~hard,
        'both': (np.abs(gain) <= LARGE_DIFFERENCE) & ~hard,
        'hard': hard,
    }
    return {name: members & known for name, members in groups.items()}


def group_map(
    ranked: RankedDetections, images: Sequence[AnnotatedImage], members: np.ndarray
) -> float:
    """mAP in percent on some of the images, as if there were no others; NaN without any pair.

    The mean is over the classes that are annotated in them; of all images it is the benchmark's own
    where every class is annotated, as in HICO-DET's test set.

    Args:
        members: (I,) bool.
    """
    hoi = [image.hoi for image, inside in zip(images, members) if inside]
    hoi = np.concatenate([np.zeros(0, np.int64), *hoi])
    pairs = np.bincount(hoi, minlength=len(ranked.num_annotated))
    ap = average_precision(replace(ranked.take(members[ranked.image]), num_annotated=pairs))
    return 100 * float(ap[pairs > 0].mean()) if pairs.any() else float('nan')


def difference_table(
    groups: Mapping[str, np.ndarray], figures: Mapping[str, Mapping[str, float]]
) -> str:
    """The images of each group, and a line for each model: its mAP in each.

    Args:
        figures: mAP by model and by group, 'all' among them.
    """
    counts = {name: int(members.sum()) for name, members in groups.items()}
    counts['all'] = sum(counts.values())
    width = max(len('images with pairs'), *map(len, figures))
    rows = [('', COLUMNS), ('images with pairs', [str(counts[name]) for name in COLUMNS])]
    rows += [(name, [f'{of[group]:.2f}' for group in COLUMNS]) for name, of in figures.items()]
    return '\n'.join(f'{name:{width}}' + ''.join(f'{c:>10}' for c in row) for name, row in rows)


def difference_json(
    images: Sequence[AnnotatedImage],
    aps: Sequence[np.ndarray],
    groups: Mapping[str, np.ndarray],
    figures: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """The numbers of the table, and the group and APs of each image with pairs.

    Args:
        aps: (I,) of the semantic and of the spatial model.
    """
    group_of = {index: name for name in groups for index in np.flatnonzero(groups[name]).tolist()}
    return {
        'groups': {name: int(members.sum()) for name, members in groups.items()},
        # JSON has no NaN.
        'map': {
            name: {group: None if np.isnan(value) else value for group, value in of.items()}
            for name, of in figures.items()
        },
        'images': [
            {
                'file_name': images[index].file_name,
                'group': group_of[index],
                'ap': [float(ap[index]) for ap in aps],
            }
            for index in sorted(group_of)
        ],
    }


def draw_difference(
    path: Path,
    models: Sequence[str],
    aps: Sequence[np.ndarray],
    groups: Mapping[str, np.ndarray],
    figures: Mapping[str, Mapping[str, float]],
) -> None:
    """Images by the AP of the two models, coloured by group; mAP of all models in each group.

    Args:
        models: names of the semantic and the spatial one.
        aps: theirs, (I,) each.
    """
    with picture(path, 10.5, 4.2) as figure:
        points, bars = figure.subplots(1, 2, width_ratios=(2, 3))
        _draw_images(points, aps, groups)
        points.set(xlabel=f'AP of {models[0]}', ylabel=f'AP of {models[1]}')
        _draw_figures(bars, figures)
        of_points, of_bars = (axes.get_legend_handles_labels() for axes in (points, bars))
        figure.legend(*of_points, loc='outside lower left', ncols=4, markerscale=4, columnspacing=1)
        figure.legend(*of_bars, loc='outside lower right', ncols=3)


def _draw_images(panel: Any, aps: Sequence[np.ndarray], groups: Mapping[str, np.ndarray]) -> None:
    """A point for each image, a little shifted, as many have the very same APs."""
    random = np.random.default_rng(0)
    for (name, members), colour in zip(groups.items(), (*COLOURS[:3], GREY)):
        x, y = (ap[members] + random.uniform(-0.01, 0.01, members.sum()) for ap in aps)
        label = f'{name} ({members.sum()})'
        panel.plot(x, y, '.', color=colour, markersize=3, alpha=0.4, label=label)
    panel.set_title('Images')
    panel.set_aspect('equal')


def _draw_figures(panel: Any, figures: Mapping[str, Mapping[str, float]]) -> None:
    """Bars for each group, one of each model, in other colours than those of the groups."""
    width = 0.8 / len(figures)
    places = np.arange(len(COLUMNS))
    colours = COLOURS[3:]
    for index, (name, of) in enumerate(figures.items()):
        heights = [of[group] for group in COLUMNS]
        shift = (index - (len(figures) - 1) / 2) * width
        colour = colours[index % len(colours)]
        drawn = panel.bar(places + shift, heights, width, label=name, color=colour)
        texts = ['' if np.isnan(height) else f'{height:.1f}' for height in heights]
        panel.bar_label(drawn, texts, fontsize=7, padding=1)
    panel.set_xticks(places, COLUMNS)
    panel.set(title='mAP on the images of each group', ylabel='mAP (%)')
    panel.grid(axis='x', visible=False)

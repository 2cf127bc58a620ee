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

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import average_precision
from link_hoi_core.evaluation.matching import RankedDetections
from link_hoi_core.evaluation.plots import COLOURS, GREY, picture

GROUPS = ('semantic', 'spatial', 'both', 'hard')
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

    The mean is over the classes that are annotated in them; over all of them it is the benchmark's
    own where every class is annotated, as in HICO-DET's test set.

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
    columns = ('all', *GROUPS)
    counts = {name: int(members.sum()) for name, members in groups.items()}
    counts['all'] = sum(counts.values())
    width = max(len('images with pairs'), *map(len, figures))
    rows = [('', columns), ('images with pairs', [str(counts[name]) for name in columns])]
    rows += [(name, [f'{of[group]:.2f}' for group in columns]) for name, of in figures.items()]
    return '\n'.join(f'{name:{width}}' + ''.join(f'{c:>10}' for c in row) for name, row in rows)


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
        random = np.random.default_rng(0)
        for (name, members), colour in zip(groups.items(), (*COLOURS[:3], GREY)):
            # A little beside each other: many images have the very same APs.
            x, y = (ap[members] + random.uniform(-0.01, 0.01, members.sum()) for ap in aps)
            label = f'{name} ({members.sum()})'
            points.plot(x, y, '.', color=colour, markersize=3, alpha=0.4, label=label)
        points.set(xlabel=f'AP of {models[0]}', ylabel=f'AP of {models[1]}', title='Images')
        points.set_aspect('equal')
        handles = points.get_legend_handles_labels()
        figure.legend(*handles, loc='outside lower left', ncols=4, markerscale=4, columnspacing=1)
        width = 0.8 / len(figures)
        places = np.arange(len(GROUPS) + 1)
        for index, (name, of) in enumerate(figures.items()):
            heights = [of[group] for group in ('all', *GROUPS)]
            shift = (index - (len(figures) - 1) / 2) * width
            # Not the colours of the groups.
            colour = COLOURS[len(GROUPS) - 1 :][index % len(GROUPS)]
            drawn = bars.bar(places + shift, heights, width, label=name, color=colour)
            texts = ['' if np.isnan(height) else f'{height:.1f}' for height in heights]
            bars.bar_label(drawn, texts, fontsize=7, padding=1)
        bars.set_xticks(places, ('all', *GROUPS))
        bars.set(title='mAP on the images of each group', ylabel='mAP (%)')
        bars.grid(axis='x', visible=False)
        figure.legend(*bars.get_legend_handles_labels(), loc='outside lower right', ncols=3)

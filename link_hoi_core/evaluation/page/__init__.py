"""The report page: one HTML file that shows what an evaluation found, and where it went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.data.json_files import write_whole
from link_hoi_core.evaluation.outcome import Benchmark, Outcome
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.report import figure_label
from link_hoi_core.optional import require


def write_report(
    folder: Path,
    outcome: Outcome,
    facts: Mapping[str, Any],
    images: Sequence[AnnotatedImage],
    predictions: ScoredPairs,
    benchmark: Benchmark,
    *,
    pictures: Path | None = None,
    train_counts: np.ndarray | None = None,
    robustness: Sequence[Any] | None = None,
    remarks: Sequence[str] = (),
) -> Path:
    """Write `index.html` into `folder`, which is made where it is not there; the file's path.

    The page holds everything that it shows: it works from disk and asks the network for nothing.

    Args:
        outcome: `outcome.ranked.row` counts in `predictions`.
        facts: what was evaluated and how, as in the JSON of the figures; shown as they are.
        images: those that `predictions.image` counts in.
        pictures: folder with the images, as far as they are at hand; of the worst mistakes only.
        train_counts: (C,) annotated pairs of each class in the training annotations.
        robustness: rows of the robustness protocol.
        remarks: sentences on what was found wrong or left out in the input.

    Raises:
        ImportError: jinja2 is missing.
        OSError: the page cannot be written.
    """
    jinja2 = require('jinja2', 'pip install jinja2', 'the report page')
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(_resource('template.html.j2'))
    figures = {figure_label(name): value for name, value in outcome.figures.items()}
    page = template.render(figures=figures, facts=facts, remarks=remarks)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'index.html'
    write_whole(path, page.encode())
    return path


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding='utf-8')

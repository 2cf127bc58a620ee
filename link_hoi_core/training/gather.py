"""Validation shared among the processes of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn import functional

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.pairs import ScoredPairs


def predict_together(
    predict: Callable[[Sequence[AnnotatedImage]], ScoredPairs],
    images: Sequence[AnnotatedImage],
    device: torch.device,
) -> ScoredPairs:
    """What `predict` gives for all images, each process having predicted its share of them.

    Args:
        device: where the processes exchange tensors.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return predict(images)
    rank, world = distributed.get_rank(), distributed.get_world_size()
    own = predict(images[rank::world])
    numbered = replace(own, image=own.image * world + rank)
    rows = torch.cat(_gather(_to_rows(numbered).to(device))).cpu()
    return _from_rows(rows[rows[:, 0].argsort(stable=True)])


def _gather(rows: Tensor) -> list[Tensor]:
    """The rows (D, C) of every process; each may have another D."""
    counts = [rows.new_zeros(()) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, rows.new_tensor(len(rows)))
    most = int(max(counts))
    parts = [rows.new_empty(most, rows.shape[1]) for _ in counts]
    distributed.all_gather(parts, functional.pad(rows, (0, 0, 0, most - len(rows))))
    return [part[: int(count)] for part, count in zip(parts, counts)]


def _to_rows(pairs: ScoredPairs) -> Tensor:
    """(D, 11) float64, which holds every column exactly."""
    columns = (pairs.image, pairs.boxes_h, pairs.boxes_o, pairs.hoi, pairs.score)
    return torch.from_numpy(np.column_stack(columns).astype(np.float64))


def _from_rows(rows: Tensor) -> ScoredPairs:
    image, boxes_h, boxes_o, hoi, score = np.split(rows.numpy(), (1, 5, 9, 10), axis=1)
    return ScoredPairs(
        image[:, 0].astype(np.int32),
        boxes_h.astype(np.float32),
        boxes_o.astype(np.float32),
        hoi[:, 0].astype(np.int32),
        score[:, 0],
    )

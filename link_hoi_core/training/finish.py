"""How a training run ends: the figures of what it trained, and the checkpoint with its card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from link_hoi_core.checkpoint import save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.data.json_files import write_json
from link_hoi_core.evaluation.average_precision import F1Figures, best_f1_threshold, f1_at
from link_hoi_core.evaluation.boxes import predict_ground_truth_boxes
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.summary import benchmark_figures
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.training.card import Cost, card
from link_hoi_core.training.experiment import Experiment
from link_hoi_core.training.module import LinkTraining

if TYPE_CHECKING:
    from link_hoi_core.training.data import TrainingData

FIGURES = 'figures.json'
THRESHOLD_IMAGES = 10000


def finish(
    experiment: Experiment, output: Path, module: LinkTraining, data: TrainingData, cost: Cost
) -> None:
    """Evaluate the trained weights with ground-truth boxes; write `output`/checkpoint and figures.

    Raises:
        ValueError, OSError: a picture cannot be read, or a weight not be written.
    """
    # In the precision of a checkpoint, so that what is evaluated is what it holds.
    module.model.cpu().half().float().eval()
    trained = module.checkpoint('trained')
    predictor = HoiPredictor(trained, select=False, device=str(cost.device))
    predictions = predict_ground_truth_boxes(predictor, data.test, data.folder)
    figures = benchmark_figures(
        data.test, predictions, predictor.vocabulary, experiment.setting.unseen
    )
    config, f1 = to_dict(experiment), None
    if predictor.vocabulary.id == 'hico-det':
        f1 = _f1(predictor, data, predictions)
        config |= {'f1_threshold': f1.threshold}
    text = card(experiment, module.teachers.checkpoints, figures, f1, cost)
    save_checkpoint(output / 'checkpoint', trained.model, trained.backbone, config, text)
    write_json(output / FIGURES, figures | (f1.named() if f1 else {}), indent=2)


def _f1(predictor: HoiPredictor, data: TrainingData, predictions: ScoredPairs) -> F1Figures:
    """mF1 of the test images, at the threshold that is best on training images."""
    images = data.train[:THRESHOLD_IMAGES]
    found = predict_ground_truth_boxes(predictor, images, data.folder)
    chosen = best_f1_threshold(HicoDet(images).rank(found)['official'])
    return f1_at(HicoDet(data.test).rank(predictions)['official'], chosen.threshold)

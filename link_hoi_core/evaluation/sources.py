"""Where the predictions of an evaluation come from: files of them, or a model on given boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from link_hoi_core.data.annotations import GROUND_TRUTH
from link_hoi_core.data.image_folder import ImageFolder
from link_hoi_core.data.recorded import recorded_detector
from link_hoi_core.detectors import score_exponent
from link_hoi_core.evaluation.box_origin import origin_hint
from link_hoi_core.evaluation.boxes import ground_truth_boxes, predict_boxes, recorded_boxes
from link_hoi_core.evaluation.cross_domain import ClassMap, as_source, class_map, translate
from link_hoi_core.evaluation.outcome import Benchmark
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.evaluation.perturbation import Perturbation, perturb_all
from link_hoi_core.evaluation.prediction_files import read_predictions
from link_hoi_core.evaluation.remarks import Remarks
from link_hoi_core.model.scoring import VerbFilter
from link_hoi_core.models import ZERO_SHOT, Predictor, load_predictor
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True)
class EvaluationConfig:
    """How a model is run in an evaluation (`--config FILE`, `--set key=value`).

    Attributes:
        score_exponent: lambda; None = what goes with the detector that the file of boxes names, 1
            where it names none (spec section 6).
        select: LINK's selection of boxes, NMS and 3 to 15 humans and objects; None = where they
            are a detector's or some are redundant, not where they are annotated.
        zero_shot_filter: keep each pair's best verbs only, as in the zero-shot setting (A.4).
        perturbation: of the boxes (A.12).
    """

    score_exponent: float | None = None
    select: bool | None = None
    zero_shot_filter: bool = False
    perturbation: Perturbation = field(default_factory=Perturbation)


class PredictionFiles:
    """Predictions that are in files, in one or in many.

    Attributes:
        facts: what should be known beside the figures.
    """

    def __init__(
        self, paths: Sequence[Path], benchmark: Benchmark, of: str | None, remarks: Remarks
    ) -> None:
        """Take the files.

        Args:
            of: the vocabulary whose classes they hold, where it is not the benchmark's.
        """
        self._paths, self._benchmark, self._remarks = paths, benchmark, remarks
        self._of = of or benchmark.name
        self._map = map_to(benchmark, load_vocabulary(self._of), remarks)
        self.facts = {
            'predictions': [path.name for path in paths],
            'classes_of': self._of,
            **_unmapped(self._map),
        }

    def parts(self) -> Iterator[ScoredPairs]:
        """The predictions; errors as of `read_predictions`."""
        name, images = self._benchmark.name, self._benchmark.images
        found = read_predictions(self._paths, name, images, self._remarks, self._of)
        for number, part in enumerate(found):
            if number == 0 and (hint := origin_hint(images, part)):
                self._remarks.say(hint)
            yield part if self._map is None else translate(part, self._map)


@dataclass(frozen=True)
class ModelOnBoxes:
    """What a model predicts among given boxes.

    Attributes:
        boxes: 'ground-truth', or a file of recorded detections.
        folder: of the pictures, for a model that looks at them.
        seed: of the perturbation.
    """

    predictor: Predictor
    boxes: str
    benchmark: Benchmark
    config: EvaluationConfig
    folder: ImageFolder | None
    remarks: Remarks
    seed: int = 0

    def parts(self, perturbation: Perturbation | None = None) -> Iterator[ScoredPairs]:
        """The predictions, on boxes that are perturbed as the configuration says, or so.

        Raises:
            ValueError, OSError: a file of boxes or a picture cannot be had, or no map leads from
                the model's classes to the benchmark's; one sentence.
        """
        self.predictor.select, self.predictor.score_exponent = self._select, self._score_exponent
        names = [image.file_name for image in self.benchmark.images]
        perturbed = perturbation or self.config.perturbation
        seen = reported = self._given
        if perturbed != Perturbation():
            seen, reported = perturb_all(self._given, names, perturbed, self.seed)
        for part in predict_boxes(self.predictor, seen, names, self.folder, reported):
            yield part if self._map is None else translate(part, self._map)

    @property
    def facts(self) -> dict[str, Any]:
        """What should be known beside the figures."""
        return {
            'model': self.predictor.model_name,
            'classes_of': self.predictor.vocabulary.id,
            'pixels': self.predictor.needs_image,
            'boxes': Path(self.boxes).name,
            **asdict(self.config),
            'select': self._select,
            'score_exponent': self._score_exponent,
            'seed': self.seed,
            **_unmapped(self._map),
        }

    @cached_property
    def _map(self) -> ClassMap | None:
        return map_to(self.benchmark, self.predictor.vocabulary, self.remarks)

    @cached_property
    def _given(self) -> list[Detections | None]:
        """The boxes of each image."""
        images, vocabulary = self.benchmark.images, self.predictor.vocabulary
        if self.boxes != GROUND_TRUTH:
            return recorded_boxes(self.boxes, images, vocabulary, self.remarks)
        found = ground_truth_boxes(images)
        if self._map is None:
            return found
        return [boxes and as_source(boxes, self._map) for boxes in found]

    @property
    def _select(self) -> bool:
        if self.config.select is not None:
            return self.config.select
        return self.boxes != GROUND_TRUTH or self.config.perturbation.copies > 0

    @cached_property
    def _score_exponent(self) -> float:
        if self.config.score_exponent is not None:
            return self.config.score_exponent
        name = None if self.boxes == GROUND_TRUTH else recorded_detector(self.boxes)
        return 1.0 if name is None else score_exponent(name)


def open_predictor(
    model: str, device: str, backbone_weights: str | None, config: EvaluationConfig
) -> Predictor:
    """Load what is to be evaluated.

    Raises:
        ValueError, OSError, ImportError: as of `load_predictor`, or it has no zero-shot filter.
    """
    if not config.zero_shot_filter:
        return load_predictor(model, device, backbone_weights)
    if ZERO_SHOT.fullmatch(model):
        raise ValueError(f'zero_shot_filter is for checkpoints: leave it out for {model}')
    return load_predictor(model, device, backbone_weights, verb_filter=VerbFilter())


def map_to(benchmark: Benchmark, source: Vocabulary, remarks: Remarks) -> ClassMap | None:
    """From the classes of predictions to those of a benchmark; None where they are the same."""
    if source.id == benchmark.vocabulary.id:
        return None
    found = class_map(source, benchmark.vocabulary)
    remarks.say(
        f'predictions are of {source.id}: {len(found.unmapped_source)} of its classes are none of '
        f'{benchmark.name}, and {len(found.unmapped_target)} of {benchmark.name} it cannot say'
    )
    return found


def _unmapped(classes: ClassMap | None) -> dict[str, Sequence[str]]:
    """The classes between which the map finds nothing, by name."""
    if classes is None:
        return {}
    return {'unmapped_source': classes.unmapped_source, 'unmapped_target': classes.unmapped_target}

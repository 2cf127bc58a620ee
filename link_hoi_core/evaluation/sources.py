"""Where the predictions of an evaluation come from: files of them, or a model on given boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

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
from link_hoi_core.models import Predictor, load_predictor
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary, load_vocabulary

GROUND_TRUTH = 'ground-truth'


@dataclass(frozen=True)
class EvaluationConfig:
    """How a model is run in an evaluation (`--config FILE`, `--set key=value`).

    Attributes:
        score_exponent: lambda; None = what goes with the detector that the file of boxes names, 1
            where it names none (spec section 6).
        select: LINK's selection of boxes, NMS and 3 to 15 humans and objects; None = where they
            are a detector's, not where they are annotated.
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
        self._map = _map_to(benchmark, load_vocabulary(self._of), remarks)
        self.facts = {
            'predictions': [path.name for path in paths],
            'classes_of': self._of,
            **_unmapped(self._map),
        }
        self._hinted = False

    def parts(self) -> Iterator[ScoredPairs]:
        """The predictions; errors as of `read_predictions`."""
        images = self._benchmark.images
        for part in read_predictions(self._paths, self._of, images, self._remarks):
            translated = part if self._map is None else translate(part, self._map)
            if not self._hinted:
                self._hinted = True
                if hint := origin_hint(images, translated):
                    self._remarks.say(hint)
            yield translated


class ModelOnBoxes:
    """What a model predicts among given boxes.

    Attributes:
        predictor: the model.
        facts: what should be known beside the figures.
    """

    def __init__(
        self,
        model: str,
        boxes: str,
        benchmark: Benchmark,
        config: EvaluationConfig,
        folder: ImageFolder | None,
        remarks: Remarks,
        device: str = 'auto',
        seed: int = 0,
    ) -> None:
        """Load the model.

        Args:
            boxes: 'ground-truth', or a file of recorded detections.
            folder: of the pictures, for a model that looks at them.
            seed: of the perturbation.

        Raises:
            ValueError, OSError, ImportError: the model or a file of boxes cannot be had, or no map
                leads from the model's classes to the benchmark's; one sentence.
        """
        self._boxes, self._benchmark, self._folder = boxes, benchmark, folder
        self._config, self._remarks, self._seed = config, remarks, seed
        select = config.select
        if select is None:
            select = boxes != GROUND_TRUTH or config.perturbation.copies > 0
        options = {'verb_filter': VerbFilter()} if config.zero_shot_filter else {}
        self.predictor: Predictor = load_predictor(model, device, select=select, **options)
        self.predictor.score_exponent = self._score_exponent()
        self._map = _map_to(benchmark, self.predictor.vocabulary, remarks)
        self.facts = {
            'model': model,
            'classes_of': self.predictor.vocabulary.id,
            'pixels': self.predictor.needs_image,
            'boxes': boxes,
            **asdict(config),
            'select': select,
            'score_exponent': self.predictor.score_exponent,
            'seed': seed,
            **_unmapped(self._map),
        }

    def parts(self, perturbation: Perturbation | None = None) -> Iterator[ScoredPairs]:
        """The predictions on boxes that are perturbed as the configuration says, or so."""
        names = [image.file_name for image in self._benchmark.images]
        perturbed = perturbation or self._config.perturbation
        seen = reported = self._found
        if perturbed != Perturbation():
            seen, reported = perturb_all(self._found, names, perturbed, self._seed)
        for part in predict_boxes(self.predictor, seen, names, self._folder, reported):
            yield part if self._map is None else translate(part, self._map)

    @cached_property
    def _found(self) -> list[Detections | None]:
        """The boxes of each image."""
        images, vocabulary = self._benchmark.images, self.predictor.vocabulary
        if self._boxes != GROUND_TRUTH:
            return recorded_boxes(self._boxes, images, vocabulary, self._remarks)
        found = ground_truth_boxes(images)
        if self._map is None:
            return found
        return [boxes and as_source(boxes, self._map) for boxes in found]

    def _score_exponent(self) -> float:
        if self._config.score_exponent is not None:
            return self._config.score_exponent
        name = None if self._boxes == GROUND_TRUTH else recorded_detector(self._boxes)
        return 1.0 if name is None else score_exponent(name)


def _map_to(benchmark: Benchmark, source: Vocabulary, remarks: Remarks) -> ClassMap | None:
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

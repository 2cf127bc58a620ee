"""What a detector is asked for with, whatever its family."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from link_hoi_core.vocabulary import Vocabulary


@dataclass(frozen=True)
class DetectorOptions:
    """How a named detector is to be built and what it is to give.

    Attributes:
        vocabulary: what the labels of its detections index.
        weights: 'pretrained' (the published ones, by name), 'random' (drawn from `seed`, for tests
            and timings), or a local file or folder.
        device: where the network runs.
        score_threshold: boxes below it are left out; None = the family's own (LINK A.11, A.8).
        keep_unknown: objects outside the vocabulary stay, label -1, under the detector's own name.
        words: what an open-vocabulary detector looks for; () = the vocabulary's objects.
        seed: of random weights.

    Raises:
        ValueError: the threshold is no score, or a word is empty.
    """

    vocabulary: Vocabulary
    weights: str = 'pretrained'
    device: torch.device = torch.device('cpu')
    score_threshold: float | None = None
    keep_unknown: bool = True
    words: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.score_threshold is not None and not 0 <= self.score_threshold <= 1:
            raise ValueError(f'score_threshold is {self.score_threshold}, expected 0 to 1')
        if not all(word.strip() for word in self.words):
            raise ValueError(f'one of the words {list(self.words)} is empty')

    def searched_words(self) -> tuple[str, ...]:
        """What to look for, in plain words ('cell phone'), each once and in a fixed order."""
        words = self.words or self.vocabulary.objects
        return tuple(dict.fromkeys(' '.join(word.replace('_', ' ').split()) for word in words))

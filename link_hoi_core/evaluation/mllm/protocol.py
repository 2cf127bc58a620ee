"""The protocol of LINK A.5 on HICO-DET: which images are asked about, and what answers score."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from link_hoi_core.data.annotated_image import AnnotatedImage
from link_hoi_core.evaluation.average_precision import f1_at
from link_hoi_core.evaluation.hico_det import HicoDet
from link_hoi_core.evaluation.mllm.answer import Answer, read_answer
from link_hoi_core.evaluation.mllm.fault import Fault
from link_hoi_core.evaluation.mllm.prompt import digest, has_pairs, instructions, question_text
from link_hoi_core.evaluation.pairs import ScoredPairs
from link_hoi_core.images import as_rgb_of_size
from link_hoi_core.optional import require
from link_hoi_core.ranking import choose_detections
from link_hoi_core.structures import Detections
from link_hoi_core.vocabulary import Vocabulary

_QUALITY = 95  # of the JPEG that is sent


@dataclass(frozen=True)
class Question:
    """What a model is asked about one image.

    Attributes:
        image: its number in the annotations.
        file_name: of the picture.
        detections: the boxes in the prompt's order.
        texts: before and after the picture.
        prompt: digest of the texts, which tells whether an answer belongs to this question.
    """

    image: int
    file_name: str
    detections: Detections
    texts: tuple[str, str]
    prompt: str

    def content(self, picture: np.ndarray) -> list[dict[str, Any]]:
        """The parts of the message to the model.

        Raises:
            ValueError: the picture, RGB, is not of the size that the boxes are of.
        """
        before, after = ({'type': 'text', 'text': text} for text in self.texts)
        url = _jpeg_url(as_rgb_of_size(picture, self.detections.image_size))
        return [before, {'type': 'image_url', 'image_url': {'url': url}}, after]


def make_questions(
    images: Sequence[AnnotatedImage],
    boxes: Sequence[Detections | None],
    vocabulary: Vocabulary,
    select: bool,
) -> list[Question]:
    """A question for each image whose boxes make a pair; about the others there is none.

    Args:
        boxes: of each image; objects outside the vocabulary (label -1) are not told of.
        select: leave the same boxes as LINK does (NMS, 3 to 15 persons and objects), so that the
            models that are compared choose among the same pairs. Not for annotated boxes.
    """
    before = instructions(vocabulary)
    questions = []
    for index, (image, found) in enumerate(zip(images, boxes)):
        if found is None:
            continue
        chosen = found.take(choose_detections(found, vocabulary, select))
        if has_pairs(chosen, vocabulary):
            texts = before, question_text(chosen, vocabulary)
            prompt = digest(''.join(texts))
            questions.append(Question(index, image.file_name, chosen, texts, prompt))
    return questions


@dataclass(frozen=True)
class Verdict:
    """What the answers to all questions came to.

    Attributes:
        predictions: the interactions that were understood, each of score 1, for an answer of text
            has no scores.
        figures: 'mf1', 'mprec', 'mrec' over all 600 classes, and the same with '_rare' and
            '_non_rare' behind it, as fractions (Table 9).
        faulty: how many answers had each kind of fault.
        times: how often each kind was met.
        flawless: how many answers had none.
    """

    predictions: ScoredPairs
    figures: dict[str, float]
    faulty: Counter[Fault]
    times: Counter[Fault]
    flawless: int


def judge(
    images: Sequence[AnnotatedImage],
    questions: Sequence[Question],
    answers: Mapping[str, str],
    vocabulary: Vocabulary,
) -> Verdict:
    """Read and score the answers; a question without one counts as answered by nothing.

    Args:
        images: all of the annotation file, also those that were not asked about.
        answers: text by file name.
    """
    read = [
        (question, read_answer(answers[question.file_name], question.detections, vocabulary))
        for question in questions
        if question.file_name in answers
    ]
    predictions = ScoredPairs.concatenate(_pairs(*item, vocabulary) for item in read)
    return Verdict(
        predictions,
        _figures(images, predictions, vocabulary),
        Counter(fault for _, answer in read for fault in answer.faults),
        sum((answer.faults for _, answer in read), Counter()),
        sum(not answer.faults for _, answer in read),
    )


def _figures(
    images: Sequence[AnnotatedImage], predictions: ScoredPairs, vocabulary: Vocabulary
) -> dict[str, float]:
    """By the official convention; no threshold: every interaction has score 1, above 0."""
    (ranked,) = HicoDet(images).rank(predictions).values()
    figures = {}
    groups = {'': None, '_rare': vocabulary.rare, '_non_rare': ~vocabulary.rare}
    for name, classes in groups.items():
        f1 = f1_at(ranked, 0.0, classes)
        figures |= {f'mf1{name}': f1.mf1, f'mprec{name}': f1.mprec, f'mrec{name}': f1.mrec}
    return figures


def _pairs(question: Question, answer: Answer, vocabulary: Vocabulary) -> ScoredPairs:
    human, object_, verb = answer.triplets.T
    found = question.detections
    return ScoredPairs(
        np.full(len(verb), question.image, np.int32),
        found.boxes[human],
        found.boxes[object_],
        vocabulary.hoi_index[found.labels[object_], verb].astype(np.int32),
        np.ones(len(verb)),
    )


def _jpeg_url(image: np.ndarray) -> str:
    """A data URL of an (H, W, 3) uint8 RGB image: its pixels and no other data of its file."""
    pillow = require('PIL.Image', 'pip install pillow', 'sending pictures')
    buffer = io.BytesIO()
    pillow.fromarray(image).save(buffer, 'JPEG', quality=_QUALITY)
    return f'data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}'

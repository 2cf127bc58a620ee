"""What the demo shows in the end: a table of triplets, a picture and a video.

A frame is what `demo_recorder.frame` gives of a HoiTripletArray, or None where none came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from link_hoi_core.drawing import draw_interactions
from link_hoi_core.structures import Detections, Interactions
from link_hoi_core.vocabulary import Vocabulary
from link_hoi_ros.demo_video import Video, opencv

Frame = dict[str, Any]

# An interaction that is missing for longer than this has ended; a detector blinks.
GAP_SECONDS = 0.5
TABLE_ROWS = 20
# More labels than these hide the picture.
DRAWN = 6
# Small videos are enlarged, so that labels can be read.
WIDTH = 1280


@dataclass
class Episode:
    """A stretch of frames in which somebody does the same with a thing of the same class."""

    verb: str
    object_name: str
    frames: list[int]
    scores: list[float]

    @property
    def mean_score(self) -> float:
        """Mean over the frames of the best triplet's score."""
        return sum(self.scores) / len(self.scores)


def find_episodes(frames: Sequence[Frame | None], rate: float) -> list[Episode]:
    """All episodes of a video of `rate` frames a second, by falling sum of scores."""
    running: dict[tuple[str, str], Episode] = {}
    episodes = []
    for index, frame in enumerate(frames):
        for (verb, object_name), score in _best_scores(frame).items():
            episode = running.get((verb, object_name))
            if episode is None or index - episode.frames[-1] > GAP_SECONDS * rate:
                episode = Episode(verb, object_name, [], [])
                running[verb, object_name] = episode
                episodes.append(episode)
            episode.frames.append(index)
            episode.scores.append(score)
    return sorted(episodes, key=lambda episode: -sum(episode.scores))


def _best_scores(frame: Frame | None) -> dict[tuple[str, str], float]:
    """Of each (verb, object name) in a frame."""
    best: dict[tuple[str, str], float] = {}
    for triplet in frame['triplets'] if frame else ():  # by falling score
        best.setdefault((triplet['verb'], triplet['object_name']), triplet['score'])
    return best


def table(episodes: Sequence[Episode], rate: float) -> str:
    """The main episodes in order of time, as text."""
    if not episodes:
        return "No triplet reached the node's score threshold."
    heading = f'{"seconds":>13}  {"frames":>6}  {"human":<8}{"verb":<16}{"object":<16}mean score'
    lines = [heading, '-' * len(heading)]
    for episode in sorted(episodes[:TABLE_ROWS], key=lambda episode: episode.frames[0]):
        first, last = episode.frames[0] / rate, episode.frames[-1] / rate
        lines.append(
            f'{first:5.1f} - {last:5.1f}  {len(episode.frames):6}  person  {episode.verb:<16}'
            f'{episode.object_name:<16}{episode.mean_score:10.2f}'
        )
    if len(episodes) > TABLE_ROWS:
        lines.append(f'and {len(episodes) - TABLE_ROWS} more: see triplets.json')
    return '\n'.join(lines)


def best_frame(frames: Sequence[Frame | None]) -> int:
    """The frame that shows most: with the largest sum of the scores that are drawn."""
    sums = [
        sum(triplet['score'] for triplet in frame['triplets'][:DRAWN]) if frame else 0.0
        for frame in frames
    ]
    return int(np.argmax(sums))


def annotated(
    video: Video, frames: Sequence[Frame | None], vocabulary: Vocabulary
) -> Iterator[np.ndarray]:
    """Every frame of the video (H, W, 3) RGB, enlarged, with the triplets that came for it."""
    factor = max(1, WIDTH // video.size[1])
    for pixels, frame in zip(video.frames(), frames):
        large = opencv().resize(
            pixels, None, fx=factor, fy=factor, interpolation=opencv().INTER_CUBIC
        )
        if frame is None:
            yield large
            continue
        found = _detections(frame, vocabulary, video.size, factor)
        yield draw_interactions(large, found, _interactions(frame, vocabulary), vocabulary, DRAWN)


def write_pictures(
    images: Iterator[np.ndarray], rate: float, best: int, picture: Path, video: Path
) -> None:
    """Write all images as a video (MPEG-4), and the one at index `best` as a picture.

    Raises:
        OSError: a file cannot be written, or what was written does not play.
    """
    cv2 = opencv()
    writer, count = None, 0
    for count, image in enumerate(images, start=1):
        if writer is None:
            size = (image.shape[1], image.shape[0])
            writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'mp4v'), rate, size)
        image_bgr = np.ascontiguousarray(image[:, :, ::-1])
        writer.write(image_bgr)
        if count == best + 1 and not cv2.imwrite(str(picture), image_bgr):
            raise OSError(f'{picture} cannot be written')
    if writer is not None:
        writer.release()
    if _count_frames(video) != count:
        raise OSError(f'{video} does not play: {_count_frames(video)} of {count} frames')


def _count_frames(path: Path) -> int:
    capture = opencv().VideoCapture(str(path))
    count = 0
    while capture.grab():
        count += 1
    capture.release()
    return count


def _detections(
    frame: Frame, vocabulary: Vocabulary, size: tuple[int, int], factor: int
) -> Detections:
    rows = frame['detections']
    labels = [vocabulary.object_index(row['class_name']) for row in rows]
    return Detections(
        np.array([row['box'] for row in rows]) * factor,
        [row['score'] for row in rows],
        [-1 if label is None else label for label in labels],
        (size[0] * factor, size[1] * factor),
        names=tuple(row['class_name'] for row in rows),
    )


def _interactions(frame: Frame, vocabulary: Vocabulary) -> Interactions:
    rows = frame['triplets']
    return Interactions(
        np.array([row['human'] for row in rows], np.int64),
        np.array([row['object'] for row in rows], np.int64),
        np.array([vocabulary.verb_index(row['verb']) for row in rows], np.int64),
        np.array([row['score'] for row in rows], np.float32),
        np.array([row['interaction_score'] for row in rows], np.float32),
    )

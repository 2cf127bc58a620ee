"""Detections of pictures: `python -m link_hoi_core.detect IMAGE... --detector NAME --output FILE`.

Runs a detector over pictures or folders and writes recorded detections, which training, evaluation
and `--detector recorded:FILE` read. A run that was stopped or killed goes on from there when it is
started again; `--shard 0/4` shares the pictures among processes, `--merge` joins their files.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from link_hoi_core.data.journal import Journal
from link_hoi_core.data.recorded import RecordedImage, merge_recorded, named_entry, write_named
from link_hoi_core.detectors import Detector, find_row, load_detector
from link_hoi_core.device import pick_device
from link_hoi_core.images import list_pictures, read_image
from link_hoi_core.progress import progress
from link_hoi_core.vocabulary import load_vocabulary, with_objects

SETTINGS = ('detector', 'detector_weights', 'detector_threshold', 'vocabulary', 'objects')


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        0; 1 if pictures were left out, after one sentence on each; 2 if the file was not written,
        after one sentence; 130 or 143 if the run was stopped by SIGINT or SIGTERM.
    """
    options = _parser().parse_args(arguments)
    try:
        _check(options)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        if options.merge:
            print(_summary(options.output, merge_recorded(options.merge, options.output)))
            return 0
        return _run(options)
    except (ValueError, OSError, ImportError) as error:
        print(f'detect: {error}', file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m link_hoi_core.detect', description=__doc__)
    parser.add_argument(
        'images', nargs='*', type=Path, metavar='IMAGE', help='picture, or folder of pictures'
    )
    parser.add_argument('--detector', help='name, or onnx:FILE ... (see README)')
    parser.add_argument(
        '--detector-weights', default='pretrained', metavar='PATH', help='default: published ones'
    )
    parser.add_argument(
        '--detector-threshold', type=float, metavar='SCORE', help="default: the detector's own"
    )
    parser.add_argument(
        '--vocabulary', default='hico-det', help='what a detector of any words looks for'
    )
    parser.add_argument(
        '--objects', metavar='"CUP, ROBOT ARM"', help="these and people instead of vocabulary's"
    )
    parser.add_argument('--batch', type=int, default=8, help='pictures at once (default: 8)')
    parser.add_argument(
        '--shard', type=_shard, default=(0, 1), metavar='I/N', help='every Nth picture from the Ith'
    )
    parser.add_argument(
        '--most-failures', type=int, default=10, help='pictures left out before it stops'
    )
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--merge', nargs='+', type=Path, metavar='FILE', help='files of shards')
    parser.add_argument(
        '--output', type=Path, required=True, metavar='FILE', help='.json or .json.gz'
    )
    return parser


def _check(options: argparse.Namespace) -> None:
    """What can be known to be wrong before anything is loaded."""
    if not options.output.name.endswith(('.json', '.json.gz')):
        raise ValueError(f'--output is {options.output}, expected a name in .json or .json.gz')
    if options.output.exists():
        raise ValueError(f'{options.output} is there already: delete it or choose another name')
    if options.merge and (options.images or options.detector):
        raise ValueError('--merge takes files of recorded detections, no pictures or detector')
    if options.merge:
        return
    if not options.images or not options.detector:
        raise ValueError('give pictures or folders and a --detector, or files to --merge')
    find_row(options.detector)
    threshold = options.detector_threshold
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f'--detector-threshold is {threshold}, expected 0 to 1')
    for name, least in {'batch': 1, 'most_failures': 0}.items():
        if getattr(options, name) < least:
            given = getattr(options, name)
            raise ValueError(f'--{name.replace("_", "-")} is {given}, expected {least} or more')


def _run(options: argparse.Namespace) -> int:
    first, step = options.shard
    pictures = dict(list(name_pictures(options.images).items())[first::step])
    settings = {key: getattr(options, key) for key in SETTINGS}
    partial = options.output.with_name(f'{options.output.name}.partial.jsonl')
    journal = Journal(partial, {**settings, 'shard': f'{first}/{step}'})
    if other := next((name for name in _names(journal) if name not in pictures), None):
        raise ValueError(f'{partial} has {other!r}, which is not among the pictures: delete it')
    with _stop_signals() as stopped:
        left_out = _detect(pictures, journal, options, stopped)
    if stopped:
        done = f'{len(journal.entries)} of {len(pictures)} pictures are done'
        print(f'detect: stopped, {done}: the same command goes on', file=sys.stderr)
        return 128 + stopped[0]
    write_named(options.output, journal.entries, settings)
    journal.remove()
    print(_summary(options.output, journal.entries))
    return 1 if left_out else 0


def name_pictures(paths: Sequence[Path]) -> dict[str, Path]:
    """The pictures by the names that they are recorded under, in the order of these.

    Raises:
        ValueError: two have the same name, or a folder has no picture.
    """
    pictures: dict[str, Path] = {}
    for path in list_pictures(paths):
        other = pictures.setdefault(path.name, path)
        if other != path:
            raise ValueError(f'{other} and {path} would both be recorded as {path.name!r}')
    return dict(sorted(pictures.items()))


def _detect(
    pictures: dict[str, Path], journal: Journal, options: argparse.Namespace, stopped: list[int]
) -> int:
    """Enter what is not in the journal yet, until `stopped` has something; counts what is bad.

    Raises:
        ValueError: more pictures than the most had to be left out.
    """
    done = _names(journal)
    batches = _batches(pictures, options.batch, done)
    if not batches:
        return 0
    detector = _load_detector(options)
    left_out = 0
    with progress('detect', len(pictures), _tenths(len(pictures))) as show:
        for batch in batches:
            if stopped:
                break
            entries, faults = _find(detector, batch)
            journal.append([entry for entry in entries if entry['file_name'] not in done])
            for name, fault in faults.items():
                print(f'detect: {name} left out: {fault}', file=sys.stderr)
            left_out += len(faults)
            if left_out > options.most_failures:
                raise ValueError(
                    f'{left_out} pictures had to be left out, more than --most-failures '
                    f'{options.most_failures}: mend them or allow more, and run it again to go on'
                )
            show(len(journal.entries) + left_out)
    return left_out


def _batches(pictures: dict[str, Path], size: int, done: set[str]) -> list[dict[str, Path]]:
    """The batches that are not wholly done.

    What goes together depends on the pictures alone: padding to a batch's largest picture may
    change what is found in the last digits, and a run that was killed is to give the same file.
    """
    rows = list(pictures.items())
    batches = [dict(rows[start : start + size]) for start in range(0, len(rows), size)]
    return [batch for batch in batches if not done.issuperset(batch)]


def _find(
    detector: Detector, batch: dict[str, Path]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Entries of a batch, and by name what is wrong with pictures that give none."""
    try:
        images = [read_image(path) for path in batch.values()]
        found = detector.detect(images, [str(path) for path in batch.values()])
        return [named_entry(RecordedImage(*pair)) for pair in zip(batch, found)], {}
    except (ValueError, OSError) as error:
        if len(batch) == 1:
            return [], dict.fromkeys(batch, str(error))
    entries, faults = [], {}
    for name, path in batch.items():  # alone, so that only the bad ones are lost
        one, fault = _find(detector, {name: path})
        entries += one
        faults |= fault
    return entries, faults


def _load_detector(options: argparse.Namespace) -> Detector:
    vocabulary = load_vocabulary(options.vocabulary)
    if options.objects is not None:
        vocabulary = with_objects(vocabulary, options.objects.split(','))
    return load_detector(
        options.detector,
        vocabulary,
        weights=options.detector_weights,
        device=pick_device(options.device),
        score_threshold=options.detector_threshold,
    )


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """The list that a SIGINT or SIGTERM is put into; a second one does what it does otherwise."""
    stopped: list[int] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def stop(number: int, _: object) -> None:
        stopped.append(number)
        restore()

    for number in usual:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        restore()


def _tenths(total: int) -> Callable[[int], None]:
    """A function that is told how many pictures are through, and says it at every tenth."""
    shown = 0

    def show(through: int) -> None:
        nonlocal shown
        if through * 10 // total > shown:
            shown = through * 10 // total
            print(f'detect: {shown * 10} % ({through} of {total} pictures)', file=sys.stderr)

    return show


def _names(journal: Journal) -> set[str]:
    return {entry['file_name'] for entry in journal.entries}


def _shard(text: str) -> tuple[int, int]:
    """(0, 4) of '0/4'."""
    first, slash, count = text.partition('/')
    if not (slash and first.isdecimal() and count.isdecimal() and int(first) < int(count)):
        raise argparse.ArgumentTypeError(f'{text!r} is no shard, expected 0/4, 1/4 ... 3/4')
    return int(first), int(count)


def _summary(output: Path, entries: Sequence[dict[str, Any]]) -> str:
    boxes = sum(len(entry['dets']) for entry in entries)
    return f'{output}: {boxes} detections in {len(entries)} pictures'


if __name__ == '__main__':
    sys.exit(main())

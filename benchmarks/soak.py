"""The node for as long as a shift: `python benchmarks/soak.py [--minutes 30]`; 1 if a rule breaks.

A camera sends 640 x 480 images at 30 Hz, its detector finds what was recorded of the demo's video,
again and again, two images late, and leaves out each twentieth; triplets, events, counters and the
overlay are listened to. In the first half minute the node is held for three seconds. Three rules:
memory of its own grows by less than 1 % after that; no frame is published after a newer one; and
each image that the node received is in one counter.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Any

import ros_stream
from result_page import write_tables
from sensor_msgs.msg import Image

from link_hoi_core.data.json_files import write_json
from link_hoi_msgs.msg import HoiEvent
from link_hoi_ros import qos

RESULT = ros_stream.ROOT / 'benchmarks' / 'results' / 'soak.json'
RATE, LAG, SKIP = 30.0, 2, 20
# What is seen in the video scores about 0.3.
EVENTS = {'event.start_score': 0.2, 'event.end_score': 0.1}
WARM_UP_SECONDS = 30.0
STOP_SECONDS = (8.0, 11.0)
SAMPLE_SECONDS = 10.0
SAMPLES = 3
GROWTH_PERCENT = 1.0


def main() -> int:
    """Print and write the figures; 0 if every rule holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=30.0)
    parser.add_argument('--json', type=Path, default=RESULT)
    options = parser.parse_args()
    ros_stream.isolate()
    overlays: list[int] = []
    events: list[int] = []
    stamps: list[int] = []
    with ros_stream.watching() as watcher:
        profile = qos.result_output()
        watcher.create_subscription(Image, 'overlay', lambda _: overlays.append(1), profile)
        watcher.create_subscription(HoiEvent, 'events', lambda _: events.append(1), profile)
        with (
            ros_stream.running_node(watcher, **EVENTS) as node,
            ros_stream.running_camera(RATE, 'video', lag=LAG, skip=SKIP) as play,
        ):
            stop_and_go(node.pid)
            stamps += play(WARM_UP_SECONDS)
            memory = [memory_of(node.pid)]
            while 60 * options.minutes > len(memory) * SAMPLE_SECONDS + WARM_UP_SECONDS - 1:
                stamps += play(SAMPLE_SECONDS)
                memory.append(memory_of(node.pid))
            counts = watcher.counts()
    answered = [stamp for stamp, _ in watcher.triplets]
    figures = {
        'command': f'python benchmarks/soak.py --minutes {options.minutes:g}',
        'sent': len(stamps),
        'lost_before_the_node': len(stamps) - counts['received'],
        'counts': counts,
        'answered': len(answered),
        'overlays': len(overlays),
        'events': len(events),
        'memory_mb': memory,
        'growth_percent': growth([each['own'] for each in memory]),
    }
    figures['broken'] = broken_rules(figures, stamps, answered)
    write_json(options.json, figures, indent=2)
    if options.json == RESULT:
        write_tables('soak', table(figures))
    for name, figure in figures.items():
        print(f'{name:20} {figure}')
    return 1 if figures['broken'] else 0


def stop_and_go(process: int) -> None:
    """Hold a process for some seconds, soon: after that each of its queues has been full once.

    What they took stays theirs, so that memory would otherwise grow a little at each hiccup of the
    machine until the longest one.
    """
    for seconds, number in zip(STOP_SECONDS, (signal.SIGSTOP, signal.SIGCONT)):
        threading.Timer(seconds, os.kill, (process, number)).start()


def growth(memory: list[float]) -> float:
    """From the first samples to the last, in percent; what comes and goes between is no growth."""
    first, last = median(memory[:SAMPLES]), median(memory[-SAMPLES:])
    return round(100 * (last / first - 1), 3)


def memory_of(process: int) -> dict[str, float]:
    """What a process holds in memory, MB: of its own, and in segments that it shares with others.

    Fast DDS touches ever more of those, whose size config/fastdds.xml says.
    """
    status = Path(f'/proc/{process}/status').read_text()

    def megabytes(name: str) -> float:
        return int(status.split(f'{name}:')[1].split()[0]) / 1024

    own = megabytes('RssAnon') + megabytes('RssFile')
    return {'own': round(own, 2), 'shared': round(megabytes('RssShmem'), 2)}


def broken_rules(figures: dict[str, Any], sent: list[int], answered: list[int]) -> list[str]:
    """Sentences; none if all is as it must be."""
    counts, broken = figures['counts'], []
    if figures['growth_percent'] >= GROWTH_PERCENT:
        broken.append(f'memory grew by {figures["growth_percent"]} %')
    if any(later <= earlier for earlier, later in zip(answered, answered[1:])):
        broken.append('a frame was published after a newer one')
    if not set(answered) <= set(sent):
        broken.append('a frame was published that the camera did not send')
    left = counts['received'] - counts['processed'] - sum(counts[name] for name in ros_stream.DROPS)
    if left:
        broken.append(f'{left} images are in no counter')
    if counts['received'] > len(sent):
        broken.append('more images were received than sent')
    if counts['processed'] < len(answered):
        broken.append(f'{counts["processed"]} processed images, {len(answered)} answers')
    return broken


def table(figures: dict[str, Any]) -> str:
    """The figures in Markdown."""
    counts = figures['counts']
    own, shared = ([each[kind] for each in figures['memory_mb']] for kind in ('own', 'shared'))
    dropped = ', '.join(
        f'{counts[name]} {name.removeprefix("dropped_")}' for name in ros_stream.DROPS
    )
    rows = {
        'images sent': figures['sent'],
        'lost before the node, behind it': f'{figures["lost_before_the_node"]}, '
        f'{counts["processed"] - figures["answered"]}',
        'received = processed + dropped': f'{counts["received"]} = {counts["processed"]} + '
        f'{counts["received"] - counts["processed"]} ({dropped})',
        'answers, overlays, events': f'{figures["answered"]}, {figures["overlays"]}, '
        f'{figures["events"]}',
        'memory after half a minute, at the end, at most': f'{own[0]:.0f}, {own[-1]:.0f}, '
        f'{max(own):.0f} MB: {figures["growth_percent"]:+.2f} %',
        'segments of Fast DDS': f'{shared[0]:.0f}, {shared[-1]:.0f}, {max(shared):.0f} MB',
        'rules broken': '; '.join(figures['broken']) or 'none',
    }
    lines = [f'| {name} | {value} |' for name, value in rows.items()]
    return '\n'.join(['| | |', '|---|---|', *lines])


if __name__ == '__main__':
    sys.exit(main())

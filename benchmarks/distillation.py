"""Does a teacher help? `python benchmarks/distillation.py [--jobs 2]`; see docs/results.md.

Trains the model without pixels on HICO-DET's annotations in each setting: from the annotations
alone, then taught by that model at the level of logits, and at that of queries too. A run takes ten
to twenty minutes of one core and all of them hours: whatever was stopped goes on where it was when
the script is started again, and what is in the result is not run again, unless a student that is
missing needs it as its teacher.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

from result_page import write_tables

from link_hoi_core.configuration import load_configuration, to_dict
from link_hoi_core.data.json_files import read_json, write_json
from link_hoi_core.training.experiment import Experiment

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATIONS = ROOT / 'config' / 'experiments'
RESULT = ROOT / 'benchmarks' / 'results' / 'distillation.json'

#: Configurations of the teacher and the student of each setting, and its seeds.
SETTINGS: dict[str, tuple[str, str, tuple[int, ...]]] = {
    'fully supervised': ('boxes_hico', 'student_hico', (140, 141, 142)),
    'RF-UC': ('rf_uc_teacher', 'rf_uc_student', (140, 141, 142)),
    'NF-UC': ('nf_uc_teacher', 'nf_uc_student', (140,)),
    'UO': ('uo_teacher', 'uo_student', (140,)),
    'UV': ('uv_teacher', 'uv_student', (140,)),
}
TEACHER = 'annotations'
#: What each row changes of its configuration.
ROWS: dict[str, dict[str, float]] = {
    TEACHER: {},
    '+ logits': {'encoder': 0, 'latent': 0},
    '+ logits, queries': {},
}
SUPERVISED = {'full': 'Full', 'rare': 'Rare', 'non_rare': 'Non-rare', 'mf1': 'mF1'}
ZERO_SHOT = {'unseen': 'Unseen', 'seen': 'Seen', 'hm': 'HM', 'full': 'Full'}

Figures = dict[str, float]


@dataclass(frozen=True)
class Run:
    """One training run: a row of a setting with one seed."""

    setting: str
    row: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder and its figures, e.g. 'rf-uc_logits_queries_140'."""
        words = f'{self.setting} {self.row} {self.seed}'.lower()
        return '_'.join(words.replace('+', '').replace(',', '').split())

    @property
    def teacher(self) -> Run | None:
        """The run that teaches this one, of the same seed."""
        return None if self.row == TEACHER else replace(self, row=TEACHER)

    def options(self, folder: Path) -> list[str]:
        """Its configuration file, and the assignments that change it."""
        teacher, student, _ = SETTINGS[self.setting]
        assignments = [f'distillation.{key}={value}' for key, value in ROWS[self.row].items()]
        if self.teacher is not None:
            taught_by = folder / self.teacher.name / 'checkpoint'
            assignments.append(f'distillation.teachers=[{taught_by}]')
        name = teacher if self.teacher is None else student
        words = ['--config', str(CONFIGURATIONS / f'{name}.yaml'), '--seed', str(self.seed)]
        return words + [word for assignment in assignments for word in ('--set', assignment)]


def chains() -> list[list[Run]]:
    """The runs of each setting and seed, the teacher first; the seed that all have goes first."""
    seeds = sorted({seed for *_, seeds in SETTINGS.values() for seed in seeds})
    return [
        [Run(setting, row, seed) for row in ROWS]
        for seed in seeds
        for setting, (*_, used) in SETTINGS.items()
        if seed in used
    ]


class Evidence:
    """The figures of finished runs, kept in a file after each, and the page that shows them."""

    def __init__(self, folder: Path) -> None:
        """Go on with what is in the file.

        Args:
            folder: of the runs' own folders.

        Raises:
            ValueError: the file's figures come from another recipe than today's.
        """
        self.folder, self.figures = folder, {}
        self._lock = threading.Lock()
        recipe = to_dict(load_configuration(Experiment, CONFIGURATIONS / 'boxes_hico.yaml'))
        self._recipe = json.loads(json.dumps(recipe))  # as it reads back
        if RESULT.is_file():
            before = read_json(RESULT)
            changed = [key for key, value in before['recipe'].items() if self._differs(key, value)]
            if changed:
                raise ValueError(f'{RESULT} is of another {", ".join(changed)}: delete it')
            self.figures = before['runs']

    def do(self, chain: Sequence[Run]) -> None:
        """Do what is missing of the runs of one setting and seed."""
        for run in chain:
            taught = [other for other in chain if other.teacher == run]
            needed = any(other.name not in self.figures for other in taught)
            at_hand = (self.folder / run.name / 'checkpoint').is_dir()
            if run.name not in self.figures or (needed and not at_hand):
                self._train(run)

    def _differs(self, part: str, before: object) -> bool:
        """Whether a part of the recipe was another one; a key that is younger does not count."""
        now = self._recipe[part]
        if isinstance(before, dict):
            return any(now.get(key) != value for key, value in before.items())
        return before != now

    def _train(self, run: Run) -> None:
        """Do one run, or what is left of it, and keep its figures.

        Raises:
            subprocess.CalledProcessError: it failed; its log says why.
        """
        output = self.folder / run.name
        output.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, '-m', 'link_hoi_core.train', *run.options(self.folder)]
        command += ['--output', str(output), '--device', 'cpu']
        if (output / 'last.ckpt').is_file():
            command.append('--resume')
        print(f'{run.name} begins', flush=True)
        if not (output / 'figures.json').is_file():
            with (output / 'log').open('a') as log:
                environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
                subprocess.run(
                    command, cwd=ROOT, stdout=log, stderr=log, env=environment, check=True
                )
        self._keep(run, read_json(output / 'figures.json'))

    def _keep(self, run: Run, figures: Figures) -> None:
        with self._lock:
            self.figures[run.name] = figures
            write_json(RESULT, {'recipe': self._recipe, 'runs': self.figures}, indent=2)
            write_tables('distillation', tables(self.figures))
        print(f'{run.name}: {figures}', flush=True)


def tables(figures: dict[str, Figures]) -> str:
    """A Markdown table a setting, mean and standard deviation where there are several seeds.

    What has not been run yet is left out.
    """
    parts = []
    for setting, (*_, seeds) in SETTINGS.items():
        columns = SUPERVISED if setting == 'fully supervised' else ZERO_SHOT
        rows = [_row(figures, setting, row, seeds, columns) for row in ROWS]
        if not any(rows):
            continue
        lines = [f'| {setting} | {" | ".join(columns.values())} | seeds |']
        lines.append('|---' * (len(columns) + 2) + '|')
        lines += filter(None, rows)
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def _row(
    figures: dict[str, Figures],
    setting: str,
    row: str,
    seeds: Sequence[int],
    columns: Sequence[str],
) -> str | None:
    found = [figures.get(Run(setting, row, seed).name) for seed in seeds]
    done = [values for values in found if values]
    if not done:
        return None
    cells = [_cell(key, [values[key] for values in done]) for key in columns]
    return f'| {row} | {" | ".join(cells)} | {len(done)} |'


def _cell(key: str, values: Sequence[float]) -> str:
    digits = 3 if key == 'mf1' else 2
    spread = f' ± {stdev(values):.{digits}f}' if len(values) > 1 else ''
    return f'{mean(values):.{digits}f}{spread}'


def main() -> int:
    """Do what is missing; 0, or 1 or 2 after a sentence on what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=Path, default=ROOT / 'runs' / 'distillation')
    parser.add_argument('--jobs', type=int, default=1, help='settings at once, a thread each')
    options = parser.parse_args()
    try:
        evidence = Evidence(options.runs)
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(evidence.do, chains()))
    except ValueError as error:
        print(f'distillation: {error}', file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f'distillation: a run failed, its log says why: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Curves of real logs: of a run, of a resumed one, of costs; and what is none of these."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest

from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.curves import read_cost, read_progress

pytest.importorskip('tensorboard')

COSTS = {'config': 'small', 'macs': {'435': 9e9, '60': 2.5e9}}


def write_log(run: Path, version: int, rows: list[tuple[int, float, float]], start: float) -> None:
    """Rows of epoch, seconds since `start`, value, logged as Lightning does."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run / 'tensorboard' / f'version_{version}'))
    for epoch, seconds, value in rows:
        for name, number in (('full', value), ('rare', value), ('epoch', epoch)):
            writer.add_scalar(name, number, 10 * epoch + 9, walltime=start + seconds)
    writer.close()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_log(tmp_path / 'run', 0, [(0, 3600, 10), (1, 7200, 20)], time.time())
    return tmp_path / 'run'


@pytest.mark.slow
def test_a_real_run_has_a_figure_for_each_epoch(trained: Path) -> None:
    found = read_progress(trained, 'full')
    (log,) = trained.glob('csv/version_0/metrics.csv')
    rows = [row for row in csv.DictReader(log.open()) if row['full']]
    assert found.name == 'straight'
    assert found.epochs.tolist() == [int(row['epoch']) + 1 for row in rows] == [1, 2, 3, 4, 5, 6]
    assert found.values == pytest.approx([float(row['full']) for row in rows])
    assert 0 < found.hours[0] and (np.diff(found.hours) > 0).all() and found.hours[-1] < 1


def test_a_resumed_run_is_one_without_its_pause(tmp_path: Path) -> None:
    now = time.time()
    # Killed in its third epoch, whose evaluation had been logged but not kept; resumed a day later.
    write_log(tmp_path, 0, [(0, 3600, 10), (1, 7200, 20), (2, 10800, 99)], now)
    write_log(tmp_path, 1, [(2, 3600, 30), (3, 5400, 40)], now)
    found = read_progress(tmp_path, 'full')
    assert found.epochs.tolist() == [1, 2, 3, 4]
    assert found.values.tolist() == [10, 20, 30, 40]
    assert found.hours == pytest.approx([1, 2, 3, 3.5], abs=0.01)


def test_a_log_that_was_cut_off_is_read_up_to_there(run: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(run / 'tensorboard' / 'version_0'), filename_suffix='.later')
    writer.add_scalar('full', 30, 29, walltime=time.time() + 10800)  # its epoch is missing
    writer.close()
    (run / 'tensorboard' / 'version_old').mkdir()
    assert read_progress(run, 'full').values.tolist() == [10, 20]


def test_the_cost_is_that_of_the_fewest_pairs(tmp_path: Path) -> None:
    (tmp_path / 'cost.json').write_text(json.dumps(COSTS))
    (tmp_path / 'result.json').write_text(json.dumps({'full': 40.5}))
    found = read_cost(tmp_path / 'cost.json', tmp_path / 'result.json', 'full')
    assert (found.name, found.pairs, found.gmacs, found.value) == ('small', 60, 2.5, 40.5)


def test_the_command_draws_both(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('matplotlib')
    (tmp_path / 'cost.json').write_text(json.dumps(COSTS))
    (tmp_path / 'result.json').write_text(json.dumps({'rare': 7}))
    files = ['--json', tmp_path / 'curves.json', '--picture', tmp_path / 'curves.svg']
    costs = ['--cost', tmp_path / 'cost.json', tmp_path / 'result.json', '--figure', 'rare']
    command = ['curves', '--runs', run, *costs, *files]
    assert main([str(part) for part in command]) == 0
    content = json.loads((tmp_path / 'curves.json').read_text())
    assert content['models'] == [{'name': 'small', 'pairs': 60, 'gmacs': 2.5, 'rare': 7}]
    (found,) = content['runs']
    assert (found['name'], found['epochs'], found['rare']) == ('run', [1, 2], [10, 20])
    assert (tmp_path / 'curves.svg').stat().st_size > 5000
    assert 'small: rare 7.00 at 2.5 GMACs (60 pairs)' in capsys.readouterr().out


def test_bad_input_is_one_sentence(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'cost.json').write_text(json.dumps(COSTS))
    (tmp_path / 'result.json').write_text('{"map": 3}')
    cost, result = str(tmp_path / 'cost.json'), str(tmp_path / 'result.json')
    cases = [
        ([], 'give --runs or --cost'),
        (['--runs', str(tmp_path)], 'no training run'),
        (['--runs', str(run), '--figure', 'hm'], "no 'hm' is logged, only epoch, full,"),
        (['--cost', result, cost], "it has no 'macs'"),
        (['--cost', cost, result], "result.json: it has no figure 'full'"),
        (['--cost', cost, str(tmp_path / 'none')], 'none: no such file'),
        (['--runs', str(run), '--picture', 'a.gif'], 'a picture is named'),
    ]
    for arguments, message in cases:
        assert main(['curves', *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count('\n') == 1, error

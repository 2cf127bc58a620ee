"""Mean and spread over seeds: right numbers, and refusal of what does not belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from link_hoi_core.evaluate import main

FACTS = {'benchmark': 'hico-det', 'annotations': 'test.json', 'boxes': 'ground-truth', 'images': 9}


def saved(folder: Path, name: str, **content: object) -> str:
    path = folder / name
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture
def results(tmp_path: Path) -> list[str]:
    """Three seeds, whose models have other names."""
    full, mf1 = (30.0, 33.0, 36.0), (0.25, 0.25, 0.25)
    return [
        saved(tmp_path, f'{i}.json', **FACTS, model=f'seed {i}', full=a, mf1=b, f1_threshold=i / 9)
        for i, (a, b) in enumerate(zip(full, mf1))
    ]


def test_mean_and_sample_deviation(
    results: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / 'mean.json'
    assert main(['few-shot', *results, '--json', str(output)]) == 0
    printed = capsys.readouterr().out
    assert '3 runs' in printed and '33.00 ± 3.00' in printed and '0.2500 ± 0.0000' in printed
    assert json.loads(output.read_text()) == {
        'results': ['0.json', '1.json', '2.json'],
        'full': {'mean': 33.0, 'sd': 3.0},
        'mf1': {'mean': 0.25, 'sd': 0.0},
    }


def test_figures_of_training_runs_are_taken_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [saved(tmp_path, f'{value}.json', map=value) for value in (10, 12.5)]
    assert main(['few-shot', *paths]) == 0
    assert '11.25 ± 1.77' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({**FACTS, 'boxes': 'found.json', 'full': 3.0, 'mf1': 0.5}, "boxes is 'found.json', but"),
        ({**FACTS, 'images': 8, 'full': 3.0, 'mf1': 0.5}, 'images is 8, but 9'),
        ({**FACTS, 'setting': 'RF-UC', 'full': 3.0, 'mf1': 0.5}, "setting is 'RF-UC', but None"),
        ({**FACTS, 'score_exponent': 2.8, 'full': 3.0, 'mf1': 0.5}, 'score_exponent is 2.8, but'),
        ({**FACTS, 'full': 3.0}, 'has the figures full, but'),
        (FACTS, 'found no figures'),
        ({**FACTS, 'full': 'high', 'mf1': 0.5}, 'found no figures'),
    ],
)
def test_what_does_not_belong_together_is_refused(
    results: list[str],
    tmp_path: Path,
    content: dict,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['few-shot', *results, saved(tmp_path, 'odd.json', **content)]) == 2
    said = capsys.readouterr().err
    assert 'odd.json' in said and message in said and said.count('\n') == 1


def test_one_run_has_no_deviation(results: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['few-shot', results[0]]) == 2
    assert 'at least two' in capsys.readouterr().err
    assert main(['few-shot', results[0], results[0]]) == 2
    assert 'twice' in capsys.readouterr().err

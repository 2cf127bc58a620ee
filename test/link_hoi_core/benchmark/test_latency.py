"""Timings are of all stages in their order, sum to the whole, and need no second forward."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from link_hoi_core.benchmark.__main__ import main
from link_hoi_core.benchmark.cuda_graph import CudaGraph
from link_hoi_core.benchmark.latency import measure
from link_hoi_core.benchmark.models import read_experiment, untrained
from link_hoi_core.benchmark.scenes import crowded_scene
from link_hoi_core.checkpoint import Checkpoint
from link_hoi_core.model.link import Link
from link_hoi_core.model.scene import Scene, build_scene
from link_hoi_core.predictor import HoiPredictor
from link_hoi_core.vocabulary import load_vocabulary

HOI_STAGES = ['scene', 'unary', 'encoder', 'decoder', 'head', 'scoring']
PARTS = [
    [],
    ['model.encoder=plain', 'model.decoder=plain'],
    ['model.adapter=8'],
]


def scene_of(pairs: int) -> Scene:
    vocabulary = load_vocabulary('hico-det')
    return build_scene([crowded_scene(pairs, vocabulary)], vocabulary.person)


def test_every_stage_in_order_and_the_sum_is_the_whole(tiny_experiment: Path) -> None:
    checkpoint = Checkpoint('tiny', *untrained(read_experiment(tiny_experiment)), {})
    start = time.perf_counter()
    rows = measure(HoiPredictor(checkpoint), 'eager', [60, 435], rounds=15)
    wall = 1e3 * (time.perf_counter() - start)
    assert [row['pairs'] for row in rows] == [60, 435]
    for row in rows:
        stages = row['stages_ms']
        assert list(stages) == ['preprocess', 'backbone', *HOI_STAGES]
        assert all(0 < times['median'] <= times['p95'] < wall for times in stages.values())
        medians = sum(times['median'] for times in stages.values())
        # Medians of the stages need not be of one round; this machine may be busy.
        assert medians == pytest.approx(row['total_ms']['median'], rel=0.3)
        hoi_part = sum(stages[stage]['median'] for stage in HOI_STAGES)
        assert hoi_part == pytest.approx(row['hoi_part_ms']['median'], rel=0.3)
        reference = row['vit_b16_ms']['median']
        assert row['ratio'] == pytest.approx(row['hoi_part_ms']['median'] / reference, abs=1e-3)


def test_stages_of_a_model_without_pixels(make_model: Callable[..., Link]) -> None:
    predictor = HoiPredictor(Checkpoint('small', make_model(), None, {}), precision='bf16')
    (row,) = measure(predictor, 'eager', [60], rounds=1)
    assert list(row['stages_ms']) == HOI_STAGES
    assert row['hoi_part_ms'] == row['total_ms']


def test_several_models_and_modes_and_what_cannot_be_is_said(
    tiny_experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if torch.cuda.is_available():
        pytest.skip('this machine can do all modes')
    asked = ['--model', 'boxes', '--config', str(tiny_experiment), '--mode', 'eager', 'graph']
    few = ['--pairs', '60', '--rounds', '1', '--json', str(tmp_path / 'cost.json')]
    assert main(['latency', *asked, *few]) == 0
    found = json.loads((tmp_path / 'cost.json').read_text())
    assert [(row['model'], row['mode']) for row in found['rows']] == [
        ('boxes', 'eager'),
        ('tiny', 'eager'),
    ]
    assert found['threads'] == torch.get_num_threads()
    assert found['torch'] == torch.__version__
    output = capsys.readouterr()
    assert output.err.count('graph is left out: a CUDA graph needs a CUDA device, not cpu') == 2
    assert len(output.out.splitlines()) == 3


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--mode', 'graph', '--device', 'cpu'], 'could be measured'),
        (['--rounds', '0'], '--rounds is 0'),
        (['--pairs', '59'], '59 pairs cannot be made'),
        (['--model', 'no-such-model'], 'no-such-model'),
        (['--device', 'abacus'], 'abacus'),
    ],
)
def test_bad_input_is_said(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['latency', *options]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize('changes', PARTS)
def test_the_hoi_part_is_one_graph(tiny_experiment: Path, changes: list[str]) -> None:
    """Nothing in it waits for a value: neither a compiler nor a CUDA graph meets a break."""
    torch.compiler.reset()
    model, backbone = untrained(read_experiment(tiny_experiment, changes))
    assert traced_alike(model, torch.randn(1, backbone.width, 4, 4))


def test_the_hoi_part_without_pixels_is_one_graph(make_model: Callable[..., Link]) -> None:
    torch.compiler.reset()
    assert traced_alike(make_model(), None)


def traced_alike(model: Link, features: torch.Tensor | None) -> bool:
    """Whether `infer` can be traced as one graph, which gives the same."""
    scene = scene_of(60)
    traced = torch.compile(model.infer, fullgraph=True, backend='eager')
    with torch.inference_mode():
        return torch.allclose(traced(scene, features), model.infer(scene, features), atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_cuda_graph_gives_the_same(tiny_experiment: Path) -> None:
    model, backbone = untrained(read_experiment(tiny_experiment))
    model = model.cuda()
    captured = CudaGraph(model.infer, torch.device('cuda'))
    with torch.inference_mode():
        for pairs in (60, 435, 60):
            scene = scene_of(pairs).to('cuda')
            features = torch.randn(1, backbone.width, 4, 4, device='cuda')
            expected = model.infer(scene, features)
            torch.testing.assert_close(captured(scene, features), expected, rtol=1e-4, atol=1e-4)

"""Inner layers are those of the library, colours show the layout, variability is what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from link_hoi_core.backbones import BackboneConfig, build_backbone
from link_hoi_core.backbones.dino import Dino
from link_hoi_core.evaluate import main
from link_hoi_core.evaluation.feature_views import (
    layer_maps,
    principal_colours,
    token_variability,
)


def photo(seed: int = 0, height: int = 40, width: int = 60) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize('model', ['test_vit', 'test_efficientnet', 'test_resnet', 'test_convnext'])
def test_blocks_of_timm(model: str) -> None:
    pytest.importorskip('timm')
    backbone = build_backbone(BackboneConfig(f'timm:{model}', 'random', 64))
    maps = layer_maps(backbone, photo())
    batch = backbone.prepare([photo()])
    *stages, last = backbone.model.forward_intermediates(batch, intermediates_only=True)
    found = list(maps.values())
    for stage in [*stages, last]:  # a CNN's stage ends in one of its blocks, which are more
        assert any(m.shape == stage[0].shape and torch.allclose(m, stage[0]) for m in found) or (
            stage is stages[0] and model != 'test_vit'  # a CNN's stem has no blocks
        )
    assert len(maps) == len(stages) + 2 if model == 'test_vit' else len(maps) > len(stages)
    assert list(maps)[-1] == 'map'
    torch.testing.assert_close(maps['map'], backbone.encode_image(batch)[0])


def test_blocks_of_swin_have_their_channels_first() -> None:
    timm = pytest.importorskip('timm')
    from link_hoi_core.backbones.timm import Timm

    sizes = {'embed_dim': 8, 'depths': (1, 1), 'num_heads': (1, 2), 'window_size': 4}
    swin = timm.create_model('swin_tiny_patch4_window7_224', img_size=32, **sizes)
    backbone = Timm('swin', swin, BackboneConfig('swin', 'random', 32)).freeze()
    shapes = [tuple(tokens.shape) for tokens in layer_maps(backbone, photo()).values()]
    assert shapes == [(8, 8, 8), (16, 4, 4), (16, 4, 4)]


def test_blocks_of_transformers_without_the_tokens_that_are_no_patches() -> None:
    transformers = pytest.importorskip('transformers')
    sizes = {'hidden_size': 32, 'num_hidden_layers': 3, 'num_attention_heads': 2}
    config = transformers.Dinov2Config(**sizes, image_size=56, patch_size=14)
    backbone = Dino('small', transformers.Dinov2Model(config), BackboneConfig('small')).freeze()
    maps = layer_maps(backbone, photo())
    assert not any(module._forward_hooks for module in backbone.modules())
    batch = backbone.prepare([photo()])
    hidden = backbone.model(batch, output_hidden_states=True).hidden_states
    assert len(maps) == 4
    for tokens, expected in zip(maps.values(), hidden[1:]):
        torch.testing.assert_close(tokens.flatten(1).T, expected[0, 1:])


def test_variability_is_the_mean_over_all_pairs_of_tokens() -> None:
    tokens = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0)) + 0.5
    flat = tokens.flatten(1).T.double()
    cosines = [
        torch.cosine_similarity(flat[i], flat[j], dim=0)
        for i in range(len(flat))
        for j in range(len(flat))
        if i != j
    ]
    assert token_variability(tokens) == pytest.approx(1 - float(torch.stack(cosines).mean()))
    assert token_variability(7 * tokens) == pytest.approx(token_variability(tokens))
    assert token_variability(torch.ones(5, 3, 4)) == pytest.approx(0)
    assert token_variability(torch.eye(6).reshape(6, 2, 3)) == pytest.approx(1)
    assert token_variability(torch.ones(5, 1, 1)) == 0


def test_one_colour_for_one_thing_in_all_pictures() -> None:
    """Three kinds of tokens, a little noisy, lie differently in two pictures."""
    random = torch.Generator().manual_seed(0)
    kinds = torch.randn(16, 3, generator=random)
    places = [torch.randint(0, 3, (6, 6), generator=random) for _ in range(2)]
    maps = [kinds[:, place] + 0.01 * torch.randn(16, 6, 6, generator=random) for place in places]
    colours = principal_colours(maps)
    assert [picture.shape for picture in colours] == [(6, 6, 3)] * 2
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in colours)
    pixels = np.concatenate([picture[..., :2].reshape(-1, 2) for picture in colours])
    kind = torch.cat([place.flatten() for place in places]).numpy()
    means = np.stack([pixels[kind == index].mean(0) for index in range(3)])
    apart = np.linalg.norm(means[:, None] - means, axis=-1)[~np.eye(3, dtype=bool)].min()
    assert np.linalg.norm(pixels - means[kind], axis=-1).max() < 0.1 * apart


def test_the_command_writes_pictures_and_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('timm')
    pytest.importorskip('matplotlib')
    pil = pytest.importorskip('PIL.Image')
    for index in range(2):
        pil.fromarray(photo(index)).save(tmp_path / f'{index}.png')
    names = ['timm:test_vit', 'timm:test_resnet']
    command = ['features', '--backbone', *names, '--weights', 'random', '--image-size', '64']
    command += ['--images', str(tmp_path), '--output', str(tmp_path / 'out'), '--device', 'cpu']
    assert main(command) == 0
    written = {path.name for path in (tmp_path / 'out').iterdir()}
    assert written == {
        *('timm_test_vit.png', 'timm_test_resnet.png', 'variability.png', 'features.json')
    }
    content = json.loads((tmp_path / 'out' / 'features.json').read_text())
    vit = content['token_variability']['timm:test_vit']
    backbone = build_backbone(BackboneConfig('timm:test_vit', 'random', 64))
    last = [token_variability(layer_maps(backbone, photo(index))['map']) for index in range(2)]
    assert content['pictures'] == 2
    assert (vit['layers'][-1], len(vit['mean'])) == ('map', len(vit['layers']))
    assert vit['mean'][-1] == pytest.approx(np.mean(last), rel=1e-4)
    assert 'timm:test_resnet: tokens vary by' in capsys.readouterr().out


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    cases = [
        (['none'], ['random'], 'broken.png', 'no backbone'),
        (['timm:test_vit'], ['random'], 'empty', 'has no picture'),
        (['timm:test_vit'], ['random'], 'broken.png', 'no readable picture'),
        (['timm:test_vit'], ['random', 'random'], 'broken.png', '2 sources for 1 backbones'),
        (['timm:test_vit'] * 2, ['random'], 'broken.png', 'a name twice'),
    ]
    for names, weights, images, message in cases:
        command = ['features', '--backbone', *names, '--weights', *weights, '--device', 'cpu']
        command += ['--images', str(tmp_path / images), '--output', str(tmp_path / 'out')]
        assert main(command) == 2
        error = capsys.readouterr().err
        assert message in error and error.count('\n') == 1, error

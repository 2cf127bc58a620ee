"""Any timm model as a backbone: a CNN's last feature map, a vision transformer's patch tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

from torch import Tensor, nn

from link_hoi_core.backbones.backbone import Backbone, BackboneConfig, choose_input
from link_hoi_core.hub import load_weights, weights_file
from link_hoi_core.optional import require
from link_hoi_core.vocabulary.vocabulary import check_name

FILES = ('model.safetensors', 'pytorch_model.bin')


def build(name: str, architecture: str, repository: str, config: BackboneConfig) -> Timm:
    """Build the timm model `architecture`, e.g. 'vit_base_patch16_224.dino'.

    Raises:
        ValueError: timm knows no such model, or what was found holds other weights.
        ConnectionError, FileNotFoundError: as `hub.load_weights`.
        ImportError: timm is not installed.
    """
    timm = require('timm', 'pip install timm', f'the backbone {name}')
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    check_name(architecture, sorted(known), 'timm model')
    create = partial(_create, timm, architecture, config.image_size)
    if config.weights == 'random':
        model = create()
    else:
        model = load_weights(partial(_load, create, repository), config.weights, repository)
    if not hasattr(model, 'forward_intermediates'):
        raise ValueError(f'{name} gives no feature map in timm {timm.__version__}')
    model.prune_intermediate_layers(indices=1)  # what comes after the map is not needed
    return Timm(name, model, config)


class Timm(Backbone):
    """A timm model's last feature map, behind the model's final norm where it has one.

    CNNs, plain vision transformers and Swin take images of any multiple of the stride; the others
    (MaxViT, BEiT, MLP mixers) only those of the size they were built for.
    """

    def __init__(self, name: str, model: nn.Module, config: BackboneConfig) -> None:
        """Wrap an already made timm model; of `config` it takes the input's size and statistics."""
        super().__init__()
        last = model.feature_info[-1]
        data = require('timm.data', 'pip install timm', f'the backbone {name}')
        wanted = data.resolve_model_data_config(model)
        self.name = name
        self.model = model
        self.stride = last['reduction']
        self.width = last.get('num_chs_norm', last['num_chs'])
        self.input = choose_input(
            config,
            self.stride,
            wanted['input_size'][-1],
            wanted['mean'],
            wanted['std'],
            'bilinear' if wanted['interpolation'] == 'bilinear' else 'bicubic',
        )

    def encode_image(self, batch: Tensor) -> Tensor:
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride).

        Raises:
            ValueError: H or W is no multiple of the stride, or the model takes its own size only.
        """
        self.grid(batch)
        try:
            return self.model.forward_intermediates(
                batch, indices=1, norm=True, intermediates_only=True
            )[-1]
        except (AssertionError, RuntimeError) as error:  # how timm's models meet a foreign size
            found, (height, width) = batch.shape[-2:], self.input.size
            if found == (height, width):
                raise
            raise ValueError(
                f'{self.name} is built for images of {width} x {height} and met one of '
                f'{found[1]} x {found[0]}: set image_size'
            ) from error


def _load(create: Callable[..., nn.Module], repository: str, source: str) -> nn.Module:
    """Load published weights through timm, or a local file in timm's form."""
    if source == repository:
        return create(pretrained=True)
    file = {'file': weights_file(source, FILES)}
    return create(pretrained=True, pretrained_cfg_overlay=file)


def _create(timm: ModuleType, architecture: str, size: int | None, **options: object) -> nn.Module:
    """Create a model for images of any size or else of this one.

    Each family has its own options, and calls those of others a TypeError. The classifier stays, as
    timm would load anything into a model without one.
    """
    for choice in ({'dynamic_img_size': True}, {'img_size': size} if size else {}):
        try:
            return timm.create_model(architecture, **choice, **options)
        except TypeError:
            pass
    return timm.create_model(architecture, **options)

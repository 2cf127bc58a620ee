"""Any timm model as a backbone: a CNN's last feature map, a vision transformer's patch tokens."""

from __future__ import annotations

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
    if config.weights == 'random':
        model = _create(timm, architecture)
    else:
        model = load_weights(
            lambda source: _load(timm, architecture, source, repository), config.weights, repository
        )
    if config.image_size is not None and not getattr(model, 'dynamic_img_size', True):
        model.set_input_size(img_size=config.image_size)
    return Timm(name, model, config)


class Timm(Backbone):
    """A timm model's last feature map, behind the model's final norm where it has one.

    Vision transformers, Swin and CNNs take images of any multiple of the stride; the few others
    (MLP mixers) only those of the size they are made for.
    """

    def __init__(self, name: str, model: nn.Module, config: BackboneConfig) -> None:
        """Wrap an already made timm model; of `config` it takes the input's size and statistics."""
        super().__init__()
        if not hasattr(model, 'forward_intermediates'):
            raise ValueError(f'{name} gives no feature map in this version of timm')
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
        """Prepared images (B, 3, H, W) -> feature maps (B, C, H / stride, W / stride)."""
        self.grid(batch)
        return self.model.forward_intermediates(
            batch, indices=1, norm=True, intermediates_only=True
        )[-1]


def _load(timm: ModuleType, architecture: str, source: str, repository: str) -> nn.Module:
    """Load published weights through timm, or a local file in timm's form."""
    if source == repository:
        return _create(timm, architecture, pretrained=True)
    file = {'file': weights_file(source, FILES)}
    return _create(timm, architecture, pretrained=True, pretrained_cfg_overlay=file)


def _create(timm: ModuleType, architecture: str, **options: object) -> nn.Module:
    """Create a model without its classifier, that takes images of any size where it can."""
    try:
        return timm.create_model(architecture, num_classes=0, dynamic_img_size=True, **options)
    except TypeError:  # of a family without this option, as CNNs are
        return timm.create_model(architecture, num_classes=0, **options)

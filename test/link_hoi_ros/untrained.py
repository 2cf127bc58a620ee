"""Checkpoints that see pixels, without a download."""

from __future__ import annotations

from pathlib import Path

from link_hoi_core.backbones.backbone import BackboneConfig
from link_hoi_core.checkpoint import build_model, save_checkpoint
from link_hoi_core.configuration import to_dict
from link_hoi_core.model.link import LinkConfig

SMALL, OF_88_MB = 'timm:test_vit.r160_in1k', 'timm:vit_small_patch16_224'


def write_checkpoint(folder: Path, backbone: str = SMALL) -> Path:
    """An untrained model on a backbone of random weights; gives the folder."""
    config = BackboneConfig(backbone, weights='random', text='minilm')
    model, vit = build_model(LinkConfig(backbone=config, width=32))
    save_checkpoint(folder, model, vit, {'model': to_dict(model.config)}, 'Untrained.\n')
    return folder

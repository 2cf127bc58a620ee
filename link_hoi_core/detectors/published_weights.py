"""Detectors fine-tuned for human-object interaction, as their authors publish them.

PViC (Zhang et al. 2023) publishes DETR-R50 and H-Deformable-DETR Swin-L for HICO-DET and V-COCO,
under the key names of facebookresearch/detr and HDETR/H-Deformable-DETR. Here those become the
names of transformers (5 and later). The authors' own checkpoints for COCO are of the same form.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pickle import UnpicklingError

import torch
from torch import Tensor

from link_hoi_core.vocabulary import COCO80, COCO91_IDS

#: What a number of COCO's is called that no class has.
NO_CLASS = 'N/A'
#: Keys that are not used: Swin's index of relative positions, which follows from its window.
IGNORED = r'\.relative_position_index$'
#: Weights of transformers that no checkpoint has: the norm after Swin's last stage, unused here.
UNUSED = r'\.swin\.layernorm\.'

_TRANSFORMER = (
    (r'^transformer\.', r'model.'),
    (r'\.linear([12])\.', r'.mlp.fc\1.'),
    (r'\.out_proj\.', r'.o_proj.'),
    (r'^(model\.encoder\.layers\.\d+)\.norm1\.', r'\1.self_attn_layer_norm.'),
    (r'^(model\.encoder\.layers\.\d+)\.norm2\.', r'\1.final_layer_norm.'),
    (r'^(model\.decoder\.layers\.\d+)\.norm3\.', r'\1.final_layer_norm.'),
)
_DETR = (
    *_TRANSFORMER,
    (r'^(model\.decoder\.layers\.\d+)\.norm1\.', r'\1.self_attn_layer_norm.'),
    (r'^(model\.decoder\.layers\.\d+)\.norm2\.', r'\1.encoder_attn_layer_norm.'),
    (r'^(model\.decoder\.layers\.\d+)\.multihead_attn\.', r'\1.encoder_attn.'),
    (r'^model\.decoder\.norm\.', r'model.decoder.layernorm.'),
    (r'^backbone\.0\.body\.', r'model.backbone.model.'),
    (r'^input_proj\.', r'model.input_projection.'),
    (r'^query_embed\.', r'model.query_position_embeddings.'),
    (r'^class_embed\.', r'class_labels_classifier.'),
    (r'^bbox_embed\.', r'bbox_predictor.'),
)
_H_DEFORMABLE_DETR = (
    *_TRANSFORMER,
    # Here the norms are numbered in the order in which the modules were made, not used.
    (r'^(model\.decoder\.layers\.\d+)\.norm1\.', r'\1.encoder_attn_layer_norm.'),
    (r'^(model\.decoder\.layers\.\d+)\.norm2\.', r'\1.self_attn_layer_norm.'),
    (r'^(model\.decoder\.layers\.\d+)\.cross_attn\.', r'\1.encoder_attn.'),
    (r'^input_proj\.', r'model.input_proj.'),
    (r'^query_embed\.', r'content.'),
    (r'^backbone\.0\.body\.norm1\.', r'model.backbone.model.hidden_states_norms.stage2.'),
    (r'^backbone\.0\.body\.norm2\.', r'model.backbone.model.hidden_states_norms.stage3.'),
    (r'^backbone\.0\.body\.norm3\.', r'model.backbone.model.hidden_states_norms.stage4.'),
    (r'^backbone\.0\.body\.layers\.', r'model.backbone.model.swin.encoder.layers.'),
    (r'^backbone\.0\.body\.patch_embed\.', r'model.backbone.model.swin.embeddings.'),
    (r'(\.embeddings)\.proj\.', r'\1.patch_embeddings.projection.'),
    (r'(\.blocks\.\d+)\.norm1\.', r'\1.layernorm_before.'),
    (r'(\.blocks\.\d+)\.norm2\.', r'\1.layernorm_after.'),
    (r'(\.blocks\.\d+)\.attn\.qkv\.', r'\1.attention.in_proj_'),
    (r'(\.blocks\.\d+)\.attn\.proj\.', r'\1.attention.o_proj.'),
    (r'(\.blocks\.\d+)\.attn\.(relative_position_bias)', r'\1.attention.\2.\2'),
)  # fmt: skip
#: For each architecture of `detr`, patterns in a published key and what takes their place, each
#: applied to what the ones before it have left. Fused query, key and value weights are then split.
NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    'detr': _DETR,
    'h-deformable-detr': _H_DEFORMABLE_DETR,
}


def read_checkpoint(file: str) -> dict[str, Tensor]:
    """The weights in a published checkpoint: what it holds as 'model_state_dict' or 'model'.

    Nothing in the file is run; beside tensors it may hold the options of its training.

    Raises:
        ValueError: it is no such file.
    """
    try:
        with _options_allowed():
            content = torch.load(file, map_location='cpu', weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError('it is no checkpoint of tensors and training options alone') from error
    if isinstance(content, dict):
        for key in ('model_state_dict', 'model'):
            if isinstance(content.get(key), dict):
                return content[key]
    raise ValueError('it has neither model_state_dict nor model, expected one')


def class_names(published: Mapping[str, Tensor], architecture: str) -> tuple[str, ...]:
    """The classes of a checkpoint, by the size of its class head; NO_CLASS at an unused number.

    80 in COCO's order after fine-tuning (spec section 0), else 91, numbered by COCO's category ids.

    Raises:
        ValueError: it has no class head, or one of another size.
    """
    head = 'class_embed.bias' if architecture == 'detr' else 'class_embed.0.bias'
    if head not in published:
        raise ValueError(f'it has no key {head}')
    count = len(published[head]) - (architecture == 'detr')  # DETR has a "no object" beside them
    if count == len(COCO80):
        return COCO80
    if count == 91:
        names = dict(zip(COCO91_IDS, COCO80))
        return tuple(names.get(index, NO_CLASS) for index in range(91))
    raise ValueError(f'{head} is of {count} classes, expected 80 or 91')


def published_state(
    published: Mapping[str, Tensor], wanted: Mapping[str, Tensor], architecture: str
) -> dict[str, Tensor]:
    """A published checkpoint's weights under transformers' names.

    Args:
        published: its weights by key; every key is used once, but for those of `IGNORED`.
        wanted: the state of the model in transformers, for names and shapes.
        architecture: which of `NAMES`.

    Raises:
        ValueError: a key is unknown, is missing, or has another shape; the first one is named.
    """
    state = {name: value for name, value in wanted.items() if re.search(UNUSED, name)}
    for key, value in published.items():
        if re.search(IGNORED, key):
            continue
        for name, part in _renamed(key, value, architecture):
            if name not in wanted or name in state:
                raise ValueError(f'{key} is no key of {architecture}')
            if name == 'content.weight':  # the queries of the one-to-many branch come after
                part = part[: len(wanted[name])]
            if part.shape != wanted[name].shape:
                expected = tuple(wanted[name].shape)
                raise ValueError(f'{key} gives {name} {tuple(part.shape)}, expected {expected}')
            state[name] = part
    missing = next((name for name in wanted if name not in state), None)
    if missing is not None:
        raise ValueError(f'it has no key for {missing}')
    return state


@contextmanager
def _options_allowed() -> Iterator[None]:
    """Let torch read a Namespace too; `torch.serialization.safe_globals` is not in torch 2.4."""
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals([Namespace])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def _renamed(key: str, value: Tensor, architecture: str) -> Iterator[tuple[str, Tensor]]:
    name = key
    for pattern, replacement in NAMES[architecture]:
        name = re.sub(pattern, replacement, name)
    fused = re.fullmatch(r'(.+\.)in_proj_(weight|bias)', name)
    if fused is None:
        yield name, value
        return
    for part, rows in zip('qkv', value.chunk(3)):
        yield f'{fused[1]}{part}_proj.{fused[2]}', rows

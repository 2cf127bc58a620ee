"""H-Deformable-DETR as it infers. It needs transformers; import it only where that is there."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection


class HDeformableDetr(DeformableDetrForObjectDetection):
    """Two-stage Deformable DETR whose queries get their content from learned embeddings.

    "Mixed selection": the encoder's best proposals say where a query looks, not what it is. Of the
    two branches of hybrid matching (Jia et al., DETRs with Hybrid Matching) only the one-to-one
    branch infers; the one-to-many branch, which it never attends to, is left out.
    """

    def __init__(self, config: DeformableDetrConfig) -> None:
        super().__init__(config)
        self.content = nn.Embedding(config.two_stage_num_proposals, config.d_model)
        self.model.decoder.register_forward_pre_hook(self._give_content, with_kwargs=True)
        self.post_init()

    def _give_content(
        self, decoder: nn.Module, inputs: tuple[torch.Tensor, ...], named: dict[str, Any]
    ) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
        """Put the content (Q, C) in the place of what the proposals would give (B, Q, C)."""
        content = self.content.weight.expand_as(named['inputs_embeds'])
        return inputs, {**named, 'inputs_embeds': content}

"""Multimodal language models as HOI detectors: they are told the boxes and asked for triplets."""

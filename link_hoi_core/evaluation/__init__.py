"""Benchmark figures: predictions and annotations in, mAP and mF1 out, as the originals do."""

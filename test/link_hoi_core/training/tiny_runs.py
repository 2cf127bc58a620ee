"""The training command on what the fixture `data` holds, and what it leaves."""

from __future__ import annotations

from pathlib import Path


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    return ['--config', f'{data}/tiny.yaml', '--device', 'cpu', '--output', str(output), *more]


def weights(run: Path) -> bytes:
    return (run / 'checkpoint' / 'model.safetensors').read_bytes()

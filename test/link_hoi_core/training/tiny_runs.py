"""The training command on what the fixture `data` holds, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from link_hoi_core.train import main


def arguments(data: Path, output: Path, *more: str) -> list[str]:
    return ['--config', f'{data}/tiny.yaml', '--device', 'cpu', '--output', str(output), *more]


def weights(run: Path) -> bytes:
    return (run / 'checkpoint' / 'model.safetensors').read_bytes()


def sentence(text: str) -> str:
    """The only one that the command said on its own account."""
    (said,) = [line for line in text.splitlines() if line.startswith('train')]
    return said


def refused(capfd: pytest.CaptureFixture[str], command: list[str], *words: str) -> str:
    """The command ends with status 2 and one sentence, which is given and holds all the words."""
    assert main(command) == 2
    said = sentence(capfd.readouterr().err)
    assert [word for word in words if word not in said] == []
    return said

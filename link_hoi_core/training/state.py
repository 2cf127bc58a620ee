"""What a run leaves in its folder while it trains, to be resumed from."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from link_hoi_core.configuration import to_dict
from link_hoi_core.data.json_files import read_json, write_json, write_whole
from link_hoi_core.training.experiment import Experiment

CONFIGURATION = 'experiment.json'
LAST = 'last.ckpt'
BEST = 'best.ckpt'


class WholeFiles(TorchCheckpointIO):
    """Lightning's checkpoints, each under its name only once it is whole.

    Lightning's own come from the system's temporary folder, which may be another disk: moving a
    file from there is a copy that can be cut short.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: None = None
    ) -> None:
        """Write a file beside the former one, then put it in its place.

        Raises:
            OSError: the disk is full, or does not take the file for another reason.
        """
        path, content = Path(path), io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_whole(path, content.getbuffer())
        except OSError as error:
            former = 'the former one is still whole' if path.exists() else 'there is no former one'
            raise OSError(f'{path} cannot be saved ({error.strerror}); {former}') from error


def read_state(path: Path) -> dict[str, Any]:
    """What a run resumes from; its 'state_dict' holds the averaged weights.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f'{path} is damaged, start anew: {str(error).splitlines()[0]}') from error


def check_folder(output: Path, experiment: Experiment, resume: bool) -> None:
    """A fresh folder for a new run; for a resumed one the same configuration as before.

    Raises:
        FileExistsError, FileNotFoundError: there is a run already, or none to resume.
        ValueError: the configuration differs, said key by key; or the state is damaged.
    """
    if not resume:
        if (output / LAST).exists():
            raise FileExistsError(
                f'{output} already holds a run: --resume it or choose another folder'
            )
        return
    if not (output / LAST).is_file():
        raise FileNotFoundError(f'{output / LAST} is not there, so there is no run to resume')
    read_state(output / LAST)
    # A key that is younger than the run had its default.
    before = _flat(to_dict(Experiment())) | _flat(read_json(output / CONFIGURATION))
    now = _flat(to_dict(experiment))
    changed = [
        f'{key} was {before[key]}, is {now.get(key)}'
        for key in before
        if before[key] != now.get(key)
    ]
    if changed:
        raise ValueError(f'{output} was begun with another configuration: {"; ".join(changed)}')


def check_steps(output: Path, state: dict[str, Any], steps: int) -> None:
    """Refuse to resume where an epoch has other `steps` than before, as with more devices.

    Raises:
        ValueError: it has.
    """
    before = state['global_step'] // (state['epoch'] + 1)
    if before != steps:
        raise ValueError(
            f'{output} was begun with {before} steps an epoch, now there are {steps}: expected as '
            f'many devices, and the same images'
        )


def record(output: Path, experiment: Experiment) -> None:
    """Keep the resolved configuration, which a resumed run must have too.

    What a killed run left half written goes.
    """
    output.mkdir(parents=True, exist_ok=True)
    for leftover in output.glob('*.ckpt.*.partial'):
        leftover.unlink()
    write_json(output / CONFIGURATION, to_dict(experiment), indent=2)


def kept(output: Path) -> str:
    """What an interrupted run can be resumed from, in words."""
    path = output / LAST
    if not path.is_file():
        return 'no epoch is whole yet, so there is nothing to --resume'
    epochs = read_state(path)['epoch'] + 1
    return f'--resume goes on from {path}, after {epochs} whole epoch(s)'


def _flat(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested keys as {'model.width': 32, ...}, with lists as JSON has them."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f'{prefix}{key}.')
        else:
            flat[f'{prefix}{key}'] = list(value) if isinstance(value, tuple) else value
    return flat

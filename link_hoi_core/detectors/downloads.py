"""Published weights that lie at an address instead of in a hub."""

from __future__ import annotations

from pathlib import Path

import torch


def local_file(weights: str, url: str) -> str:
    """`weights`, a local file; where it is 'pretrained', the one at `url`, downloaded once.

    Downloads are kept in torch's own cache (`torch.hub.get_dir()`).

    Raises:
        ConnectionError: it cannot be downloaded; the sentence says how to give it.
    """
    if weights != 'pretrained':
        return weights
    file = Path(torch.hub.get_dir()) / 'checkpoints' / url.rpartition('/')[2]
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(file), progress=False)
        except OSError as error:
            raise ConnectionError(
                f'{url} could not be downloaded ({error}): where there is a network, download it, '
                f'and give the file as weights'
            ) from error
    return str(file)

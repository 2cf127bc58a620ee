"""A network's launches recorded once and replayed as one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from link_hoi_core.model.scene import Scene

Infer = Callable[[Scene, Tensor | None], Tensor]
WARM_UP = 3  # runs before the recording, in which libraries choose their kernels


class CudaGraph:
    """`Link.infer` as a captured CUDA graph, one for each shape of its input.

    A call copies its input into the tensors that the graph reads, replays it, and gives the tensor
    that it writes: the next call of the same shape overwrites it.
    """

    def __init__(self, infer: Infer, device: torch.device) -> None:
        """Nothing is captured before the first call.

        Raises:
            RuntimeError: the device is no CUDA device.
        """
        if device.type != 'cuda':
            raise RuntimeError(f'a CUDA graph needs a CUDA device, not {device}')
        self._infer, self._device = infer, device
        self._captured: dict[tuple, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    def __call__(self, scene: Scene, features: Tensor | None = None) -> Tensor:
        """As `Link.infer`."""
        given = _tensors(scene, features)
        key = (scene.padded, *(tensor.shape for tensor in given))
        with torch.cuda.device(self._device):
            if key not in self._captured:
                self._captured[key] = self._capture(scene, features)
            graph, static, output = self._captured[key]
            for place, value in zip(static, given, strict=True):
                place.copy_(value)
            graph.replay()
        return output

    def _capture(
        self, scene: Scene, features: Tensor | None
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        scene = scene.map(torch.clone)
        features = None if features is None else features.clone()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._infer(scene, features)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._infer(scene, features)
        return graph, _tensors(scene, features), output


def _tensors(scene: Scene, features: Tensor | None) -> list[Tensor]:
    return scene.tensors() if features is None else [*scene.tensors(), features]

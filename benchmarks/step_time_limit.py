"""The matrix products of a step alone: recorded from a real step, then done again with nothing between them.

What a step takes beside them (padding aside, which they hold) is what could at most be saved: norms, activations, the
softmax of the head, copies, the optimiser, Python. Weights are the policy's own, in the recorded order, so that they
come from memory as in the step; activations stand in one buffer for each place of an argument, and results in buffers
that are there already. So the time is a little below what any program could reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_INTO = {
    _aten.mm.default: _aten.mm.out,
    _aten.mm.out: _aten.mm.out,
    _aten.bmm.default: _aten.bmm.out,
    _aten.bmm.out: _aten.bmm.out,
    _aten.addmm.default: _aten.addmm.out,
    _aten.addmm_.default: _aten.addmm_.default,
    _aten.baddbmm.default: _aten.baddbmm.out,
}
"""Products, and the same into a buffer."""
_ATTENTION = {
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
}
"""Whole: their softmax is fused into the products."""


class Products(TorchDispatchMode):
    """Records the products of what runs inside it, by stage.

    Args:
        stage: tells which stage is running.
        parameters: of the policy; their storages are kept, other tensors only as shapes.
    """

    def __init__(self, stage: Callable[[], str], parameters: Iterable[Tensor]) -> None:
        super().__init__()
        self._stage = stage
        self._own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._buffers: dict[tuple[Any, ...], Tensor] = {}
        self._calls: dict[str, list[tuple[Any, list[Any], dict[str, Any]]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation, and remembers it if it is a product."""
        result = func(*args, **(kwargs or {}))
        if func in _INTO or func in _ATTENTION:
            named = {name: value for name, value in (kwargs or {}).items() if name != "out"}
            kept = [self._kept(value, place) for place, value in enumerate(args)]
            kept_named = {name: self._kept(value, name) for name, value in named.items()}
            into = _INTO.get(func, func)
            if into is not func or func in (_aten.mm.out, _aten.bmm.out):
                kept_named["out"] = self._shape(result, "out")
            self._calls.setdefault(self._stage(), []).append((into, kept, kept_named))
        return result

    def seconds(self, stage: str, clock: Callable[[], float]) -> float:
        """Of the products of one stage, done again."""
        calls = [
            (func, [self._filled(arg) for arg in args], {name: self._filled(arg) for name, arg in named.items()})
            for func, args, named in self._calls.get(stage, [])
        ]
        with torch.no_grad():
            began = clock()
            for func, args, named in calls:
                func(*args, **named)
            return clock() - began

    def _kept(self, value: Any, place: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if value.untyped_storage().data_ptr() in self._own and not value.is_sparse:
            return value.detach()
        return self._shape(value, place)

    def _shape(self, value: Tensor, place: Any) -> _Shape:
        key = (place, value.dtype, value.device)
        extent = 1 + sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
        extent = 0 if not value.numel() else extent
        if key not in self._buffers or len(self._buffers[key]) < extent:
            self._buffers[key] = _numbers(extent, value)
        return _Shape(key, tuple(value.shape), value.stride())

    def _filled(self, arg: Any) -> Any:
        return self._buffers[arg.key].as_strided(arg.shape, arg.stride) if isinstance(arg, _Shape) else arg


class _Shape:
    """A tensor whose numbers do not matter."""

    def __init__(self, key: tuple[Any, ...], shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
        self.key, self.shape, self.stride = key, shape, stride


def _numbers(extent: int, like: Tensor) -> Tensor:
    """Of ordinary size: numbers near 0 or beyond the range would be slower or faster."""
    buffer = like.new_ones(extent)
    return buffer.normal_() if buffer.is_floating_point() else buffer

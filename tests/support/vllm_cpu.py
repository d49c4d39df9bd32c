"""vLLM in a training run on a CPU: the smallest changes to TRL's way of using it that a CPU needs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


def colocate() -> None:
    """An engine that takes new weights on any CPU.

    Where a CPU has AVX-512, vLLM packs the weights of its linear layers as it loads them, and computes with the packed
    copy from then on, while TRL writes each new weight where the unpacked one was. The layers here compute with the
    unpacked one, as vLLM's do on other CPUs. Compiling is left out, since it takes minutes at every start.
    """
    from trl.generation import vllm_generation
    from vllm.model_executor.layers import utils

    def keep(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = keep
    vllm_generation.LLM = functools.partial(vllm_generation.LLM, enforce_eager=True)


def server(folder: Path) -> None:
    """A client that hands the weights over in a file in `folder`, where TRL's needs NCCL and so a GPU."""
    from safetensors.torch import save_file
    from trl.generation.vllm_client import VLLMClient

    def update(self: Any, metadata: Any, named_params: Iterator[tuple[str, torch.Tensor]]) -> None:
        folder.mkdir(exist_ok=True)
        save_file({name: weight.detach().clone() for name, weight in named_params}, folder / "model.safetensors")
        call = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        self._post(f"{self.base_url}/collective_rpc", json=call)

    VLLMClient.init_communicator = lambda self, device: None
    VLLMClient.update_named_params = update

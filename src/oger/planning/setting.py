"""Everything that memory and time follow from; `oger.planning.from_recipe` reads it from a recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from oger.planning.devices import Device
from oger.planning.shape import ModelShape


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What no recipe says. None stands for a value that the recipe suggests; see `oger.planning.from_recipe`."""

    prompt_tokens: int | None = None
    """Of every prompt; None = the room that vllm_max_model_length leaves, else 256."""
    mean_tokens: int | None = None
    """Of a rollout on average; None = half of max_completion_length."""
    teacher_tokens: int | None = None
    """Of a teacher trajectory on average; None = as a rollout."""
    trajectories: float = 2.0
    """Teacher trajectories per prompt, for recipes that imitate all of them."""
    mfu: float = 0.35
    """Part of the peak FLOPs that forwards and backwards reach, communication included."""
    bandwidth_share: float = 0.5
    """Part of the memory bandwidth that decoding reaches."""
    tokens_per_s: float | None = None
    """Generated per second and GPU; None = from the bandwidth."""
    verify_ms: float = 16.0
    """Of one worker per answer; docs/performance.md measures it with math-verify."""
    verify_workers: int = 8
    """Per process; the verifier starts at most eight."""
    overhead_gib: float = 2.0
    """CUDA context, communication buffers and fragmentation, per GPU."""


@dataclass(frozen=True, kw_only=True)
class Sharding:
    """What is split over the GPUs, and bytes per trained parameter before the split."""

    weights: bool
    gradients: bool
    optimiser: bool
    bf16_weights: bool = False
    """Weights and gradients in bfloat16, with a float32 copy beside the optimiser's states (DeepSpeed)."""


SHARDINGS: Mapping[str, Sharding] = {
    "none": Sharding(weights=False, gradients=False, optimiser=False),
    "fsdp2": Sharding(weights=True, gradients=True, optimiser=True),
    "zero2": Sharding(weights=False, gradients=True, optimiser=True, bf16_weights=True),
    "zero3": Sharding(weights=True, gradients=True, optimiser=True, bf16_weights=True),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One run on some GPUs. Rows and lengths per process; a process per GPU."""

    name: str
    shape: ModelShape
    device: Device
    num_gpus: int
    processes: int | None
    """That the recipe is made for; None = any number."""
    server_gpus: int
    sharding: str
    trained: int
    """Parameters with a gradient."""
    lora: bool
    weight_bytes: int
    """Of a weight as it is loaded."""
    bf16: bool
    checkpointing: bool
    flash: bool
    optimiser: str
    state_bytes: float
    """The optimiser's, per trained parameter."""
    rows: int
    """Of a micro-batch."""
    accumulation: int
    steps_per_generation: int
    num_iterations: int
    group: int
    teacher_rows: int
    imitated: float
    """Trajectories imitated beside each group."""
    length_chunks: int
    """Parts of a micro-batch that run one by one, each as wide as its own longest row."""
    extra_forwards: int
    """Without gradient, over each rollout batch."""
    engine: str
    """none | transformers | colocate | server, the last two vLLM."""
    replays: bool
    """Rollouts are read from files; the engine only validates."""
    lean: bool
    """Finished rows leave the batch of transformers."""
    vllm_share: float
    vllm_sleeps: bool
    tensor_parallel: int
    reference: bool
    encoder: str
    encoder_bytes: int | None
    """None = unknown."""
    encoder_parameters: int | None
    """That run on the policy's GPU; None = unknown."""
    max_tokens: int
    """max_completion_length."""
    prompt_tokens: int
    mean_tokens: int
    teacher_tokens: int
    max_steps: int
    epochs: float
    validation_rows: int | None
    """Rollouts of all validations; None = the size of the validation set is not known."""
    assumptions: Assumptions

    @property
    def rollout_rows(self) -> int:
        """Rows of a rollout batch, per process."""
        return self.rows * self.steps_per_generation

    @property
    def steps_per_batch(self) -> float:
        """Optimiser steps that one rollout batch feeds."""
        return self.steps_per_generation * self.num_iterations / self.accumulation

    @property
    def joined_rows(self) -> float:
        """Rows of one forward: rollouts and teachers, and the imitated trajectories beside them."""
        beside = self.rows * self.imitated / self.group
        return beside if self.engine == "none" else self.rows + beside

    @property
    def width(self) -> int:
        """Tokens of the longest row that there can be; memory must hold a micro-batch of such rows."""
        return self.prompt_tokens + self.max_tokens

    def mean_width(self, rows: float, parts: int) -> float:
        """Tokens of a row, padding included, on average over `rows` rows that run in `parts` parts by length.

        The parts are as wide as their longest rows, and lengths are taken as evenly spread: one part is as wide as the
        longest row, many are as wide as the mean.
        """
        parts = max(1, min(parts, math.ceil(rows)))
        return self.prompt_tokens + self.mean_tokens + (self.max_tokens - self.mean_tokens) / parts

"""Whether this run's generation is the lean one, and the entropies that it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.rollouts.shrinking_generation import shrinking_generation

if TYPE_CHECKING:
    from oger.training.trainer import OGERTrainer


@contextmanager
def lean_generation(trainer: OGERTrainer) -> Iterator[EntropyRecorder | None]:
    """While it lasts, the policy generates as `lean_generation` of the options asks; yields what records entropies.

    None, and generation as it is in TRL, where the option is off, another engine generates, or nothing does.
    """
    continuous = getattr(trainer, "use_transformers_continuous_batching", False)
    elsewhere = trainer.use_vllm or continuous or trainer.rollout_func is not None or trainer._replay is not None
    if not trainer.args.lean_generation or elsewhere:
        yield None
        return
    recorder = EntropyRecorder(trainer.temperature)
    with shrinking_generation(trainer.accelerator.unwrap_model(trainer.model_wrapped), recorder):
        yield recorder

"""Started by torchrun in `tests/recipes/test_scale_recipes.py`: one recipe, sharded over two processes of a CPU.

accelerate turns FSDP on for GPUs only. On a CPU it is told here that the processes are of the FSDP kind; all that
follows (wrapping, mixed precision, clipping, checkpoints) is its own code over gloo.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from oger.recipes import load_recipe
from oger.training.run import train as run

_made_state = AcceleratorState.__init__


def _state_with_fsdp(self: Any, *arguments: Any, fsdp_plugin: Any = None, **options: Any) -> None:
    _made_state(self, *arguments, fsdp_plugin=fsdp_plugin, **options)
    if fsdp_plugin is not None and "fsdp_plugin" not in self.__dict__:
        if self._mixed_precision != "no":
            fsdp_plugin.set_mixed_precision(self._mixed_precision)
        self.fsdp_plugin = fsdp_plugin
    if "fsdp_plugin" in self.__dict__:  # every further state takes the kind from the processes again
        self.distributed_type = DistributedType.FSDP
        self.device = torch.device("cpu")  # not cpu:0, which torch.load does not know


class _CheckSharded(TrainerCallback):
    """Every process holds a part of every weight, and there are two of them."""

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        weights = list(model.parameters())
        assert all(isinstance(weight, DTensor) for weight in weights), "FSDP did not shard the policy"
        held = sum(weight.to_local().numel() for weight in weights)
        assert held < 0.6 * sum(weight.numel() for weight in weights)


def main(recipe: str, *arguments: str) -> None:
    torch.set_num_threads(1)
    assert os.environ["WORLD_SIZE"] == "2", "the launcher started one process only"
    AcceleratorState.__init__ = _state_with_fsdp  # type: ignore[method-assign]
    build = run.build_trainer

    def build_and_watch(*positional: Any, **named: Any) -> Any:
        trainer = build(*positional, **named)
        trainer.add_callback(_CheckSharded())
        return trainer

    run.build_trainer = build_and_watch
    overrides = [argument for argument in arguments if argument != "--resume"]
    run.train_recipe(load_recipe(recipe, overrides), resume="--resume" in arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])

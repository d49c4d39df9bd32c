"""What keeps a run folder for a trainer that is used from Python; `oger.RunFolder` is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

Train = Callable[[str | None], Any]
"""The training itself, from a checkpoint or from the start."""


class RunKeeper(Protocol):
    """Asked by `OGERTrainer` before it is built, and for every training."""

    def prepare(
        self, model: Any, reward_funcs: Any, args: Any, train_dataset: Any, eval_dataset: Any, tokenizer: Any, peft: Any
    ) -> None:
        """Claims the folder, and sets the options of `args` that belong to it."""

    def train(self, trainer: Any, train: Train) -> Any:
        """Trains, and leaves what a run leaves."""

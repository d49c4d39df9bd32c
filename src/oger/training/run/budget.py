"""Ends a run at the step in which it has generated so many tokens, or trained for so many seconds.

Counted from the run's own metrics, so that a resumed run goes on counting where it was killed. Validation is outside
both counts: what a method costs does not depend on how often it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from oger.runs.metrics_log import generated_tokens

if TYPE_CHECKING:
    from oger.training.trainer import OGERTrainer

_SECONDS = "time/step"


def train_seconds(row: Mapping[str, Any]) -> float:
    """Seconds of the optimiser step of a metrics row, its part of the rollout batch included."""
    return float(row.get(_SECONDS) or 0.0)


class BudgetStop(TrainerCallback):
    """Validates, saves and stops once a limit is reached; at least one step is always taken.

    Args:
        max_tokens: generated tokens, None for no limit.
        max_seconds: of training, None for no limit.
        rollouts: as of `generated_tokens`.
        past: metrics rows of the steps that a resumed run has behind it.
        before: tokens and seconds that the stages before have spent of the limits; not in `tokens` and `seconds`.
    """

    def __init__(
        self,
        max_tokens: int | None,
        max_seconds: float | None,
        rollouts: int,
        past: Iterable[Mapping[str, Any]] = (),
        *,
        before: tuple[int, float] = (0, 0.0),
    ) -> None:
        self._max_tokens, self._max_seconds, self._rollouts = max_tokens, max_seconds, rollouts
        self._before = before
        self.tokens, self.seconds = 0, 0.0
        for row in past:
            self._count(row)

    @property
    def reached(self) -> bool:
        """Whether a limit is spent."""
        tokens, seconds = self._before[0] + self.tokens, self._before[1] + self.seconds
        over_tokens = self._max_tokens is not None and tokens >= self._max_tokens
        return over_tokens or (self._max_seconds is not None and seconds >= self._max_seconds)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Counts the step; a validation's log and the closing summary hold neither count."""
        self._count(logs or {})
        if self.reached and not control.should_training_stop:
            control.should_training_stop = True
            control.should_save = args.save_strategy != "no"
            control.should_evaluate = args.eval_strategy != "no"

    def _count(self, row: Mapping[str, Any]) -> None:
        self.tokens += generated_tokens(row, self._rollouts)
        self.seconds += train_seconds(row)


def finish_from(trainer: OGERTrainer, checkpoint: Path | None, budget: BudgetStop) -> bool:
    """Put a run whose last step was taken already, but which was killed before it said so, at its end.

    transformers would take one more step. A sharded policy is loaded by its engine during training alone, so such a
    run is left to it.

    Returns:
        Whether nothing is left to train.
    """
    if checkpoint is None or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return False
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    if state.global_step < state.max_steps and not budget.reached:
        return False
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = state
    return True

"""Numbers that are not finite: found, kept away from the weights, counted, and stored with what they were made of.

A rollout batch notes, per row, what was not finite before the update (`RowFaults`). The loss of a micro-batch with such
a row is made NaN, so that whatever goes wrong, on whichever rank, ends in one place: the norm of the gradient, which
all ranks share. Where it is not finite, the optimiser gets no gradients and takes no step (`StepGuard`).

An outcome that a reward function leaves open by None is no fault: NaN stands for it, and faults are kept apart.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.logging import get_logger
from accelerate.utils import gather_object
from trl import GRPOTrainer
from trl.trainer.utils import is_async_callable

from oger.faults import RunFaultError
from oger.method.checks import all_finite
from oger.runs.faulty_steps import write_faulty_step

logger = get_logger(__name__)

MAX_IN_A_ROW = 3
"""Skipped steps after which a run ends: what breaks every step is not going to pass."""

_UNDECIDED = "outcome/undecided_share"
_KINDS = ("reward", "embedding", "shaping reward", "probability")


class RowFaults:
    """What was not finite in the rows of one rollout batch."""

    def __init__(self, num_rows: int, device: torch.device) -> None:
        self.code_N = torch.zeros(num_rows, dtype=torch.uint8, device=device)
        """0, or 1 + the place in `_KINDS`."""

    def take_out(
        self, kind: str, value: torch.Tensor, *, inside: torch.Tensor | None = None, fill: float = 0.0
    ) -> torch.Tensor:
        """`value` with `fill` in place of what is not finite, whose rows are noted.

        Args:
            kind: one of `_KINDS`.
            value: (N, ...).
            inside: True where a fault counts; elsewhere the value may be anything and stays.
        """
        if inside is None and all_finite(value):
            return value
        broken = ~value.isfinite()
        if inside is not None:
            broken &= inside.bool()
        rows_N = broken.flatten(1).any(dim=1) if broken.ndim > 1 else broken
        code = _KINDS.index(kind) + 1
        self.code_N = torch.where(rows_N.to(self.code_N.device) & (self.code_N == 0), code, self.code_N)
        return torch.where(broken, fill, value)


def tell_none_from_nan(function: Any) -> Any:
    """The reward function with infinity in place of NaN: TRL makes NaN of None, which is no fault."""

    def told(rewards: Any) -> list[Any]:
        return [math.inf if reward is not None and math.isnan(reward) else reward for reward in rewards]

    if isinstance(function, torch.nn.Module):  # a reward model knows no None
        return function
    if is_async_callable(function):

        @functools.wraps(function)
        async def later(*args: Any, **kwargs: Any) -> list[Any]:
            return told(await function(*args, **kwargs))

        return later

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> list[Any]:
        return told(function(*args, **kwargs))

    return now


class StepGuard:
    """Skips an optimiser step whose gradient is not finite.

    With a gradient scaler (fp16) it leaves this to the scaler, which meets such steps on purpose. DeepSpeed updates the
    weights before anyone may look.

    Args:
        folder: gets the rows of skipped steps.
    """

    def __init__(self, trainer: GRPOTrainer, folder: Path) -> None:
        self._trainer = trainer
        self._folder = folder
        self._micro_batches: list[tuple[Mapping[str, Any], torch.Tensor]] = []
        self.skipped = 0
        """Steps since the run began."""
        self.not_taken = 0
        """Those, and the ones that a gradient scaler skips."""
        self.at_rate_0 = 0
        """Steps whose learning rate was 0, or no number."""
        self._in_a_row = 0

    def state_dict(self) -> dict[str, int]:
        """The counts, for a checkpoint."""
        counts = {"skipped": self.skipped, "not_taken": self.not_taken, "in_a_row": self._in_a_row}
        return {**counts, "at_rate_0": self.at_rate_0}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Restores what `state_dict` gave."""
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]
        self.not_taken = state.get("not_taken", self.skipped)  # a checkpoint of an earlier version has none
        self.at_rate_0 = state.get("at_rate_0", 0)

    def watch(self, inputs: Mapping[str, Any], loss: torch.Tensor) -> torch.Tensor:
        """The loss of a micro-batch of the coming step, NaN if one of its rows had a fault before the update."""
        if "fault_codes" in inputs:
            # A factor, not a choice of two losses: a NaN in the branch not taken would reach the gradient.
            loss = loss * torch.where((inputs["fault_codes"] > 0).any(), math.nan, 1.0)
        self._micro_batches.append((inputs, loss.detach()))
        return loss

    def check(self, model: torch.nn.Module, gradient_norm: torch.Tensor | float | None) -> None:
        """Takes the gradients away if their norm over all ranks is not finite.

        Raises:
            RunFaultError: for the third time in a row.
        """
        micro_batches, self._micro_batches = self._micro_batches, []
        trainer = self._trainer
        optimizer: Any = trainer.optimizer
        self.at_rate_0 += not any(group["lr"] > 0 for group in optimizer.param_groups)
        if gradient_norm is None:
            return
        if hasattr(gradient_norm, "full_tensor"):  # of a sharded policy; a rank's own part might be finite
            gradient_norm = gradient_norm.full_tensor()
        if math.isfinite(float(gradient_norm)):
            self._in_a_row = 0
            return
        self.not_taken += 1
        if trainer.accelerator.scaler is not None:
            return
        model.zero_grad(set_to_none=True)  # an optimiser leaves parameters without a gradient alone
        self.skipped += 1
        self._in_a_row += 1
        step = trainer.state.global_step + 1
        tokenizer, rank = trainer._tokenizer, trainer.accelerator.process_index
        mine = [row for place, entry in enumerate(micro_batches) for row in _rows(tokenizer, rank, place, *entry)]
        rows = gather_object(mine)
        folder = self._folder
        if trainer.accelerator.is_main_process:
            folder = write_faulty_step(folder, step, rows)
        what = f"step {step}: {_reason(rows)} not finite, so the step is skipped; its rows are in {folder}"
        if self._in_a_row >= MAX_IN_A_ROW:
            raise RunFaultError(
                f"{what}. This is number {self._in_a_row} in a row: find out why (a reward function or an encoder that "
                "divides by 0, a learning rate that is too high, half precision), then go on with --resume."
            )
        logger.warning(what)


def check_trained(trainer: GRPOTrainer, guard: StepGuard) -> None:
    """Whether a training that has come to its end has made a policy; every rank takes part.

    Raises:
        RunFaultError: no step was taken, all at a learning rate of 0, no rollout could be judged, or weights are not
            finite.
    """
    steps = trainer.state.global_step
    if steps == 0:
        raise RunFaultError(
            "nothing was trained: the run ended before its first step. Look at max_steps, num_train_epochs, the limits "
            "of tokens and seconds, and the number of prompts."
        )
    if guard.not_taken >= steps:
        raise RunFaultError(
            f"nothing was trained: in each of the {steps} steps a number was not finite, so none was taken. Find out "
            "why (a reward function or an encoder that divides by 0, weights that are broken, half precision)."
        )
    if guard.at_rate_0 >= steps:
        raise RunFaultError(
            f"nothing was trained: in each of the {steps} steps the learning rate was 0. Look at lr_scheduler_type, "
            "lr_scheduler_kwargs and warmup_steps."
        )
    undecided = [row[_UNDECIDED] for row in trainer.state.log_history if _UNDECIDED in row]
    args: Any = trainer.args
    drops = args.undecided == "drop" and not args.imitation_weight  # else other rows teach
    if drops and undecided and min(undecided) == 1.0:
        raise RunFaultError(
            f"nothing was trained: not one rollout of the {steps} steps could be judged. Look at the reward functions "
            "(None is undecided), the gold answers and verify_timeout."
        )
    policy: Any = trainer.model
    parts = (getattr(weight, "to_local", lambda weight=weight: weight)() for weight in policy.parameters())
    broken = torch.tensor(float(not all(part.isfinite().all() for part in parts)), device=trainer.accelerator.device)
    if float(trainer.accelerator.reduce(broken, reduction="sum")) > 0:
        raise RunFaultError(
            f"the training broke the policy: after step {steps} its weights are not all finite, so it is not saved. "
            "Lower learning_rate, and look at grad_norm in metrics.jsonl for where it began."
        )


def _reason(rows: list[dict[str, Any]]) -> str:
    if kinds := {row["fault"] for row in rows} - {None}:
        return f"of some rollouts the {' and the '.join(sorted(kinds))} is"
    return "the loss is" if any(not math.isfinite(row["loss"]) for row in rows) else "the gradient is"


def _rows(
    tokenizer: Any, rank: int, micro_batch: int, inputs: Mapping[str, Any], loss: torch.Tensor
) -> list[dict[str, Any]]:
    """Rows of `oger.runs.faulty_steps.SCHEMA`."""
    codes = inputs["fault_codes"].tolist() if "fault_codes" in inputs else None
    offline = inputs["offline"].tolist() if "offline" in inputs else None
    rows = []
    for origin, name in (("online", "completion_ids"), ("imitated", "imitated_ids")):
        for row, ids in enumerate(inputs.get(name, ())):
            tokens = ids[ids != tokenizer.pad_token_id]  # a mask would hide a row that carries no loss
            if origin == "imitated" and not len(tokens):
                continue  # nothing is imitated on this row
            is_policy = origin == "online"
            prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()]
            rows.append(
                {
                    "rank": rank,
                    "micro_batch": micro_batch,
                    "loss": loss.item(),
                    "origin": "teacher" if is_policy and offline is not None and offline[row] else origin,
                    "fault": _KINDS[codes[row] - 1] if is_policy and codes and codes[row] else None,
                    "prompt": tokenizer.decode(prompt),
                    "text": tokenizer.decode(tokens),
                    "advantage": float(inputs["advantages"][row].mean()) if is_policy else None,
                    "num_tokens": len(tokens),
                }
            )
    return rows

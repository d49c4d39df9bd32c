"""Which numbers the options of a run may have: checked by name before anything is loaded."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`; None = no limit there."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    """Whether `low` itself is outside."""
    besides: float | None = None
    """One more number that is allowed."""

    def holds(self, value: float) -> bool:
        """Whether a number lies inside."""
        if value == self.besides:
            return True
        over = self.low is None or value > self.low or (value == self.low and not self.open_low)
        return abs(value) <= sys.float_info.max and over and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        """What a number must be, for "NAME=VALUE must be ..."."""
        parts = [] if self.low is None else [f"{'above' if self.open_low else 'at least'} {self.low:g}"]
        parts += [] if self.high is None else [f"at most {self.high:g}"]
        also = "" if self.besides is None else f", or {self.besides:g}"
        return (" and ".join(parts) or "a finite number") + also


_AT_LEAST_0, _ABOVE_0, _AT_LEAST_1 = Range(0), Range(0, open_low=True), Range(1)
_SHARE, _BETA = Range(0, 1), Range(0, 0.9999999)

RANGES: Mapping[str, Range] = {
    "learning_rate": Range(0, 1),
    "max_steps": Range(1, besides=-1),
    "num_train_epochs": _ABOVE_0,
    **dict.fromkeys(
        ("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "num_generations",
         "num_generations_eval", "max_completion_length", "generation_batch_size", "steps_per_generation",
         "num_iterations", "entropy_last_k", "length_chunks"),
        _AT_LEAST_1,
    ),
    **dict.fromkeys(
        ("weight_decay", "max_grad_norm", "warmup_steps", "beta", "exploration_weight", "exploration_schedule_end",
         "entropy_scale", "positive_weight", "policy_weight", "imitation_weight", "imitation_schedule_end",
         "rollouts_every", "top_k", "seed", "neftune_noise_alpha"),
        _AT_LEAST_0,
    ),
    **dict.fromkeys(
        ("adam_epsilon", "temperature", "repetition_penalty", "shaping_gamma", "save_steps", "eval_steps"), _ABOVE_0
    ),
    **dict.fromkeys(("adam_beta1", "adam_beta2"), _BETA),
    "top_p": Range(0, 1, open_low=True),
    "min_p": _SHARE,
    "top_entropy_quantile": _SHARE,
    "imitation_max_success": _SHARE,
    "entropy_coef": Range(),
    "teacher_advantage_min": Range(),
}  # fmt: skip
"""Option -> the numbers that make sense; None, where an option may be that, is no number."""


LORA_RANGES: Mapping[str, Range] = {"r": _AT_LEAST_1, "lora_alpha": _ABOVE_0, "lora_dropout": _BETA}
"""The same of arguments of LoraConfig: with another one an adapter is none, or stays what it was."""


def check_ranges(options: Any) -> None:
    """Raises ValueError if an attribute of `options` that `RANGES` names is a number outside its range."""
    for name, allowed in RANGES.items():
        value = getattr(options, name)
        if isinstance(value, int | float) and not allowed.holds(value):
            raise ValueError(f"{name}={value!r} must be {allowed}.")
    weights = options.reward_weights
    if weights is None:
        return
    if not isinstance(weights, list | tuple) or not all(
        isinstance(w, int | float) and Range().holds(w) for w in weights
    ):
        raise ValueError(f"reward_weights={weights!r} must be a list of finite numbers.")
    if not any(weights):
        raise ValueError(f"reward_weights={weights!r} must not all be 0: nothing would be rewarded.")

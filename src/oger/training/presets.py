"""Named sets of options, and what TRL's own options mean beside teacher rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from trl import GRPOConfig

from oger.method.aggregation import AGGREGATIONS_OF_LOSS

TRL_DEFAULTS = {f.name: f.default for f in dataclasses.fields(GRPOConfig)}

_LUFFY_ROWS, _LUFFY_MICRO_BATCHES = 64, 2  # of an optimiser step, on one of its GPUs; the second grows with the lengths
_LUFFY_ENTROPY = 0.001 * _LUFFY_MICRO_BATCHES / _LUFFY_ROWS
"""LUFFY's 0.001 for each micro-batch's mean, beside a sum over rows, where rows divide here: docs/method.md."""

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # What the code base that OGER extends runs (LUFFY, arXiv 2504.14945): Dr.GRPO's constant divisor, no clip.
        "luffy_code": {"scale_rewards": "none", "clip": "none", "loss_type": "dr_grpo", "entropy_coef": _LUFFY_ENTROPY},
        # What the paper's text states: standardised advantages, clip 0.2, one divisor over all tokens, no bonus.
        "paper_text": {"scale_rewards": "group", "clip": 0.2, "loss_type": "dapo", "entropy_coef": 0.0},
        # TRL's own defaults.
        "none": {
            "scale_rewards": TRL_DEFAULTS["scale_rewards"],
            "clip": TRL_DEFAULTS["epsilon"],
            "loss_type": TRL_DEFAULTS["loss_type"],
            "entropy_coef": TRL_DEFAULTS["entropy_coef"],
        },
    }
)

# Options of GRPOConfig that cannot be combined with teacher rows: name -> (the values that can, why the others cannot).
REFUSED_WITH_TEACHER_ROWS: Mapping[str, tuple[tuple[Any, ...], str]] = MappingProxyType(
    {
        "loss_type": (tuple(AGGREGATIONS_OF_LOSS), "its weights are not defined for teacher tokens"),
        "importance_sampling_level": (("token",), "a teacher row has no importance ratio over a sequence"),
        "multi_objective_aggregation": (
            ("sum_then_normalize",),
            "a teacher row has an outcome only, so the rewards cannot be standardised one by one",
        ),
        "use_adaptive_entropy": ((False,), "its controller would count teacher tokens"),
    }
)

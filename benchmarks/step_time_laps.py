"""What `benchmarks.step_time` measures, in words that every process can read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STOCK, OGER, PLAIN = "stock GRPO", "OGER", "extras off"
VARIANTS = (STOCK, OGER, PLAIN)
IDLE_IN, IDLE_OUT = "all rows", "without idle rows"
STAGES = ("generate", "verify", "embed", "log-prob/entropy", "update", "other")

LIMITED = ("generate", "update")


@dataclass(frozen=True, kw_only=True)
class Lap:
    """One rollout step of one trainer."""

    seconds: float
    stages: Mapping[str, float]
    """Seconds by stage, each moment in one stage only."""
    limits: Mapping[str, float]
    """Seconds of the matrix products alone of LIMITED, done again beside this lap; empty where none were recorded."""
    response_lengths: list[int]
    """Tokens of each generated response."""
    trained_rows: int
    """Rows of the forwards with gradient."""
    trained_tokens: int
    """Tokens in them, prompts included."""
    trained_positions: int
    """The same and the padding."""

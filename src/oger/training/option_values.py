"""Values of options that may come as text from a command line, read into one form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from oger.words import one_of

REPLAY = "replay:"


def check_rollouts(value: Any) -> None:
    """Refuses what is neither generate, record nor replay:PATH."""
    if not isinstance(value, str) or value == REPLAY:
        raise ValueError(f"rollouts={value!r} must be generate, record or replay:PATH (a run folder, or a file).")
    if not value.startswith(REPLAY):
        one_of(("generate", "record", "replay:PATH"), value, "rollouts")


def parse_mapping(name: str, value: Any) -> dict[str, Any]:
    """A mapping with text keys; None is empty, and a command line gives it as JSON."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = value
    if found is not None and not isinstance(found, Mapping):
        raise ValueError(f"{name}={value!r} must be a mapping, like {{name: value}}.")
    return {str(key): item for key, item in (found or {}).items()}


def parse_shaping(value: Any) -> dict[str, float]:
    """{spec: weight} without weights of 0; a command line gives it as JSON."""
    try:
        weights = {spec: float(weight) for spec, weight in parse_mapping("shaping_rewards", value).items()}
    except (TypeError, ValueError):
        weights = {"": math.nan}
    if not all(spec and math.isfinite(weight) for spec, weight in weights.items()):
        raise ValueError(f"shaping_rewards={value!r} must map names to weights, like {{within_group_diversity: 0.5}}.")
    if "oger" in weights:
        raise ValueError("shaping_rewards: OGER's own weight is exploration_weight; name only further rewards.")
    return {spec: weight for spec, weight in weights.items() if weight != 0}


def parse_clip(value: Any) -> str | float | list[float]:
    """Normalises a clip option to "none", one number, or [low, high]."""
    if value is False or (isinstance(value, str) and value.strip().lower() == "none"):
        return "none"
    parts: Sequence[Any] = value.strip("[]() ").split(",") if isinstance(value, str) else value
    if isinstance(parts, int | float) and not isinstance(parts, bool):
        parts = [parts]
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) not in (1, 2) or not all(number > 0 for number in numbers):  # nan is none
        raise ValueError(f"clip={value!r} is not a clip: use none, a number above 0, or two of them [low, high].")
    return numbers[0] if len(set(numbers)) == 1 else numbers

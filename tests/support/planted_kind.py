"""A grader of a user's own, that raises when it reads "raise"."""

from __future__ import annotations

from typing import Any


def grade_or_raise(gold: str, extracted: str, metadata: Any = None) -> bool:
    if extracted == "raise":
        raise RuntimeError("asked to")
    return gold == extracted

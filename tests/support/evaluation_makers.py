"""What loads a generator, importable by a process that was not started by pytest."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oger.evaluation.backends.transformers import TransformersGenerator


def make_tiny() -> TransformersGenerator:
    from oger.evaluation.backends.transformers import TransformersGenerator
    from tests.support.tiny import tiny_policy, tiny_tokenizer  # takes seconds, which the others need not wait for

    print("a library that prints")
    return TransformersGenerator(tiny_policy(), tiny_tokenizer(), batch_size=3)


def make_broken(message: str) -> TransformersGenerator:
    raise ValueError(message)


def make_dying() -> TransformersGenerator:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def never(gold: str, answer: str, metadata: object) -> bool:
    """A grader that finds nothing correct."""
    return False

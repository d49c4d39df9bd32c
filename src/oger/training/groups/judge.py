"""Outcome of a teacher trajectory whose table holds no verdict."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from trl.trainer.utils import is_async_callable

from oger.teachers.table.column import COLUMN


@dataclass(eq=False)
class TeacherJudge:
    """Calls the outcome function once per trajectory of a row, with TRL's arguments, and keeps its answers."""

    function: Any
    """The reward function that is the outcome."""
    trainer_state: Callable[[], Any]
    """Gives what TRL passes to reward functions under this name."""
    event_loop: asyncio.AbstractEventLoop | None
    """Where an asynchronous function runs; None where there is none."""
    _outcomes: dict[tuple[str, str], float] = field(default_factory=dict)

    def __call__(self, example: dict[str, Any], text: str, token_ids: list[int]) -> float:
        """1.0 correct, 0.0 wrong, NaN undecided."""
        key = (repr([(name, value) for name, value in example.items() if name != COLUMN]), text)
        if key not in self._outcomes:
            value = self._call(example, text, token_ids)
            self._outcomes[key] = math.nan if value is None else float(value >= 1)
        return self._outcomes[key]

    def _call(self, example: dict[str, Any], text: str, token_ids: list[int]) -> float | None:
        completion = text if isinstance(example["prompt"], str) else [{"role": "assistant", "content": text}]
        arguments: dict[str, Any] = {
            name: [value] for name, value in example.items() if name not in ("prompt", "completion", "completion_ids")
        }
        arguments |= {
            "prompts": [example["prompt"]],
            "completions": [completion],
            "completion_ids": [token_ids],
            "trainer_state": self.trainer_state(),
            "log_extra": lambda *_: None,  # a teacher's extras have no place among those of the online rows
            "log_metric": lambda *_: None,
        }
        if is_async_callable(self.function):
            assert self.event_loop is not None, "TRL starts a loop when a reward function is asynchronous"
            return asyncio.run_coroutine_threadsafe(self.function(**arguments), self.event_loop).result()[0]
        return self.function(**arguments)[0]

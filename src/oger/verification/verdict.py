"""What a grader decides about one answer, and what the verifier says about one response."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["correct", "wrong", "undecided"]

_OUTCOMES = {"correct": 1.0, "wrong": 0.0, "undecided": None}


class VerifierError(ValueError):
    """The verifier itself cannot be trusted to work: its workers do not start, or its probe came out wrong."""


@dataclass(frozen=True)
class Judgement:
    """What a grader returns when it has more to say than yes or no."""

    correct: bool
    overruled: bool = False
    """A second check turned the first grader's answer round."""
    note: str = ""
    """Why, in a few words."""


@dataclass(frozen=True)
class Verdict:
    """What the verifier says about one response, and why."""

    status: Status
    extracted: str | None
    """The answer found in the response; None when there is none."""
    reason: str
    seconds: float = 0.0
    """Wall-clock seconds a worker spent on the answer; 0 when no worker was asked."""
    overruled: bool = False
    """A second check overruled the first grader."""

    @property
    def outcome(self) -> float | None:
        """R^m: 1.0 correct, 0.0 wrong, None undecided."""
        return _OUTCOMES[self.status]

"""The verdict on one response."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from oger.method.options import choose
from oger.verification.formats import DEFAULT_RULES, extract_answer
from oger.verification.kinds import KINDS

Status = Literal["correct", "wrong", "undecided"]

DEFAULT_KIND = "math"


@dataclass(frozen=True)
class Verdict:
    """What the verifier says about one response, and why."""

    status: Status
    extracted: str | None
    """The answer found in the response; None when there is none."""
    reason: str

    @property
    def outcome(self) -> float | None:
        """R^m: 1.0 correct, 0.0 wrong, None undecided."""
        return {"correct": 1.0, "wrong": 0.0, "undecided": None}[self.status]


def verify(
    gold: str,
    response: str,
    *,
    kind: str,
    metadata: Any = None,
    rules: Sequence[str] = DEFAULT_RULES,
) -> Verdict:
    """Find the answer of `response` by `rules` and compare it with `gold` by the grader of `kind`.

    A response without an answer is wrong. An exception inside a grader leaves the response undecided: nobody has shown
    that it is wrong. An unknown kind or rule is a ValueError.
    """
    grade = choose(KINDS, kind, "kind")
    extracted = extract_answer(response, rules)
    if extracted is None:
        return Verdict("wrong", None, f"no answer found ({' > '.join(rules)})")
    try:
        correct = grade(gold, extracted, metadata)
    except Exception as error:  # noqa: BLE001 - the named fault boundary: a grader runs third-party code on model output
        return Verdict("undecided", extracted, f"grader {kind!r} raised {type(error).__name__}: {error}")
    if correct:
        return Verdict("correct", extracted, f"equals the gold answer ({kind})")
    return Verdict("wrong", extracted, f"differs from the gold answer ({kind})")

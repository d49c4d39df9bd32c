"""Unequal by construction is never accepted, equal by construction is: fresh pairs by sympy in every run."""

import random
import secrets

import pytest

from oger.verification import verify_many
from tests.support.generated_pairs import Pair, equal, unequal

_DEADLINE_S = 30.0  # of machines under load


def _statuses(pairs: list[Pair]) -> list[str]:
    answers = [f"\\boxed{{{answer}}}" for _, answer in pairs]
    verdicts = verify_many([gold for gold, _ in pairs], answers, timeout_s=_DEADLINE_S, workers=2)
    return [verdict.status for verdict in verdicts]


@pytest.mark.parametrize(("make", "expected"), [(equal, "correct"), (unequal, "wrong")])
@pytest.mark.parametrize("size", [60, pytest.param(3000, marks=pytest.mark.soak)])
def test_pairs_come_out_as_they_were_made(make: object, expected: str, size: int) -> None:
    seed = secrets.token_hex(4)
    pairs = [make(random.Random(f"{seed} {index}")) for index in range(size)]  # type: ignore[operator]
    differing = [pair for pair, status in zip(pairs, _statuses(pairs), strict=True) if status != expected]
    assert not differing, f"seed {seed}: {differing}"

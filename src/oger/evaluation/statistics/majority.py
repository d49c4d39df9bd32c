"""What the samples of one problem agree on: the majority answer, its accuracy, and what its share is worth.

The votes of a problem are one label per sample. All correct samples share one label (each equals the gold answer, so
they equal each other); other answers are one label per spelling after `answer_text.clean`; a sample without an answer
does not vote.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from math import comb
from typing import Any

from oger.verification.math.answer_text import clean

CORRECT = "\0correct"
"""Label of every correct sample; no cleaned answer equals it, since control characters are replaced there."""

_LONGEST_LABEL = 2_000  # characters; longer answers are compared by their beginning


def vote(outcome: float | None, extracted: str | None) -> str | None:
    r"""The label of one sample: `CORRECT`, a wrong answer in one spelling, or None = no vote.

    >>> vote(0.0, r"\dfrac{1}{2}") == vote(None, r"$\frac{1}{2}$")
    True
    """
    if outcome == 1.0:
        return CORRECT
    return None if extracted is None else clean(extracted[:_LONGEST_LABEL]).casefold()


def majority_at_k(votes: Sequence[str | None], k: int) -> float:
    """Chance that the majority answer of k samples, drawn without replacement, is the correct one; exact.

    Ties are split: where t answers have most votes and the correct one is among them, it counts 1/t. k samples without
    any vote count 0.

        maj@k = sum over x, t of  C(c, x) W(x, t, k - x) / ((t + 1) C(n, k))

    with c correct samples of n, x of them drawn, and W the number of ways to draw the rest such that t other answers
    have exactly x votes and none has more.

    Raises:
        ValueError: k is not between 1 and the number of votes.

    >>> majority_at_k([CORRECT, "5", "5", None], 4), majority_at_k([CORRECT, "5"], 2)
    (0.0, 0.5)
    """
    if not 1 <= k <= len(votes):
        raise ValueError(f"maj@{k} needs 1 <= k <= {len(votes)}, the number of samples per problem")
    counts = Counter(votes)
    silent, correct = counts.pop(None, 0), counts.pop(CORRECT, 0)
    return _majority(correct, tuple(sorted(counts.values(), reverse=True)), silent, k)


@lru_cache(maxsize=4096)
def _majority(correct: int, others: tuple[int, ...], silent: int, k: int) -> float:
    won = 0.0
    total = comb(correct + sum(others) + silent, k)
    for most in range(1, min(correct, k) + 1):
        ways: dict[tuple[int, int], int] = {(0, 0): comb(correct, most)}  # (other samples drawn, ties) -> ways
        for count in others:
            new: defaultdict[tuple[int, int], int] = defaultdict(int)
            for (drawn, ties), number in ways.items():
                for votes in range(min(count, most, k - most - drawn) + 1):
                    new[drawn + votes, ties + (votes == most)] += number * comb(count, votes)
            ways = new
        for (drawn, ties), number in ways.items():
            won += number * comb(silent, k - most - drawn) / total / (ties + 1)
    return won


def distinct_answers(votes: Sequence[str | None]) -> int:
    """Different answers among the samples of one problem."""
    return len(set(votes) - {None})


def calibration(votes_P: Sequence[Sequence[str | None]], *, num_bins: int = 10) -> dict[str, Any]:
    """How often the majority is right when so many samples agree.

    Problems are put into bins of equal width by the share of their majority answer; a share on an edge belongs to the
    lower bin.

    Returns:
        "ece": expected calibration error, the mean over problems of |accuracy - mean share| of their bin (Guo et al.
        2017, arXiv 1706.04599, equation 3); "bins": of each bin with problems: "low", "high" (edges), "problems",
        "share" (mean) and "accuracy" (of the majority, ties split).

    Raises:
        ValueError: no problems.
    """
    if not votes_P:
        raise ValueError("calibration needs at least one problem")
    members: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for votes in votes_P:
        most = max(Counter(label for label in votes if label is not None).values(), default=0)
        place = max(0, -(-most * num_bins // len(votes)) - 1)  # integers: 0.1 + 0.2 must not change the bin
        members[place].append((most / len(votes), majority_at_k(votes, len(votes))))
    bins = []
    for place in sorted(members):
        shares, right = zip(*members[place], strict=True)
        bins.append(
            {
                "low": place / num_bins,
                "high": (place + 1) / num_bins,
                "problems": len(shares),
                "share": sum(shares) / len(shares),
                "accuracy": sum(right) / len(right),
            }
        )
    ece = sum(entry["problems"] * abs(entry["accuracy"] - entry["share"]) for entry in bins) / len(votes_P)
    return {"ece": ece, "bins": bins}

"""What has become of all the answers that a verifier was asked about."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PoolStatistics:
    """Counts since the pool was made.

    `seen` = `unreadable` + `no_answer` + `too_long` + `instant` + `cached` + `graded`.
    """

    seen: int
    """Responses."""
    unreadable: int
    """Undecided because the gold answer is unreadable."""
    no_answer: int
    """Wrong because no answer was found."""
    too_long: int
    """Undecided because the response or the answer is too long to look at."""
    instant: int
    """Decided in the caller's process."""
    cached: int
    """Took over the grade of an equal answer, of this call or an earlier one."""
    graded: int
    """Sent to a worker."""
    undecided: Mapping[str, int]
    """Undecided responses by reason: gold, length, error, memory, deadline, died."""
    overruled: int
    """Answers sent to a worker where the second check overruled the first grader."""
    restarts: int
    """Workers replaced after a fault."""

    @classmethod
    def of(cls, counts: Counter[str], restarts: int) -> "PoolStatistics":
        """The record of raw counts; undecided ones are counted under `undecided/<reason>`."""
        undecided = {name.removeprefix("undecided/"): n for name, n in counts.items() if name.startswith("undecided/")}
        names = ("seen", "unreadable", "no_answer", "too_long", "instant", "cached", "graded", "overruled")
        return cls(**{name: counts[name] for name in names}, undecided=undecided, restarts=restarts)

    @property
    def undecided_share(self) -> float:
        """Undecided responses per response seen; 0 without any."""
        return sum(self.undecided.values()) / self.seen if self.seen else 0.0

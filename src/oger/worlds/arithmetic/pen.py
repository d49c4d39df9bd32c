"""How a programmatic teacher writes numbers down, and how it slips.

A style is a function of a problem and a `Pen`; every intermediate value of the solution passes through the pen. A pen
that slips changes exactly one of them, and the style then carries on from the wrong value, as a person would. The slip
is therefore in the middle of the trace and the steps after it are consistent with it.
"""

from dataclasses import dataclass
from random import Random


def slipped(value: int, rng: Random) -> int:
    """A plausible wrong reading of `value`: one off, a dropped or extra carry, or two digits swapped; sign is kept."""
    candidates = [value - 1, value + 1, value - 2, value + 2]
    digits = str(abs(value))
    if len(digits) >= 2:
        candidates += [value - 10, value + 10]
        swapped = int(digits[:-2] + digits[-1] + digits[-2])
        candidates.append(swapped if value >= 0 else -swapped)
    sensible = [c for c in candidates if c != value and (c >= 0) == (value >= 0)]
    return rng.choice(sensible)


@dataclass
class Pen:
    """Passes values through and counts them; the value number `slip_at` (0-based) comes out wrong."""

    slip_at: int | None = None
    rng: Random | None = None
    num_written: int = 0

    def __call__(self, value: int) -> int:
        index, self.num_written = self.num_written, self.num_written + 1
        if index != self.slip_at:
            return value
        assert self.rng is not None
        return slipped(value, self.rng)


@dataclass(frozen=True)
class Solution:
    """The steps of a trace and the answer they lead to."""

    steps: tuple[str, ...]
    answer: str

    @property
    def text(self) -> str:
        """The trace as the policy reads and writes it: steps, then the boxed answer."""
        return " ".join((*self.steps, f"\\boxed{{{self.answer}}}"))

    @property
    def unboxed_text(self) -> str:
        """The trace with the plain answer at its end, where no verifier finds it."""
        return " ".join((*self.steps, self.answer))

"""Where the time of a run goes: its parts by the wall clock, each moment in one of them."""

from __future__ import annotations

import time

IMPORTS, DATA, FIRST_STAGE, POLICY, BEFORE, TRAINING, SAVING, AFTER = (
    "imports", "data", "first stage", "policy", "evaluation before", "training", "saving", "evaluation after",
)  # fmt: skip


class Parts:
    """Seconds by part, in the order in which the parts ended.

    Args:
        imports: seconds that loading the libraries took before; None where nobody looked.
    """

    def __init__(self, imports: float | None = None) -> None:
        self.seconds: dict[str, float] = {} if imports is None else {IMPORTS: imports}
        self._mark = time.perf_counter()

    def end(self, part: str) -> None:
        """All that passed since the last part ended belongs to this one."""
        now = time.perf_counter()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._mark
        self._mark = now

    @property
    def rounded(self) -> dict[str, float]:
        """For summary.json."""
        return {part: round(seconds, 1) for part, seconds in self.seconds.items()}

    @property
    def total(self) -> float:
        """Seconds of all parts that have ended."""
        return sum(self.seconds.values())

    def line(self) -> str:
        """One line for the terminal.

        >>> parts = Parts(imports=4.04)
        >>> parts.line()
        'seconds: imports 4.0'
        """
        return "seconds: " + ", ".join(f"{part} {seconds:.1f}" for part, seconds in self.seconds.items())

"""Progress of a collection on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from oger.terminal.bar import Bars, clock

PLAIN_EVERY_S = 30.0


@dataclass
class Tally:
    """What a run has done so far."""

    total: int
    """Requests it set out to make."""
    answers: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    num_tokens: int = 0
    """Tokens of answers, where the server counts them."""
    last_reason: str = ""
    """Of the last failure."""
    interrupted: bool = False
    fatal: str | None = None
    """Why the run gave up before its end."""
    started: float = field(default_factory=time.monotonic)

    @property
    def remaining(self) -> int:
        """Requests without an answer."""
        return self.total - self.answers


class Progress(Bars):
    """A bar or lines about a `Tally`. A context manager."""

    def __init__(self, title: str, total: int) -> None:
        super().__init__("title", "bar", "count", "note", transient=True)
        self._title = title
        self._bar = self.add(title, total)

    def show(self, tally: Tally) -> None:
        """Move on; called after every request and once a second."""
        seconds = time.monotonic() - tally.started
        left = clock(seconds / tally.answers * (tally.remaining - tally.failures)) if tally.answers else "?"
        note = f"{tally.num_tokens / max(seconds, 1e-9):.0f} tokens/s, {tally.failures} failed, {left} left"
        self._bar.update(completed=tally.answers, note=note)
        self.tell(f"{self._title}: {tally.answers}/{tally.total} answers, {note}", PLAIN_EVERY_S)

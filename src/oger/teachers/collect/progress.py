"""Progress of a collection on standard error: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

from oger.terminal.plain import say

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from oger.teachers.collect.run import Tally

PLAIN_EVERY_S = 30.0


class Progress(Protocol):
    """Where a run tells how far it is."""

    def show(self, tally: Tally) -> None:
        """Called after every request and once a second."""

    def say(self, line: str) -> None:
        """One line for the user."""

    def close(self) -> None:
        """No more is told."""


def terminal_progress(title: str, total: int) -> Progress:
    """The progress that fits standard error."""
    return BarProgress(title, total) if sys.stderr.isatty() else PlainProgress(title)


class PlainProgress:
    """For logs: a line every half minute."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._last = time.monotonic()

    def show(self, tally: Tally) -> None:
        """Print how far it is, if the last line is old."""
        if time.monotonic() - self._last < PLAIN_EVERY_S:
            return
        self._last = time.monotonic()
        self.say(f"{self._title}: {tally.answers}/{tally.total} answers, {_rates(tally)}, {_left(tally)} left")

    def say(self, line: str) -> None:
        """Print a line."""
        say(line, err=True)

    def close(self) -> None:
        """Nothing to do."""


class BarProgress:
    """For a terminal."""

    def __init__(self, title: str, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        from oger.terminal.console import Terminal

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rates]}"),
            TextColumn("{task.fields[left]} left"),
        )
        self._bar: RichProgress = Progress(*columns, console=Terminal(stderr=True), transient=True)
        self._task = self._bar.add_task(title, total=total, rates="", left="?")
        self._bar.start()

    def show(self, tally: Tally) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=tally.answers, rates=_rates(tally), left=_left(tally))

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def _rates(tally: Tally) -> str:
    seconds = max(time.monotonic() - tally.started, 1e-9)
    return f"{tally.num_tokens / seconds:.0f} tokens/s, {tally.failures} failed"


def _left(tally: Tally) -> str:
    if not tally.answers:
        return "?"
    waiting = tally.remaining - tally.failures
    seconds = int((time.monotonic() - tally.started) / tally.answers * waiting)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

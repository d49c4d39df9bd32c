"""Progress bars on a terminal, and lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")

_COLUMNS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "title": ("TextColumn", {"text_format": "{task.description}", "markup": False}),
    "bar": ("BarColumn", {}),
    "short bar": ("BarColumn", {"bar_width": 8}),
    "wide bar": ("BarColumn", {"bar_width": None}),
    "count": ("MofNCompleteColumn", {}),
    "percent": ("TaskProgressColumn", {}),
    "note": ("TextColumn", {"text_format": "{task.fields[note]}", "markup": False}),
    "elapsed": ("TimeElapsedColumn", {}),
    "left": ("TimeRemainingColumn", {}),
}
"""Word -> class of `rich.progress`, which is imported only where a bar is made, and its options."""


class Bars:
    """One bar for each task, in the columns that are named. A context manager; bars may be added before it is entered.

    Args:
        columns: words among "title", "bar", "short bar" (8 characters), "wide bar" (all room there is), "count"
            (done/total), "percent", "note" (a text of the caller's), "elapsed", "left".
        console: where they stand; standard error by default.
        wanted: False = no bars, and no lines of `tell`.
        transient: whether the bars go at the end.
    """

    def __init__(
        self, *columns: str, console: Console | None = None, wanted: bool = True, transient: bool = False
    ) -> None:
        from rich import progress

        from oger.terminal.console import Terminal

        self._console = console or Terminal(stderr=True)
        self.shown = wanted and self._console.is_terminal
        """Whether somebody sees the bars."""
        self._wanted = wanted
        made = [getattr(progress, kind)(**options) for kind, options in map(_COLUMNS.__getitem__, columns)]
        self._progress = progress.Progress(*made, console=self._console, transient=transient, disable=not self.shown)
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Shows them."""
        self._progress.start()

    def close(self) -> None:
        """Ends all bars and gives the cursor back."""
        self._progress.stop()

    def add(self, title: str = "", total: float | None = None, note: str = "") -> Bar:
        """A new bar; `total` None = nobody knows."""
        return Bar(self._progress, self._progress.add_task(title, total=total, note=note))

    def say(self, line: str) -> None:
        """A line that stays, above the bars."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def tell(self, line: str, every_s: float = 0.0) -> None:
        """Where no bar is seen: a line, unless the last one, or the start, is less than so many seconds ago."""
        if self.shown or not self._wanted or time.monotonic() - self._told < every_s:
            return
        self._told = time.monotonic()
        self.say(line)


class Bar:
    """One task of `Bars`."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def advance(self, by: float = 1) -> None:
        """Move on."""
        self._progress.advance(self._task, by)

    def update(self, **fields: Any) -> None:
        """Set "completed", "total", "note" or "description"."""
        self._progress.update(self._task, **fields)

    def follow(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each moving the bar by one."""
        for item in items:
            yield item
            self.advance()


def clock(seconds: float) -> str:
    """A span of time as hours, minutes and seconds.

    >>> clock(75.9), clock(7300), clock(100 * 3600)
    ('0:01:15', '2:01:40', '100:00:00')
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"

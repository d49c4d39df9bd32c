"""The progress of a curation on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import TaskID

Item = TypeVar("Item")


class Bar:
    """One bar per stage on standard error, where it is wanted and that is a terminal. A context manager."""

    def __init__(self, wanted: bool) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        from oger.terminal.console import Terminal

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        shown = wanted and sys.stderr.isatty()
        self._progress = Progress(*columns, console=Terminal(stderr=True), disable=not shown)
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, name: str, total: int | None) -> None:
        """Begin a stage; `total` None = nobody knows."""
        self._task = self._progress.add_task(name, total=total)

    def advance(self, by: int = 1) -> None:
        """Move the bar of the stage."""
        if self._task is not None:
            self._progress.advance(self._task, by)

    def follow(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each moving the bar by one."""
        for item in items:
            yield item
            self.advance()

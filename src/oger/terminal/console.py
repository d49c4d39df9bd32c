"""The console that every table, panel and bar of `oger` is printed with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from oger.terminal.plain import plain


def plain_table(title: str = "", *columns: str) -> Table:
    """A table without frames, for 80 columns: a column of names, then columns of numbers."""
    heading = Text(title) if title else None
    table = Table(title=heading, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(column, overflow="fold", justify="right" if position else "left", no_wrap=position > 0)
    return table


class Terminal(Console):
    """A rich console for texts of strangers: their control characters are dropped, their [brackets] are no markup.

    Args:
        options: as of `rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What rich makes of `renderable`; its own control codes, such as those of a bar, stay as they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(plain(segment.text), segment.style)

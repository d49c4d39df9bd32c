"""What a running study shows: a live table on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from oger.runs.paths import METRICS, SUMMARY
from oger.study.cell_folder import RUN
from oger.study.cells import MAIN, TUNING, UNTRAINED, Cell
from oger.study.plan import Study
from oger.study.pool import CellPool, Running
from oger.terminal.bar import clock

_WAITING, _RUNNING, _FAILED = "·", "…", "failed"
_TAIL_BYTES = 1 << 15


class Board:
    """Shows a study while it runs.

    Args:
        study: whose cells.
        console: a terminal gets a live table, anything else a line per event.
    """

    def __init__(self, study: Study, console: Console) -> None:
        self._study, self._console = study, console
        self._seconds: dict[str, list[float]] = {}
        self._state: dict[str, str] = {}
        self._pool: CellPool | None = None
        self._cells: Sequence[Cell] = ()
        self._missing: Sequence[Cell] = ()

    @contextmanager
    def live(self, pool: CellPool, cells: Sequence[Cell], missing: Sequence[Cell]) -> Iterator[None]:
        """Shows the table for as long as the body runs."""
        self._pool = pool
        self.update(cells, missing)
        self.say(
            f"{self._study.name}: {len(missing)} of {len(cells)} cells to do, {pool.workers} at once with "
            f"{pool.threads} thread(s) each"
        )
        table = Live(get_renderable=self._table, console=self._console, refresh_per_second=1, transient=True)
        with table if self._console.is_terminal else nullcontext():
            yield

    def started(self, cell: Cell) -> None:
        """A cell has begun."""
        self._state[cell.name] = _RUNNING

    def update(self, cells: Sequence[Cell], missing: Sequence[Cell]) -> None:
        """What the study consists of by now, and what of it is not stored."""
        self._cells, self._missing = cells, missing

    def ended(self, entry: Running, failure: str | None, accuracies: Mapping[str, float]) -> None:
        """A cell has ended: its numbers, or why there are none."""
        seconds = time.monotonic() - entry.started
        name = entry.cell.name
        if failure is not None:
            self._state[name] = _FAILED
            self.say(f"{name} failed after {_duration(seconds)}: {failure}")
            return
        self._seconds.setdefault(entry.cell.kind, []).append(seconds)
        self._state[name] = " ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies.values())
        shown = ", ".join(f"{split} {100 * accuracy:.1f} %" for split, accuracy in accuracies.items())
        self.say(f"{name}: {shown} ({_duration(seconds)}); {self._left()}")

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(f"{datetime.now():%H:%M:%S} {line}", highlight=False, soft_wrap=True)

    def _left(self) -> str:
        """How many cells are stored, and about how long the others take."""
        assert self._pool is not None
        done = f"{len(self._cells) - len(self._missing)} of {len(self._cells)} cells"
        known = [seconds for kind in self._seconds.values() for seconds in kind]
        if not known or not self._missing:
            return done
        mean = sum(known) / len(known)
        expected = [
            sum(self._seconds[cell.kind]) / len(self._seconds[cell.kind]) if cell.kind in self._seconds else mean
            for cell in self._missing
        ]
        return f"{done}, about {_duration(sum(expected) / self._pool.workers)} left"

    def _table(self) -> Group:
        assert self._pool is not None
        stored = {cell.name for cell in self._cells} - {cell.name for cell in self._missing}
        seeds = list(dict.fromkeys(cell.seed for cell in self._cells if cell.kind == MAIN))
        table = Table("regime", "method", *(f"seed {seed}" for seed in seeds), title=self._study.name)
        rows: dict[tuple[str, str], dict[int, str]] = {}
        for cell in self._cells:
            if cell.kind == MAIN:
                state = self._state.get(cell.name, "stored" if cell.name in stored else _WAITING)
                rows.setdefault((cell.regime, cell.method), {})[cell.seed] = state
        for (regime, method), states in rows.items():
            table.add_row(regime, method, *(states.get(seed, "") for seed in seeds))
        others = [cell for cell in self._cells if cell.kind in (TUNING, UNTRAINED)]
        done = sum(cell.name in stored for cell in others)
        working = "  ".join(f"{entry.cell.name} {_step(entry.folder)}" for entry in self._pool.running)
        lines = [f"tuning and untrained: {done} of {len(others)}", f"at work: {working or '-'}", self._left()]
        return Group(table, *lines)


def _step(folder: Path) -> str:
    """Where a cell is, from the end of its metrics."""
    path = folder / RUN / METRICS
    if not path.is_file():
        return "starting"
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().splitlines()
    steps = [line.split(b'"step": ', 1)[1].split(b",", 1)[0] for line in lines if line.startswith(b'{"step": ')]
    if (folder / RUN / SUMMARY).is_file():
        return "measuring"
    return f"step {steps[-1].decode().rstrip('}')}" if steps else "training"


def _duration(seconds: float) -> str:
    """As h:mm:ss, or mm:ss below an hour.

    >>> _duration(75.2), _duration(7300)
    ('01:15', '2:01:40')
    """
    return clock(round(seconds)).removeprefix("0:")

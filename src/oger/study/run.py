"""`oger compare`: run what is missing of a study, merge what is finished, make the tables."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from oger.io.lock import HeldError, Lock
from oger.io.whole import remove_leftovers
from oger.study.cell_folder import CELLS_FOLDER, RESULTS_FOLDER, finished, stored_specs
from oger.study.cells import Cell, check_unchanged, choose_values, main_cells, tuning_cells
from oger.study.fields import StudyError
from oger.study.plan import Study
from oger.study.pool import CellPool
from oger.study.progress import Board
from oger.study.store import ResultStore

_POLL_S = 0.5


@dataclass(frozen=True)
class RunOptions:
    """How a study is run; nothing of it changes a result."""

    out: Path
    """Folder of the study: results/ to keep, cells/ to work in."""
    command: str
    """As typed, for the tables."""
    workers: int
    nice: int = 0
    limit_hours: float | None = None
    """No cell is started after so many hours."""


@dataclass(frozen=True)
class Outcome:
    """How a session ended."""

    stored: int
    """Cells."""
    failed: Mapping[str, str]
    """Cell -> the last lines of its log."""


def run_study(study: Study, options: RunOptions, console: Console) -> Outcome:
    """Run every cell that is not stored yet.

    Finished cells are merged into results/ one by one, so that a kill loses nothing but the steps since the last
    checkpoints of the cells at work. A cell that fails is reported, and tried again in the next session.

    Raises:
        StudyError: the study cannot be used, or contradicts stored cells; nothing has been changed.
    """
    store = ResultStore(options.out / RESULTS_FOLDER)
    work = options.out / CELLS_FOLDER
    plan = _Plan(study, store, work)
    with _locked(work):
        remove_leftovers(options.out / RESULTS_FOLDER)
        pool = CellPool(work, options.workers, options.nice)
        session = _Session(plan, pool, options, console)
        session.merge_leftovers()
        try:
            session.run()
        finally:
            pool.stop()
    return Outcome(len(plan.cells) - len(plan.missing()), session.failed)


class _Plan:
    """The cells of a study; those of a tuned method are known once its value is chosen."""

    def __init__(self, study: Study, store: ResultStore, work: Path) -> None:
        self.study, self.store = study, store
        self._tuning = tuning_cells(study)
        self._stored: Mapping[str, Any] = {**stored_specs(work), **store.cells()}
        self._where = str(work.parent)
        self._chosen: dict[tuple[str, str], Any] | None = None
        self.cells: list[Cell] = []
        check_unchanged(self._tuning, self._stored, self._where)
        if study.tuning is not None:  # a method that cannot be trained is refused before hours have passed
            main_cells(study, dict.fromkeys(((c.regime, c.method) for c in self._tuning), study.tuning.values[0]))
        self.update()

    def update(self) -> None:
        """Add the cells whose values are chosen now."""
        chosen = choose_values(self.study, self._tuning, self.store.tuning_accuracies())
        if chosen == self._chosen:
            return
        self._chosen = chosen
        main = main_cells(self.study, chosen)
        check_unchanged(main, self._stored, self._where)
        self.cells = [*self._tuning, *main]

    def missing(self) -> list[Cell]:
        """Cells that are not stored, in the order in which they run."""
        stored = set(self.store.tables["results"]["cell"].unique().to_pylist())
        return [cell for cell in self.cells if cell.name not in stored]


class _Session:
    """One call of `run_study`."""

    def __init__(self, plan: _Plan, pool: CellPool, options: RunOptions, console: Console) -> None:
        self.plan, self.pool, self.options = plan, pool, options
        self.failed: dict[str, str] = {}
        self.board = Board(plan.study, console)

    def merge_leftovers(self) -> None:
        """Cells that a killed session finished without merging them."""
        done = [cell for cell in self.plan.missing() if finished(self.pool.folder / cell.name) == cell.identity]
        if done:
            self._merge(*done)

    def run(self) -> None:
        """Start, watch and merge until nothing is left that may start."""
        limit = self.options.limit_hours
        end = None if limit is None else time.monotonic() + 3600 * limit
        with self.board.live(self.pool, self.plan.cells, self.plan.missing()):
            while True:
                may_start = end is None or time.monotonic() < end
                waiting = self._waiting()
                while may_start and waiting and self.pool.has_room:
                    cell = waiting.pop(0)
                    self.pool.start(cell)
                    self.board.started(cell)
                if not self.pool.running:
                    if waiting and not may_start:
                        self.board.say(f"{limit:g} hours are over: {len(waiting)} cells are left for another session")
                    return
                time.sleep(_POLL_S)
                for entry, failure in self.pool.ended():
                    if failure is None:
                        self._merge(entry.cell)
                    else:
                        self.failed[entry.cell.name] = failure
                    self.board.update(self.plan.cells, self.plan.missing())
                    self.board.ended(entry, failure, self._accuracies(entry.cell))

    def _waiting(self) -> list[Cell]:
        busy = {entry.cell.name for entry in self.pool.running} | self.failed.keys()
        return [cell for cell in self.plan.missing() if cell.name not in busy]

    def _merge(self, *cells: Cell) -> None:
        how = {"command": self.options.command, "workers": self.pool.workers, "threads": self.pool.threads}
        self.plan.store.add([(cell, self.pool.folder / cell.name) for cell in cells], how)
        self.plan.update()

    def _accuracies(self, cell: Cell) -> dict[str, float]:
        """Split -> accuracy of the last policy."""
        table = self.plan.store.tables["results"]
        columns = ["cell", "evaluation", "policy", "split", "accuracy"]
        return {
            row["split"]: row["accuracy"]
            for row in table.select(columns).to_pylist()
            if (row["cell"], row["evaluation"], row["policy"]) == (cell.name, "standard", "last")
        }


def _locked(work: Path) -> Lock:
    """One study at a time in a folder."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        return Lock(work)
    except HeldError:
        raise StudyError(f"another oger compare is at work in {work}: wait for it, or name another --out") from None

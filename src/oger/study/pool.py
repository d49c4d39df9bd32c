"""Cells in processes of their own: so many at once, each with its share of the cores, none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from oger.io.processes import available_cores, python_module, worker_environment
from oger.io.whole import remove_leftovers, write_json
from oger.study.cell_folder import LOG, RESULT, SPEC
from oger.study.cells import UNTRAINED, Cell
from oger.verification.pool.pool import WORKERS_VARIABLE

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_LAST_LINES = 5
_TERMINATE_S = 5.0


@dataclass
class Running:
    """A cell at work."""

    cell: Cell
    folder: Path
    process: subprocess.Popen[bytes]
    started: float
    """By `time.monotonic`."""


class CellPool:
    """Starts and watches the processes of cells.

    Args:
        folder: cells/ of the study.
        workers: processes at once.
        nice: niceness added to theirs.
    """

    def __init__(self, folder: Path, workers: int, nice: int) -> None:
        self.folder, self.workers, self.nice = folder, workers, nice
        self.threads = max(1, available_cores() // workers)
        self.running: list[Running] = []

    @property
    def has_room(self) -> bool:
        """Whether another cell may start."""
        return len(self.running) < self.workers

    def start(self, cell: Cell) -> None:
        """Start the process of a cell."""
        folder = self.folder / cell.name
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        write_json(
            folder / SPEC,
            {
                "identity": cell.identity,
                "train": cell.kind != UNTRAINED,
                "recipe": cell.recipe,
                "overrides": cell.overrides,
                "measures": cell.measures,
                "encoder": cell.encoder,
                "seed": cell.seed,
                "settings": cell.settings,
            },
        )
        environment = {
            **worker_environment(),
            **dict.fromkeys((*_THREAD_VARIABLES, WORKERS_VARIABLE), str(self.threads)),
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONUNBUFFERED": "1",
        }
        with open(folder / LOG, "wb") as log:
            # A session of its own: an interrupt reaches the study alone, which then ends its cells with all they began.
            process = subprocess.Popen(
                python_module("oger.study.worker", str(folder)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True,
            )  # fmt: skip
        if self.nice:
            os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + self.nice)
        self.running.append(Running(cell, folder, process, time.monotonic()))

    def ended(self) -> list[tuple[Running, str | None]]:
        """The cells whose processes have ended since the last call, each with None or the last lines of its log."""
        done = [entry for entry in self.running if entry.process.poll() is not None]
        self.running = [entry for entry in self.running if entry not in done]
        return [(entry, _failure(entry)) for entry in done]

    def stop(self) -> None:
        """End every cell; each goes on from its last checkpoint when the study does."""
        for entry in self.running:
            _signal(entry, signal.SIGTERM)
        deadline = time.monotonic() + _TERMINATE_S
        for entry in self.running:
            try:
                entry.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(entry, signal.SIGKILL)
                entry.process.wait()
        self.running = []


def _failure(entry: Running) -> str | None:
    if entry.process.returncode == 0 and (entry.folder / RESULT).is_file():
        return None
    lines = (entry.folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line for line in lines if line.strip()][-_LAST_LINES:]
    return "\n".join([f"exit status {entry.process.returncode}; {entry.folder / LOG} ends with", *said])


def _signal(entry: Running, number: signal.Signals) -> None:
    if entry.process.poll() is None:
        os.killpg(entry.process.pid, number)

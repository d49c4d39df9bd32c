"""A persistent pool of grading processes. `dispatch` is the loop that shares tasks out and enforces the deadlines."""

import os
import threading
from collections.abc import Collection, Sequence

from oger.io.processes import available_cores
from oger.verification.pool.dispatch import Dispatch
from oger.verification.pool.frames import Grade, Task
from oger.verification.pool.workers import Workers

DEFAULT_MEMORY_LIMIT = 2 * 2**30
"""Bytes of address space that a grader may add to what the loaded kinds take."""

WORKERS_VARIABLE = "OGER_VERIFY_WORKERS"
"""Environment variable with the number of workers of a process that shares the machine with others of its kind."""

_MAX_DEFAULT_WORKERS = 8


def default_workers() -> int:
    """As `WORKERS_VARIABLE` says; else usable cores, at most eight, divided among the ranks that torchrun started."""
    if given := os.environ.get(WORKERS_VARIABLE):
        return max(1, int(given))
    cores = available_cores()
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    return max(1, min(cores // ranks, _MAX_DEFAULT_WORKERS))


class WorkerPool:
    """Workers that start when they are needed and stay. One call at a time grades; calls of other threads wait."""

    def __init__(self, num_workers: int, memory_limit: int) -> None:
        self._workers = Workers(num_workers, memory_limit)
        self._lock = threading.Lock()

    @property
    def pids(self) -> list[int]:
        """Process ids of the present workers."""
        return [worker.pid for worker in self._workers]

    @property
    def restarts(self) -> int:
        """Workers replaced after a fault."""
        return self._workers.restarts

    def warm_up(self, kinds: Collection[str]) -> None:
        """Start every worker and wait until all have loaded `kinds`. Raises as `grade` does."""
        self._run(kinds, [], 0.0, self._workers.most)

    def grade(self, tasks: Sequence[Task], deadline_s: float) -> list[Grade]:
        """One grade per task, in order; each task may take `deadline_s` seconds.

        Raises:
            VerifierError: a kind does not load in a worker, no worker starts, or the pool is closed.
        """
        # One more than there are tasks: should the only task hang, the next caller finds a worker that is ready. A pool
        # of one keeps a spare from its first fault on.
        most = max(self._workers.most, 2 if self.restarts else 1)
        return self._run({task.kind for task in tasks}, tasks, deadline_s, min(most, len(tasks) + 1))

    def _run(self, kinds: Collection[str], tasks: Sequence[Task], deadline_s: float, min_workers: int) -> list[Grade]:
        with self._lock, Dispatch(self._workers, kinds, tasks, deadline_s) as dispatch:
            self._workers.drop_the_dead()
            for worker in self._workers:
                worker.load(kinds)
                dispatch.watch(worker)
            while len(self._workers) < min_workers:
                dispatch.watch(self._workers.start(kinds))
            return dispatch.run()

    def close(self) -> None:
        """Kill the workers. A call in progress in another thread ends with a VerifierError."""
        self._workers.closed = True
        for worker in self._workers:
            worker.terminate()
        with self._lock:
            for worker in self._workers:
                self._workers.remove(worker)

    def forget(self) -> None:
        """In a forked child: leave the parent's workers to the parent and begin anew."""
        self._workers.forget()
        self._lock = threading.Lock()

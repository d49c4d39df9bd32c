"""A persistent pool of grading processes. `dispatch` is the loop that shares tasks out and enforces the deadlines."""

import os
import threading
from collections.abc import Collection, Sequence

from oger.verification.pool.dispatch import Dispatch
from oger.verification.pool.frames import Grade, Task
from oger.verification.pool.process import Worker
from oger.verification.verdict import VerifierError

DEFAULT_MEMORY_LIMIT = 2 * 2**30
"""Bytes of address space that a grader may add to what the loaded kinds take."""

WORKERS_VARIABLE = "OGER_VERIFY_WORKERS"
"""Environment variable with the number of workers of a process that shares the machine with others of its kind."""

_MAX_DEFAULT_WORKERS = 8


def default_workers() -> int:
    """As `WORKERS_VARIABLE` says; else usable cores, at most eight, divided among the ranks that torchrun started."""
    if given := os.environ.get(WORKERS_VARIABLE):
        return max(1, int(given))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
    return max(1, min(cores // ranks, _MAX_DEFAULT_WORKERS))


class WorkerPool:
    """Workers that start when they are needed and stay. One call at a time grades; calls of other threads wait."""

    def __init__(self, num_workers: int, memory_limit: int) -> None:
        self.num_workers = num_workers
        self.closed = False
        self.restarts = 0
        """Workers replaced after a fault."""
        self._memory_limit = memory_limit
        self._workers: list[Worker] = []
        self._lock = threading.Lock()

    @property
    def pids(self) -> list[int]:
        """Process ids of the present workers."""
        return [worker.pid for worker in self._workers]

    def warm_up(self, kinds: Collection[str]) -> None:
        """Start every worker and wait until all have loaded `kinds`. Raises as `grade` does."""
        self._run(kinds, [], 0.0, self.num_workers)

    def grade(self, tasks: Sequence[Task], deadline_s: float) -> list[Grade]:
        """One grade per task, in order; each task may take `deadline_s` seconds.

        Raises:
            VerifierError: a kind does not load in a worker, no worker starts, or the pool is closed.
        """
        # One more than there are tasks: should the only task hang, the next caller finds a worker that is ready. A pool
        # of one keeps a spare from its first fault on.
        most = max(self.num_workers, 2 if self.restarts else 1)
        return self._run({task.kind for task in tasks}, tasks, deadline_s, min(most, len(tasks) + 1))

    def _run(self, kinds: Collection[str], tasks: Sequence[Task], deadline_s: float, min_workers: int) -> list[Grade]:
        with self._lock, Dispatch(self, kinds, tasks, deadline_s) as dispatch:
            self._drop_the_dead()
            for worker in self._workers:
                worker.load(kinds)
                dispatch.watch(worker)
            while len(self._workers) < min_workers:
                dispatch.watch(self.start_worker(kinds))
            return dispatch.run()

    @property
    def workers(self) -> list[Worker]:
        """The present workers; for `Dispatch`."""
        return list(self._workers)

    def start_worker(self, kinds: Collection[str]) -> Worker:
        """One more worker, which loads `kinds`; those of earlier calls only once they are asked for again.

        Raises:
            VerifierError: the pool is closed.
        """
        if self.closed:
            raise VerifierError("the verifier pool is closed")
        worker = Worker(kinds, self._memory_limit)
        self._workers.append(worker)
        return worker

    def remove_worker(self, worker: Worker) -> None:
        """Kill a worker."""
        self._workers.remove(worker)
        worker.close()

    def _drop_the_dead(self) -> None:
        """Replace later what died between two calls (killed for memory by the system, say): no task was in it."""
        for worker in self.workers:
            if not worker.alive:
                self.remove_worker(worker)

    def close(self) -> None:
        """Kill the workers. A call in progress in another thread ends with a VerifierError."""
        self.closed = True
        for worker in self.workers:
            worker.terminate()
        with self._lock:
            for worker in self.workers:
                self.remove_worker(worker)

    def forget(self) -> None:
        """In a forked child: leave the parent's workers to the parent and begin anew."""
        for worker in self._workers:
            worker.forget()
        self._workers = []
        self._lock = threading.Lock()

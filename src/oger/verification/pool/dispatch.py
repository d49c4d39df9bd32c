"""One round of grading: a selector loop that feeds the workers, collects answers and enforces the deadline of each.

A worker that overruns the deadline is killed, one that dies is replaced; either way only the task in progress is
undecided, and what was queued behind it goes to another worker.
"""

import selectors
import time
from collections import deque
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any, Self

from oger.verification.pool.frames import Fault, Grade, Task
from oger.verification.pool.process import Worker
from oger.verification.pool.workers import Workers
from oger.verification.verdict import VerifierError

_MAX_AHEAD = 8  # tasks queued at one worker: enough to hide the parent's latency
_MAX_FAILED_STARTS = 3  # in a row
_START_TIMEOUT_S = 120.0  # importing sympy or reasoning-gym takes a second; far more on a machine that swaps


class Dispatch:
    """Grades `tasks` with the workers it is told to `watch`; as a context manager it leaves no worker half-way."""

    def __init__(self, workers: Workers, kinds: Collection[str], tasks: Sequence[Task], deadline_s: float) -> None:
        self._workers = workers
        self._kinds = kinds
        self._tasks = tasks
        self._deadline_s = deadline_s
        self._queue = deque(range(len(tasks)))
        self._grades: dict[int, Grade] = {}
        self._failed_starts = 0
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._selector.close()
        if error is not None:  # Ctrl-C, a closed pool, a kind that does not load: what is under way is worthless
            for worker in self._workers:
                if worker.assigned or worker.loading:
                    self._workers.remove(worker)

    def watch(self, worker: Worker) -> None:
        """Let a worker take part."""
        self._selector.register(worker.answers_fd, selectors.EVENT_READ)
        if worker.stderr_open:
            self._selector.register(worker.stderr_fd, selectors.EVENT_READ)

    def run(self) -> list[Grade]:
        """The grades, in the order of the tasks. Without tasks, wait until every worker is ready.

        Raises:
            VerifierError: a kind does not load, no worker starts, or the pool was closed meanwhile.
        """
        while self._unfinished():
            for worker in self._workers:
                self._feed(worker)
            self._wait()
            for worker in self._workers:
                self._collect(worker)
        return [self._grades[index] for index in range(len(self._tasks))]

    def _unfinished(self) -> bool:
        if self._tasks:
            return len(self._grades) < len(self._tasks)
        return any(worker.loading for worker in self._workers)

    def _feed(self, worker: Worker) -> None:
        """Top up a worker's queue: several tasks while there are many, the last ones one by one."""
        ahead = max(1, min(_MAX_AHEAD, len(self._queue) // (2 * self._workers.most)))
        if not worker.loading and len(worker.assigned) <= ahead // 2:
            while self._queue and len(worker.assigned) < ahead:
                index = self._queue.popleft()
                worker.assign(index, self._tasks[index], self._deadline_s)
        worker.flush()
        registered = worker.tasks_fd in self._selector.get_map()
        if worker.wants_write and not registered:
            self._selector.register(worker.tasks_fd, selectors.EVENT_WRITE)
        elif registered and not worker.wants_write:
            self._selector.unregister(worker.tasks_fd)

    def _wait(self) -> None:
        """Sleep until a pipe is ready or a time limit has passed."""
        ends = [worker.began + self._limit_s(worker) for worker in self._workers if self._busy(worker)]
        self._selector.select(max(0.0, min(ends) - time.monotonic()) if ends else None)

    def _busy(self, worker: Worker) -> bool:
        return worker.loading or bool(worker.assigned)

    def _limit_s(self, worker: Worker) -> float:
        return _START_TIMEOUT_S if worker.loading else self._deadline_s

    def _collect(self, worker: Worker) -> None:
        # The clock is read before the pipe: an answer that came while this process slept still counts.
        now = time.monotonic()
        worker.drain_stderr()
        if not worker.stderr_open and worker.stderr_fd in self._selector.get_map():
            self._selector.unregister(worker.stderr_fd)
        for message in worker.receive():
            self._take(worker, message)
        if worker.ended:
            self._mourn(worker)
        elif self._busy(worker) and now - worker.began > self._limit_s(worker):
            if worker.loading:
                raise VerifierError(self._start_report(f"not ready after {_START_TIMEOUT_S:.0f} s", worker))
            self._fail(worker, f"deadline of {self._deadline_s:g} s passed", "deadline")
            self._replace(worker)
        elif worker.spent:
            self._replace(worker)

    def _take(self, worker: Worker, message: tuple[Any, ...]) -> None:
        match message:
            case ("ready",):
                worker.loaded()
                self._failed_starts = 0
            case ("broken", kind, why):
                raise VerifierError(f"kind {kind!r} does not load in a worker process: {why}")
            case ("graded", grade):
                self._finish(worker, grade)
                worker.spent |= grade.fault == "memory"

    def _finish(self, worker: Worker, grade: Grade) -> None:
        index, _ = worker.assigned.popleft()
        self._grades[index] = grade
        worker.began = time.monotonic()

    def _fail(self, worker: Worker, note: str, fault: Fault) -> None:
        """The task in progress cannot be decided."""
        self._finish(worker, Grade(None, note=note, seconds=time.monotonic() - worker.began, fault=fault))

    def _mourn(self, worker: Worker) -> None:
        """A worker closed its side."""
        if self._workers.closed:
            raise VerifierError("the verifier pool was closed while it graded")
        by_alarm, ending = worker.end_of_life()
        if worker.loading:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise VerifierError(self._start_report(f"{self._failed_starts} times in a row: {ending}", worker))
        elif by_alarm and worker.assigned:
            self._fail(worker, f"deadline of {self._deadline_s:g} s passed", "deadline")
        elif worker.assigned:
            self._fail(worker, f"the worker died: {ending}", "died")
        self._replace(worker)

    def _start_report(self, what: str, worker: Worker) -> str:
        return f"a verifier worker does not start ({what}); it said: {worker.stderr_tail() or 'nothing'}"

    def _replace(self, worker: Worker) -> None:
        """Kill a worker, take back what was queued behind its task, and start another at once."""
        for descriptor in (worker.answers_fd, worker.stderr_fd, worker.tasks_fd):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        self._queue.extendleft(index for index, _ in reversed(worker.assigned))
        worker.assigned.clear()
        self.watch(self._workers.replace(worker, self._kinds))

"""A few worker processes that outlive neither their work nor their parent."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from oger.io.processes import safe_starts

Item = TypeVar("Item")
Result = TypeVar("Result")

_TASKS_AHEAD = 2  # per worker: the next one waits while a worker is busy, and no more lie in memory


class WorkerDiedError(ValueError):
    """A process of the curation was killed from outside; what is finished is kept."""


class Workers:
    """`workers` processes, started when there are at least two; one works in this process. A context manager.

    Every process runs `initialise(*arguments)` before its first task. Scripts that use two or more need the usual
    `if __name__ == "__main__":`, since the processes are spawned.
    """

    def __init__(self, workers: int, initialise: Callable[..., None], *arguments: Any) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        if workers > 1:
            with safe_starts():  # its first lock starts the tracker of resources
                self._pool = ProcessPoolExecutor(
                    workers, get_context("spawn"), initializer=_start, initargs=(initialise, arguments)
                )
        else:
            initialise(*arguments)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """`function` of every item, in order, with few items at a time.

        Raises:
            WorkerDiedError: a process ended on its own account.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                with safe_starts():
                    waiting.append(self._pool.submit(function, item))
                if len(waiting) >= self._workers * _TASKS_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerDiedError(
                "a worker process was killed, perhaps because memory ran out: go on with --resume, and with fewer "
                "--workers where that is the reason"
            ) from error


def _start(initialise: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers itself
    # A worker waits for tasks on a pipe whose other end it holds itself: it would never notice a killed parent.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    initialise(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

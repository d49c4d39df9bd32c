"""Many requests to an endpoint at once, until all are asked, nothing answers any more, or the caller stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from oger.endpoint.client import RequestFailed

Request = TypeVar("Request")

_LEAST_FAILURES_IN_A_ROW = 8
"""So many requests (or as many as run at once) without an answer in a row: the server is gone."""


class AskAll(Generic[Request]):
    """Asks requests by a fixed number of workers, which take them one by one.

    Args:
        ask: asks one request and keeps its answer; may raise `RequestFailed`.
        failed: told of every request without an answer; says whether it counts as one in a row.
        concurrency: requests at once.
    """

    def __init__(
        self,
        ask: Callable[[Request], Awaitable[None]],
        failed: Callable[[Request, RequestFailed], bool],
        concurrency: int,
    ) -> None:
        self._ask = ask
        self._failed = failed
        self._concurrency = concurrency
        self.stopped = asyncio.Event()
        """Set, no more are asked; those under way go on."""
        self.server_is_gone = False
        """Whether that is because too many requests in a row failed."""
        self.under_way = 0
        """Requests that were asked and have not ended."""
        self.failures_in_a_row = 0

    async def run(self, requests: Iterable[Request]) -> None:
        """Asks until the end; what `ask` raises besides `RequestFailed` ends it at once, and is raised."""
        todo = iter(requests)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._work(todo))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _work(self, todo: Iterable[Request]) -> None:
        # One iterator for all workers: `next` never gives way, so no request is taken twice.
        for request in todo:
            if self.stopped.is_set():
                return
            self.under_way += 1
            try:
                await self._ask(request)
                self._count(0)
            except RequestFailed as failure:
                if self._failed(request, failure):
                    self._count(self.failures_in_a_row + 1)
            finally:
                self.under_way -= 1

    def _count(self, failures_in_a_row: int) -> None:
        if self.server_is_gone:  # what was under way then changes nothing
            return
        self.failures_in_a_row = failures_in_a_row
        if failures_in_a_row >= max(self._concurrency, _LEAST_FAILURES_IN_A_ROW):
            self.server_is_gone = True
            self.stopped.set()

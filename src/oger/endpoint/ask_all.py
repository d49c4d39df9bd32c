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
        self._stopped = False
        self.under_way = 0
        """Requests that were asked and have not ended."""
        self.failures_in_a_row = 0

    @property
    def server_is_gone(self) -> bool:
        """Whether too many requests in a row failed; no more are asked then."""
        return self.failures_in_a_row >= max(self._concurrency, _LEAST_FAILURES_IN_A_ROW)

    def stop(self) -> None:
        """No more requests; those under way go on."""
        self._stopped = True

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
            if self._stopped:
                return
            self.under_way += 1
            try:
                await self._ask(request)
                self.failures_in_a_row = 0
            except RequestFailed as failure:
                self.failures_in_a_row += self._failed(request, failure)
            finally:
                self.under_way -= 1
            if self.server_is_gone:
                return

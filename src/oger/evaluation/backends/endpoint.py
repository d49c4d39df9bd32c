"""Responses of an OpenAI-compatible endpoint, many requests at once, each with a seed of its own."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from oger.endpoint.ask_all import AskAll
from oger.endpoint.client import Endpoint, EndpointError, RequestFailed
from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.seeds import derived_seed

_Item = Generated | BaseException | None
"""A response; or the end, with what ended it."""


class EndpointGenerator:
    """A model behind an `Endpoint`; the server applies its chat template.

    Args:
        concurrency: requests at once.
    """

    batch_size: int | None = None

    def __init__(self, endpoint: Endpoint, *, concurrency: int) -> None:
        self._endpoint = endpoint
        self._concurrency = concurrency

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """Each response as it comes.

        Raises:
            EndpointError: (a ValueError) no request can succeed, or some failed; those that came were yielded before.
        """
        arrived: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        asking = _Asking(lambda: self._ask_all(requests, settings, arrived.put), arrived.put)
        asking.start()
        try:
            end: BaseException | None = None
            more = True
            while more:
                batch = []
                for item in _available(arrived):
                    if isinstance(item, Generated):
                        batch.append(item)
                    else:
                        end, more = item, False
                if batch:
                    yield batch
            if end is not None:
                raise end
        finally:
            asking.stop()

    async def _ask_all(
        self, requests: Sequence[Request], settings: SamplingSettings, put: Callable[[Generated], None]
    ) -> None:
        failures: list[RequestFailed] = []

        async def ask(request: Request) -> None:
            put(await self._ask(request, settings))

        def failed(_: Request, failure: RequestFailed) -> bool:
            failures.append(failure)
            return True

        async with self._endpoint:
            await AskAll(ask, failed, min(self._concurrency, len(requests))).run(requests)
        if failures:
            raise EndpointError(
                f"{len(failures)} requests failed, the last: {failures[-1]}; what came is stored: run the same command "
                "again to ask the rest"
            )

    async def _ask(self, request: Request, settings: SamplingSettings) -> Generated:
        fields = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
            "seed": derived_seed(settings.seed, request.problem, request.sample),
        }
        answer = await self._endpoint.ask(request.prompt, fields)
        return Generated(request.problem, request.sample, answer.text, answer.num_tokens, answer.finish_reason)


def _available(arrived: queue.SimpleQueue[_Item]) -> Iterator[_Item]:
    """The next item, when it comes, and what has come besides: storing must not fall behind."""
    yield arrived.get()
    while not arrived.empty():
        yield arrived.get()


class _Asking(threading.Thread):
    """An event loop of its own: requests go on while responses are stored, and Ctrl-C strikes outside of it.

    Args:
        make: the coroutine to run.
        put: gets what it raised, or None at its end.
    """

    def __init__(
        self, make: Callable[[], Coroutine[Any, Any, None]], put: Callable[[BaseException | None], None]
    ) -> None:
        super().__init__(name="endpoint", daemon=True)
        self._make = make
        self._put = put
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def run(self) -> None:
        """Until the coroutine ends; its error belongs to the thread that reads the responses."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - handed over, and raised there
            self._put(error)
        else:
            self._put(None)

    def stop(self) -> None:
        """Cancel what is under way and wait for the end of the thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself and is closed
            self._loop.call_soon_threadsafe(self._cancel)
        self.join()

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        if not self._stopped:
            await self._make()

    def _cancel(self) -> None:
        self._stopped = True  # for a task that has not begun
        if self._task is not None:
            self._task.cancel()

"""The run of a collection: a fixed number of workers take requests one by one, ask, and write each answer down.

At most `concurrency` requests exist at once, and no answer stays in memory. An answer is in the file before it counts;
a request that used up its retries is written down with its reason and asked again by the next run. Ctrl-C (or SIGTERM)
stops asking, gives answers under way a short grace, and leaves a file that the same command continues.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from oger.endpoint.ask_all import AskAll
from oger.endpoint.client import Endpoint, EndpointError, RequestFailed
from oger.teachers.collect.ledger import Ledger, answer_line
from oger.teachers.collect.plan import Request
from oger.teachers.collect.progress import Progress, Tally

GRACE_S = 10.0
"""For answers under way when the collection is stopped; a second Ctrl-C ends it."""
_REFUSALS_BEFORE_STOP = 3
"""So many refused requests and no answer ever: the settings are wrong, not the prompts."""


async def collect(
    endpoint: Endpoint, requests: Iterator[Request], ledger: Ledger, tally: Tally, progress: Progress, concurrency: int
) -> None:
    """Ask every request and append the answers to the ledger; `tally` says how it went, also after an error.

    Raises:
        CollectError: the file cannot be written.
    """
    run = _Run(endpoint, ledger, tally, progress, concurrency)
    endpoint.say = progress.say
    async with endpoint:
        with _signals(run.interrupt):
            await run.to_its_end(requests)


class _Run:
    def __init__(self, endpoint: Endpoint, ledger: Ledger, tally: Tally, progress: Progress, concurrency: int) -> None:
        self._endpoint = endpoint
        self._ledger = ledger
        self._tally = tally
        self._progress = progress
        self._asking = AskAll(self._ask, self._failed, concurrency)
        self._stop_now = asyncio.Event()
        self._refusals = 0

    def interrupt(self) -> None:
        """Ctrl-C: the first stops asking, the second drops what is under way."""
        if self._asking.stopped.is_set():
            self._stop_now.set()
            return
        self._tally.interrupted = True
        self._asking.stopped.set()
        if under_way := self._asking.under_way:
            self._progress.say(
                f"stopping; up to {GRACE_S:g} s for the {under_way} answers under way, Ctrl-C again drops them"
            )

    async def to_its_end(self, requests: Iterator[Request]) -> None:
        asking = asyncio.create_task(self._asking.run(requests))
        stop = asyncio.create_task(self._asking.stopped.wait())
        stop_now = asyncio.create_task(self._stop_now.wait())
        ticks = asyncio.create_task(self._tick())
        try:
            await asyncio.wait({asking, stop}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({asking, stop_now}, timeout=GRACE_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, stop, stop_now, ticks):
                task.cancel()
            results = await asyncio.gather(asking, stop, stop_now, ticks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
        if self._asking.server_is_gone:
            self._give_up(
                f"{self._asking.failures_in_a_row} requests in a row failed; the last: {self._tally.last_reason}"
            )

    async def _ask(self, request: Request) -> None:
        tally = self._tally
        try:
            answer = await self._endpoint.ask(request.prompt, request.fields)
        except EndpointError as error:
            self._give_up(str(error))
            return
        # No `await` lies between the reply and its line in the file: nothing can come between them.
        self._ledger.write(answer_line(request, answer, self._ledger.settings))
        try:
            await self._ledger.sync()
        finally:
            tally.answers += 1
            tally.prompt_tokens += answer.prompt_tokens or 0
            tally.num_tokens += answer.num_tokens or 0
            self._progress.show(tally)

    def _failed(self, request: Request, failure: RequestFailed) -> bool:
        self._ledger.note_failure(request, str(failure), failure.attempts)
        self._tally.failures += 1
        self._tally.last_reason = str(failure)
        self._progress.show(self._tally)
        if failure.refused:
            self._refusals += 1
            if self._refusals >= _REFUSALS_BEFORE_STOP and not self._ledger.answered.ids:
                self._give_up(
                    f"the endpoint refused the first {self._refusals} requests ({failure}): check the options"
                )
        return not failure.refused

    def _give_up(self, reason: str) -> None:
        self._tally.fatal = self._tally.fatal or reason
        self._asking.stopped.set()

    async def _tick(self) -> None:
        """Keeps the clock of the progress running while no answer comes."""
        while True:
            await asyncio.sleep(1.0)
            self._progress.show(self._tally)


@contextlib.contextmanager
def _signals(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call `interrupt` on SIGINT and SIGTERM, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

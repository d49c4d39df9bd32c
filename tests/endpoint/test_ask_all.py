"""Many requests at once: each once, so many at a time, and an end when nothing answers any more."""

from __future__ import annotations

import asyncio

import pytest

from oger.endpoint.ask_all import AskAll
from oger.endpoint.client import RequestFailed


class Server:
    """Answers after a moment; requests in `fails` have no answer."""

    def __init__(self, fails: range = range(0)) -> None:
        self.fails = fails
        self.asked: list[int] = []
        self.failed: list[int] = []
        self.at_once = self.most_at_once = 0

    async def ask(self, request: int) -> None:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        if request in self.fails:
            raise RequestFailed("no answer", attempts=1, refused=False)

    def count(self, request: int, failure: RequestFailed) -> bool:
        self.failed.append(request)
        return True


def test_every_request_is_asked_once_and_so_many_at_a_time() -> None:
    server = Server(range(5, 10))
    everyone = AskAll(server.ask, server.count, 3)
    asyncio.run(everyone.run(iter(range(50))))
    assert sorted(server.asked) == list(range(50))
    assert server.most_at_once == 3
    assert sorted(server.failed) == list(range(5, 10))
    assert not everyone.server_is_gone


def test_too_many_failures_in_a_row_are_the_end() -> None:
    server = Server(range(10, 1000))
    everyone = AskAll(server.ask, server.count, 2)
    asyncio.run(everyone.run(iter(range(1000))))
    assert everyone.server_is_gone
    assert 8 <= len(server.failed) <= 9  # the other worker's request was under way
    patient = AskAll(server.ask, lambda request, failure: False, 2)
    asyncio.run(patient.run(iter(range(10, 100))))
    assert len(server.asked) > 100, "failures that do not count are no end"


def test_stop_lets_those_under_way_end() -> None:
    server = Server()
    everyone = AskAll(server.ask, server.count, 4)

    async def stopped() -> None:
        running = asyncio.create_task(everyone.run(iter(range(1000))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert everyone.under_way == 4
        everyone.stopped.set()
        await running

    asyncio.run(stopped())
    assert sorted(server.asked) == [0, 1, 2, 3]
    assert everyone.under_way == 0


def test_another_error_ends_everything_and_is_raised_itself() -> None:
    async def broken(request: int) -> None:
        if request == 3:
            raise OSError("disk full")
        await asyncio.sleep(60)

    everyone = AskAll(broken, lambda request, failure: True, 8)
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(asyncio.wait_for(everyone.run(iter(range(100))), 5))

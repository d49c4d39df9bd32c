"""Responses of an OpenAI-compatible endpoint, many requests at once, each with a seed of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from oger.endpoint.ask_all import AskAll
from oger.endpoint.client import Endpoint, EndpointError, RequestFailed, with_body
from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.seeds import derived_seed


class EndpointGenerator:
    """A model behind an `Endpoint`; the server applies its chat template.

    Args:
        concurrency: requests at once.
        body: further fields of every request; None leaves out one that would be sent.
    """

    def __init__(self, endpoint: Endpoint, *, concurrency: int, body: Mapping[str, Any] | None = None) -> None:
        self._endpoint = endpoint
        self._concurrency = concurrency
        self._body = body or {}

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """Each response as it comes.

        Raises:
            EndpointError: (a ValueError) no request can succeed, or some failed; those that came were yielded before.
        """
        came: list[Generated] = []
        something = asyncio.Event()

        def put(response: Generated) -> None:
            came.append(response)
            something.set()

        async def batch() -> list[Generated]:
            """What has come, as soon as something has: storing must not fall behind."""
            await something.wait()
            something.clear()
            taken = came[:]
            came.clear()
            return taken

        def ended(task: asyncio.Task[None]) -> None:
            something.set()
            if not task.cancelled():
                task.exception()  # an interrupt may end the task itself: asyncio is not to report it once more

        with asyncio.Runner() as runner:  # cancels what is under way where the caller leaves early
            asking = runner.get_loop().create_task(self._ask_all(requests, settings, put))
            asking.add_done_callback(ended)
            while came or not asking.done():
                if taken := runner.run(batch()):
                    yield taken
            asking.result()

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
        answer = await self._endpoint.ask(request.prompt, with_body(fields, self._body))
        return Generated(request.problem, request.sample, answer.text, answer.num_tokens, answer.finish_reason)

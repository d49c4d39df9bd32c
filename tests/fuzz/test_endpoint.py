"""Whatever a server sends: an answer comes out, or one line that says why there is none, before the deadline."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from oger.endpoint.client import Endpoint, EndpointError, EndpointOptions, RequestFailed
from oger.endpoint.reply import Answer, BrokenReplyError, error_of_reply, read_reply, seconds_of_retry_after
from tests.support.fuzz_parts import examples, holds, refused_in_one_line, texts, values

DEADLINE_S = 5.0
KEY = "sk-a-secret-of-the-test"


class RawServer:
    """Reads a request on loopback and sends back whatever bytes it was given, then hangs up."""

    def __init__(self) -> None:
        self.reply = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                head, _, body = request.partition(b"\r\n\r\n")
                [length] = [
                    int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
                ]
                while len(body) < length:
                    body += connection.recv(65536)
                connection.sendall(self.reply.replace(b"<KEY>", KEY.encode()))

    def close(self) -> None:
        self._listening.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    server = RawServer()
    yield server
    server.close()


def ask(server: RawServer, *, completions: bool) -> Answer:
    async def run() -> Answer:
        options = EndpointOptions(server.url, "m", completions, DEADLINE_S, 0, 0.01)
        async with Endpoint(options, KEY) as endpoint:
            return await endpoint.ask("1+1?", {"seed": 1})

    return asyncio.run(run())


def http(status: Any, headers: list[tuple[str, str]], body: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Said",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("utf-8", "replace") + b"\r\n\r\n" + body


STATUS = st.one_of(st.just(200), st.sampled_from([204, 301, 400, 401, 403, 404, 408, 429, 500, 503, 599, 999]))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["Retry-After", "Content-Type", "Content-Encoding", "Location", "Transfer-Encoding", "X-<KEY>"]
        ),
        st.sampled_from(
            ["0", "-1", "nan", "1e9", "inf", "soon", "Mon, 99 Foo 2026 25:61:61 GMT", "gzip", "chunked", "br", ""]
        ),
    ),
    max_size=2,
)
MESSAGE = st.dictionaries(
    st.sampled_from(["content", "role", "reasoning", "reasoning_content", "text", "message", "finish_reason"]),
    st.one_of(values, texts, st.just("<KEY>")),
    max_size=4,
)
REPLY = st.one_of(
    values,
    st.fixed_dictionaries(
        {
            "choices": st.one_of(
                values, st.lists(st.one_of(MESSAGE, st.fixed_dictionaries({"message": MESSAGE})), max_size=2)
            )
        },
        optional={
            "usage": st.one_of(values, st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), values))
        },
    ),
    st.fixed_dictionaries({"error": st.one_of(values, st.dictionaries(st.sampled_from(["message", "code"]), values))}),
)
BODY = st.one_of(REPLY.map(lambda reply: json.dumps(reply).encode()), st.binary(max_size=40), st.just(b"[" * 100_000))
REPLIES = st.one_of(
    st.builds(http, STATUS, HEADERS, BODY), st.builds(http, STATUS, HEADERS, BODY), st.binary(max_size=60)
)


@pytest.mark.parametrize("completions", [False, True], ids=["chat", "completions"])
@examples(60, 800)
def test_any_bytes_of_a_server_become_an_answer_or_one_line(number: int, completions: bool, server: RawServer) -> None:
    def check(reply: bytes) -> None:
        server.reply = reply
        answers: list[Answer] = []
        started = time.monotonic()
        message = refused_in_one_line(
            lambda: answers.append(ask(server, completions=completions)), (RequestFailed, EndpointError)
        )
        assert time.monotonic() - started < DEADLINE_S + 5
        if message is None:
            [answer] = answers
            json.dumps([answer.text, answer.finish_reason], ensure_ascii=False).encode()  # can be stored
            message = answer.text
        else:
            assert "\n" not in message
        assert KEY not in message

    holds(number, REPLIES, check)


WORST = {
    "lists": b"[" + b"[]," * (2**26 // 3) + b"1]",
    "beginnings of the key": KEY[:-1].encode() * (2**26 // len(KEY)),
    "escapes": b"\\" * 2**26,
}


@pytest.mark.parametrize("length", [2**26, 2**23 - 2**10], ids=["too long", "just short enough"])
@pytest.mark.parametrize("content", WORST.values(), ids=WORST)
def test_a_packed_reply_of_the_worst_content_holds_nothing_up(server: RawServer, content: bytes, length: int) -> None:
    """Nothing is as slow as what the loop cannot interrupt: neither a deadline nor Ctrl-C is heard meanwhile."""
    server.reply = http(200, [("Content-Encoding", "gzip")], gzip.compress(content[:length], 1))
    pauses = []

    async def watch() -> None:
        while True:
            before = time.process_time()
            await asyncio.sleep(0.01)
            pauses.append(time.process_time() - before)

    async def run() -> None:
        watching = asyncio.create_task(watch())
        await asyncio.sleep(0.05)
        async with Endpoint(EndpointOptions(server.url, "m", False, 60.0, 0, 0.01), KEY) as endpoint:
            with pytest.raises(RequestFailed):
                await endpoint.ask("1+1?", {"seed": 1})
        await asyncio.sleep(0.05)
        watching.cancel()

    asyncio.run(run())
    assert max(pauses) < 5.0


def test_a_key_in_parts_of_an_answer_or_in_a_header_is_not_told(server: RawServer) -> None:
    parts = [{"type": "text", "text": KEY[:9]}, {"type": "text", "text": KEY[9:]}]
    reply = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
    server.reply = http(200, [], json.dumps(reply).encode())
    assert ask(server, completions=False).text == "***"
    server.reply = http(200, [("Content-Encoding", "x" * 25 + KEY.upper())], b"{}")
    with pytest.raises(RequestFailed) as failed:
        ask(server, completions=False)
    assert KEY[:9] not in str(failed.value).lower()


@examples(200, 10_000)
def test_any_body_is_read_or_broken(number: int) -> None:
    def check(body: bytes) -> None:
        refused_in_one_line(lambda: read_reply(body, completions=False), (BrokenReplyError,))
        refused_in_one_line(lambda: read_reply(body, completions=True), (BrokenReplyError,))
        error = error_of_reply(body)
        assert "\n" not in error.message
        error.message.encode()

    holds(number, BODY, check)


@examples(200, 10_000)
def test_any_retry_after_is_a_time_or_nothing(number: int) -> None:
    def check(header: str) -> None:
        seconds = seconds_of_retry_after(header)
        assert seconds is None or 0 <= seconds < float("inf")

    odd = st.sampled_from(
        ["Mon, 99 Foo 2026 25:61:61 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "nan", "-1", "1_0", "٣", "1e400"]
    )
    holds(number, st.one_of(texts, odd, st.builds("{}, {} {} {} {}:00:00 {}".format, *[texts] * 6)), check)

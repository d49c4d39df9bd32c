"""One request to a real server that misbehaves: what comes back, and what is tried again."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
from typing import Any

import pytest

from oger.endpoint.client import Endpoint, EndpointError, EndpointOptions, RequestFailed
from oger.endpoint.reply import (
    Answer,
    BrokenReplyError,
    error_of_reply,
    error_status,
    read_reply,
    seconds_of_retry_after,
)
from oger.teachers.curate.layouts.plain import PlainLayout
from tests.support.endpoint_server import EndpointServer

KEY = "sk-a-secret-of-the-test"


def ask(
    server: EndpointServer, *, prompt: Any = "#1", sampling: Any = None, key: str | None = None, **options: Any
) -> Answer:
    return ask_many(server, [prompt], sampling=sampling, key=key, **options)[0]


def ask_many(
    server: EndpointServer, prompts: list[Any], *, sampling: Any = None, key: str | None = None, **options: Any
) -> list[Answer]:
    options = {"retry_wait_s": 0.01, "deadline_s": 10.0, **options}

    async def run() -> list[Answer]:
        async with Endpoint(EndpointOptions(server.url, "m", **options), key) as endpoint:
            return await asyncio.gather(*(endpoint.ask(prompt, sampling or {"seed": 5}) for prompt in prompts))

    return asyncio.run(run())


def first_then_fine(script: str, times: int = 1) -> Any:
    return lambda call: script if call.number <= times else ""


def test_a_chat_answer_has_text_stop_reason_and_counts() -> None:
    with EndpointServer() as server:
        answer = ask(server, sampling={"temperature": 0.5, "seed": 7})
    [call] = server.calls
    assert call.path == "/v1/chat/completions"
    expected = {"model": "m", "messages": [{"role": "user", "content": "#1"}], "temperature": 0.5, "seed": 7}
    assert call.body == expected
    assert "Authorization" not in call.headers
    assert answer.text == "The answer to #1 with seed 7 is \\boxed{7}."
    assert (answer.finish_reason, answer.truncated, answer.prompt_tokens, answer.num_tokens) == ("stop", False, 11, 23)
    assert answer.attempts == 1


def test_completions_send_raw_text() -> None:
    with EndpointServer() as server:
        answer = ask(server, prompt="raw #1", completions=True)
    assert server.calls[0].path == "/v1/completions"
    assert server.calls[0].body["prompt"] == "raw #1"
    assert answer.text.startswith("The answer to #1")


def test_thoughts_in_a_field_of_their_own_are_joined() -> None:
    with EndpointServer(lambda call: "reasoning") as server:
        answer = ask(server)
    assert answer.text.startswith("<think>\nlet me think\n</think>\nThe answer to #1")
    assert answer.reasoning_field == "reasoning_content"


def test_thoughts_that_were_cut_stay_open() -> None:
    with EndpointServer(lambda call: "reasoning-cut") as server:
        answer = ask(server)
    assert answer.text == "<think>\nlet me th"
    assert answer.truncated
    assert answer.reasoning_field == "reasoning"


def test_thoughts_given_twice_are_kept_once() -> None:
    with EndpointServer(lambda call: "cot") as server:
        answer = ask(server)
    assert answer.text.count("<think>") == 1
    assert answer.reasoning_field is None


def test_missing_counts_and_content_are_no_fault() -> None:
    with EndpointServer(lambda call: "no-usage null") as server:
        answer = ask(server)
    assert (answer.text, answer.prompt_tokens, answer.num_tokens, answer.attempts) == ("", None, None, 1)


def test_half_a_surrogate_pair_becomes_writable() -> None:
    with EndpointServer(lambda call: "surrogate") as server:
        assert ask(server).text == "half a pair: �"


@pytest.mark.parametrize(
    "fault",
    ["429", "429 retry-after:0", "500", "503", "408", "broken-json", "drop", "drop-mid-body", "empty", "trickle"],
)
def test_a_passing_fault_is_tried_again(fault: str) -> None:
    deadline = 0.3 if fault == "trickle" else 10.0
    with EndpointServer(first_then_fine(fault, times=2)) as server:
        answer = ask(server, deadline_s=deadline)
    assert answer.attempts == len(server.calls) == 3
    assert answer.text.startswith("The answer to #1")


@pytest.mark.parametrize("fault", ["429", "500", "drop", "broken-json", "empty"])
def test_retries_have_an_end_and_a_reason(fault: str) -> None:
    with EndpointServer(lambda call: fault) as server, pytest.raises(RequestFailed) as caught:
        ask(server, retries=2)
    assert caught.value.attempts == len(server.calls) == 3
    assert not caught.value.refused
    assert str(caught.value).strip()


def test_waits_grow() -> None:
    with EndpointServer(first_then_fine("500", times=3)) as server:
        ask(server, retry_wait_s=0.1)
    times = [call.at for call in server.calls]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps[0] >= 0.1
    assert gaps[1] >= 0.2
    assert gaps[2] >= 0.4


def test_retry_after_is_waited_for_by_every_request() -> None:
    asked = []

    def script(call: Any) -> str:
        asked.append(call)
        return "429 retry-after:1" if len(asked) == 1 else "delay:0.1"

    async def run(server: EndpointServer) -> None:
        options = EndpointOptions(server.url, "m", retry_wait_s=0.01)
        async with Endpoint(options) as endpoint:
            first = asyncio.create_task(endpoint.ask("#1", {}))
            await asyncio.sleep(0.3)
            await asyncio.gather(first, *(endpoint.ask(f"#{n}", {}) for n in range(2, 6)))

    with EndpointServer(script) as server:
        asyncio.run(run(server))
    first, *others = server.calls
    assert len(others) == 5
    assert min(call.at for call in others) - first.at >= 0.95


def test_retry_after_may_be_a_date() -> None:
    with EndpointServer(first_then_fine("429 retry-date")) as server:
        ask(server)
    assert server.calls[1].at - server.calls[0].at >= 0.9  # the date is 2 s away, cut to whole seconds


def test_a_very_long_retry_after_is_not_waited_for() -> None:
    started = time.monotonic()
    with EndpointServer(lambda call: "429 retry-after:86400") as server, pytest.raises(RequestFailed, match="86400 s"):
        ask(server)
    assert len(server.calls) == 1
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("script", ["trickle", "delay:30"])
def test_the_deadline_is_total(script: str) -> None:
    started = time.monotonic()
    with EndpointServer(lambda call: script) as server, pytest.raises(RequestFailed, match=r"deadline of 0\.4 s"):
        ask(server, deadline_s=0.4, retries=1)
    assert len(server.calls) == 2
    assert 0.8 <= time.monotonic() - started < 10


def test_an_endless_reply_does_not_fill_the_memory() -> None:
    with EndpointServer(lambda call: "flood") as server, pytest.raises(RequestFailed, match="longer than"):
        ask(server, deadline_s=60.0)
    assert len(server.calls) == 1


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_a_refused_request_is_not_tried_again(status: str) -> None:
    with (
        EndpointServer(lambda call: status) as server,
        pytest.raises(RequestFailed, match=f"HTTP {status}: status") as caught,
    ):
        ask(server)
    assert len(server.calls) == 1
    assert caught.value.refused


@pytest.mark.parametrize(
    ("script", "advice"),
    [
        ("401", "--api-key-env"),
        ("402", "credit"),
        ("403", "may not use"),
        ("404", "ends in /v1"),
        ("405", "ends in /v1"),
        ("307 location", "answers itself"),
        ("429 quota", "credit"),
    ],
)
def test_what_meets_every_request_says_what_to_do(script: str, advice: str) -> None:
    with EndpointServer(lambda call: script) as server, pytest.raises(EndpointError, match=advice):
        ask(server)
    assert len(server.calls) == 1


def test_no_server_is_said_at_once() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        options = EndpointOptions(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "m", retry_wait_s=5.0)

        async def run() -> None:
            async with Endpoint(options) as endpoint:
                await endpoint.ask("#1", {})

        started = time.monotonic()
        with pytest.raises(EndpointError, match=r"cannot connect to .* is it running"):
            asyncio.run(run())
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("seconds", "patience"), [(1.0, {"retry_wait_s": 0.05}), pytest.param(60.0, {}, marks=pytest.mark.soak)]
)
def test_a_server_that_is_down_for_a_while_is_waited_for(seconds: float, patience: dict[str, float]) -> None:
    """A minute with the default options; a second with waits that are shorter in proportion."""

    async def run() -> tuple[Answer, float]:
        # A connection that outlives its server is dropped at the next request; new ones are refused.
        with EndpointServer(lambda call: "" if call.number == 1 and "#1" in str(call.body) else "drop") as first:
            async with Endpoint(EndpointOptions(first.url, "m", **patience)) as endpoint:
                await endpoint.ask("#1", {"seed": 1})
                await asyncio.to_thread(first.__exit__)
                began = time.monotonic()
                asking = asyncio.create_task(endpoint.ask("#2", {"seed": 2}))
                await asyncio.sleep(seconds)
                assert not asking.done()
                with EndpointServer(port=first.port):
                    return await asking, time.monotonic() - began

    answer, took = asyncio.run(run())
    assert answer.text.startswith("The answer to #2")
    assert answer.attempts > 2
    assert took >= seconds


def test_the_key_is_sent_and_never_told() -> None:
    scripts = iter(["", "echo", "400 echo", "401 echo"])
    with EndpointServer(lambda call: next(scripts)) as server:
        ask(server, key=KEY)
        assert server.calls[0].headers["Authorization"] == f"Bearer {KEY}"
        answer = ask(server, key=KEY)
        assert "you sent" in answer.text
        with pytest.raises(RequestFailed) as refused:
            ask(server, key=KEY)
        with pytest.raises(EndpointError) as error:
            ask(server, key=KEY)
        endpoint = Endpoint(EndpointOptions(server.url, "m"), KEY)
    for told in (
        answer.text,
        str(refused.value),
        repr(refused.value),
        str(error.value),
        repr(endpoint),
        repr(endpoint.options),
    ):
        assert KEY not in told
    assert "you sent" in str(refused.value)


@pytest.mark.parametrize("how", ["escaped", "utf-16", "escaped utf-16", "packed:gzip"])
def test_a_key_that_comes_back_in_another_writing_is_not_told(how: str) -> None:
    scripts = iter([f"echo {how}", f"400 echo {how}"])
    with EndpointServer(lambda call: next(scripts)) as server:
        text = ask(server, key="sk-a/b-secret-of-mine").text
        with pytest.raises(RequestFailed) as refused:
            ask(server, key="sk-a/b-secret-of-mine")
    for told in (text, str(refused.value)):
        assert "you sent" in told
        assert "secret" not in told.replace("\x00", "")


def test_a_packed_reply_is_unpacked_once_and_no_further_than_a_reply_may_be_long() -> None:
    with EndpointServer(lambda call: "packed:gzip") as server:
        assert ask(server).text.startswith("The answer")
        assert server.calls[0].headers["Accept-Encoding"] == "identity"
    for packing, reason in (("gzip+gzip+gzip", "is packed"), ("br", "is packed"), ("deflate", "deflate, as it says")):
        script = f"packed:{packing}"
        with EndpointServer(lambda _, script=script: script) as server, pytest.raises(RequestFailed, match=reason):
            ask(server, retries=0)
    with (
        EndpointServer(lambda call: f"packed:gzip fill:{2**26}") as server,
        pytest.raises(RequestFailed, match="longer than"),
    ):
        ask(server)


@pytest.mark.parametrize("count", [-1, True, 2**31, 10**400, 1e300, "7", None])
def test_a_number_of_tokens_that_no_answer_has_is_none(count: Any) -> None:
    reply = {"choices": [{"text": "a"}], "usage": {"completion_tokens": count, "prompt_tokens": 2**31 - 1}}
    answer = read_reply(json.dumps(reply).encode(), completions=True)
    assert (answer.num_tokens, answer.prompt_tokens) == (None, 2**31 - 1)


@pytest.mark.parametrize("date", ["Mon, 01 Jan 99999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "1e400"])
def test_a_retry_after_beyond_the_calendar_says_nothing_or_something_finite(date: str) -> None:
    seconds = seconds_of_retry_after(date)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("length", range(255, 300, 9))
def test_a_message_cut_short_tells_no_part_of_the_key(length: int) -> None:
    with EndpointServer(lambda call: f"400 echo pad:{length}") as server, pytest.raises(RequestFailed) as caught:
        ask(server, key="sk-" + "secret/" * 9)
    assert "secret" not in str(caught.value)


def test_a_placeholder_key_does_not_change_answers() -> None:
    with EndpointServer() as server:
        assert "answer" in ask(server, key="answer").text


@pytest.mark.parametrize("key", ["", "  ", "two words", "ключ", "line\nbreak"])
def test_an_impossible_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(EndpointError) as caught:
        Endpoint(EndpointOptions("http://localhost/v1", "m"), key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://me:secret@host/v1", "carries a password"),
        ("https://host/v1?key=secret", "carries a password"),
        ("https://host/v1#secret", "carries a password"),
        ("host:8000/v1", "http or https"),
        ("ftp://host/v1", "http or https"),
        ("http:///v1", "http or https"),
        ("http://host:port/v1", "not an address"),
        ("http://host/v1/chat/completions", "without /chat/completions"),
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(url: str, message: str) -> None:
    with pytest.raises(EndpointError, match=message) as caught:
        Endpoint(EndpointOptions(url, "m"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": 7}}]}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_reply_of_another_shape_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenReplyError):
        read_reply(content, completions=False)
    with pytest.raises(BrokenReplyError):
        read_reply(content, completions=True)


def chat_reply(message: dict[str, Any], finish_reason: Any = "stop") -> Answer:
    choice = {"message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    return read_reply(json.dumps({"choices": [choice]}).encode(), completions=False)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        (
            {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]},
            "<think>\nhm\n</think>\n4",
        ),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "4"},
                ]
            },
            "<think>\nhm\n</think>\n4",
        ),
        ({"content": "4", "reasoning": "hm"}, "<think>\nhm\n</think>\n4"),
        ({"content": "4", "reasoning_content": "hm"}, "<think>\nhm\n</think>\n4"),
        (
            {"content": "4", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
            "<think>\nhm\n</think>\n4",
        ),
        ({"content": "hm\n</think>\n4"}, "<think>\nhm\n</think>\n4"),
        ({"content": "<think>hm</think>4"}, "<think>hm</think>4"),
    ],
)
def test_thoughts_and_answer_are_one_text_however_they_come(message: dict[str, Any], text: str) -> None:
    assert chat_reply(message).text == text
    assert not chat_reply(message).truncated


@pytest.mark.parametrize(
    "reason",
    [None, "", "length", "max_tokens", "MAX_TOKENS", "model_length", "content_filter", "tool_calls", "function_call",
     "error", "abort", "insufficient_system_resource", "recitation", "safety"],
)  # fmt: skip
def test_what_is_no_natural_end_is_no_whole_answer(reason: Any) -> None:
    assert chat_reply({"content": "\\boxed{4}"}, reason).truncated
    row = {"text": "\\boxed{4}", "prompt": "?", "answer": "4", "finish_reason": reason or "unknown"}
    [draft] = PlainLayout().read(row, {}).drafts
    assert draft.truncated


@pytest.mark.parametrize("reason", ["stop", "eos", "end_turn", "STOP"])
def test_a_natural_end_is_one(reason: str) -> None:
    assert not chat_reply({"content": "4"}, reason).truncated


def test_a_refusal_is_no_answer() -> None:
    answer = chat_reply({"content": None, "refusal": "I cannot"})
    assert (answer.finish_reason, answer.truncated) == ("refusal", True)


@pytest.mark.parametrize(
    ("field", "sent_as"), [("seed", None), ("temperature", None), ("max_tokens", "max_completion_tokens")]
)
def test_a_field_that_the_server_does_not_take_is_left_out_once_and_said(
    capsys: pytest.CaptureFixture[str], field: str, sent_as: str | None
) -> None:
    sampling = {"seed": 5, "temperature": 0.5, "max_tokens": 64}
    with EndpointServer(lambda call: f"refuse:{field}") as server:

        async def run() -> list[Answer]:
            async with Endpoint(EndpointOptions(server.url, "m", retry_wait_s=0.01)) as endpoint:
                return [await endpoint.ask("#1", sampling), await endpoint.ask("#2", sampling)]

        first, second = asyncio.run(run())
    assert [field in call.body for call in server.calls] == [True, False, False]
    assert sent_as is None or server.calls[-1].body[sent_as] == 64
    assert (first.attempts, second.attempts) == (2, 1)
    assert first.left_out == second.left_out == (field,)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"does not take {field} (HTTP 400: Unsupported parameter: '{field}'" in said


def test_an_error_inside_a_reply_with_status_200_is_one() -> None:
    with EndpointServer(first_then_fine("error-200:503")) as server:
        assert ask(server).attempts == 2
    with EndpointServer(lambda call: "error-200:400") as server, pytest.raises(RequestFailed, match="asleep") as caught:
        ask(server)
    assert caught.value.refused
    assert len(server.calls) == 1
    with (
        EndpointServer(lambda call: "error-200:401") as server,
        pytest.raises(EndpointError, match=r"asleep.*check the key"),
    ):
        ask(server)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"error": {"message": "x", "code": "429"}}', 429),
        (b'{"object": "error", "message": "x", "code": 404}', 404),
        (b'{"error": {"message": "x", "type": "invalid_request_error"}}', 400),
        (b'{"error": "x"}', 500),
        (b'{"choices": [{"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]}', 502),
        (b'{"error": null, "choices": [{"message": {"content": "4"}}]}', None),
    ],
)
def test_the_status_of_an_error_inside(content: bytes, status: int | None) -> None:
    assert error_status(content) == status


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"error": {"message": "too  long", "code": 400}}', "too long"),
        (b'{"object": "error", "message": "flat"}', "flat"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"error": "a text"}', "a text"),
        (b"<html>no</html>", "<html>no</html>"),
        (b"", ""),
    ],
)
def test_error_messages_of_every_dialect_are_read(content: bytes, message: str) -> None:
    assert error_of_reply(content).message == message


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, None), ("", None), ("2.5", 2.5), ("-3", 0.0), ("soon", None), ("nan", None)]
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert seconds_of_retry_after(header) == seconds


def test_a_retry_after_date_in_the_past_asks_for_nothing() -> None:
    assert seconds_of_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0

"""What servers refuse and how they write, through the two commands that ask them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.endpoint_server import EndpointServer

Ask = Callable[..., Any]
ANSWER = "The answer to #{n} with seed {seed} is \\boxed{{7}}."
THOUGHT = "<think>\nlet me think\n</think>\n"
NO_ENDS = (
    "length",
    "content_filter",
    "tool_calls",
    "error",
    "abort",
    "MAX_TOKENS",
    "model_length",
    "recitation",
    "null",
)
ENDS = ("stop", "eos_token", "END_TURN", "stop_sequence")


class Collected:
    """`oger teachers collect`."""

    def __init__(self, oger: Ask, folder: Path) -> None:
        self.oger, self.folder = oger, folder

    def ask(self, server: EndpointServer, *more: object) -> Any:
        rows, out = self.folder / "rows.jsonl", self.folder / "out.jsonl"
        first = ("teachers", "collect", "--prompts", rows, "--out", out, "--model", "m")
        return self.oger(*first, "--endpoint", server.url, "--retry-wait", 0.01, "--concurrency", 1, *more)

    def texts(self) -> dict[str, str]:
        lines = (self.folder / "out.jsonl").read_text().splitlines()
        return {line["prompt"]: line["text"] for line in map(json.loads, lines)}

    def kept(self) -> set[str]:
        """Prompts whose answer a table takes."""
        source, table = f"r1=plain:{self.folder / 'out.jsonl'}", self.folder / "table"
        done = self.oger("teachers", "curate", "--source", source, "--out", table, "--tokenizer", "words")
        assert done.code == 0, done.err
        rows = pq.read_table(table / "table.parquet").to_pylist()
        return {row["prompt"] for row in rows if row["teachers"]}


class Evaluated:
    """`oger evaluate --endpoint`."""

    def __init__(self, oger: Ask, folder: Path) -> None:
        self.oger, self.folder = oger, folder

    def ask(self, server: EndpointServer, *more: object) -> Any:
        first = ("evaluate", "m", "--benchmarks", self.folder / "rows.jsonl", "--samples", 1, "--concurrency", 1)
        return self.oger(*first, "--endpoint", server.url, "--out", self.folder / "ev", *more)

    def rows(self) -> list[dict[str, Any]]:
        [table] = self.folder.glob("ev/*/*/responses.parquet")
        return pq.read_table(table).to_pylist()

    def texts(self) -> dict[str, str]:
        return {f"#{row['problem'][1:]}": row["text"] for row in self.rows()}

    def kept(self) -> set[str]:
        return {f"#{row['problem'][1:]}" for row in self.rows() if row["status"] == "correct"}


@pytest.fixture(params=[Collected, Evaluated])
def command(request: pytest.FixtureRequest, oger: Ask, tmp_path: Path) -> Collected | Evaluated:
    return request.param(oger, tmp_path)


@pytest.fixture
def problems(tmp_path: Path) -> Callable[[int], None]:
    """Writes so many problems, the answer to each of which is what the server always says."""

    def write(count: int) -> None:
        rows = [{"id": f"q{n}", "prompt": f"#{n}", "answer": "7"} for n in range(count)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    return write


@pytest.mark.parametrize(
    ("refused", "sent"),
    [
        ("max_tokens", {"max_completion_tokens", "temperature", "top_p", "seed"}),
        ("max_tokens+max_completion_tokens", {"temperature", "top_p", "seed"}),
        ("temperature", {"max_tokens", "top_p", "seed"}),
        ("seed", {"max_tokens", "temperature", "top_p"}),
        ("seed+top_p+temperature+max_tokens", {"max_completion_tokens"}),
    ],
)
def test_a_field_that_a_server_does_not_take_is_left_out_and_said_once(command, problems, refused, sent) -> None:
    problems(4)
    names = refused.split("+")
    with EndpointServer(lambda call: f"refuse:{refused}") as server:
        done = command.ask(server, "--max-tokens", 99)
    assert done.code == 0, done.err
    assert len(command.texts()) == 4
    assert command.kept() == {f"#{n}" for n in range(4)}
    assert len(server.calls) == 4 + len(names), "each field is refused once, not once per request"
    for call in server.calls[len(names) :]:
        assert set(call.body) - {"messages", "model"} == sent
        assert {call.body.get("max_tokens", 99), call.body.get("max_completion_tokens", 99)} == {99}
    for name in names:
        assert done.err.count(f"the server does not take {name} (HTTP 400: Unsupported parameter: '{name}'") == 1


def test_fields_of_the_users_own_are_sent_and_null_leaves_one_out(command, problems) -> None:
    problems(2)
    with EndpointServer() as server:
        done = command.ask(server, "--body", '{"top_k": 5, "seed": null, "temperature": null}')
    assert done.code == 0, done.err
    for call in server.calls:
        assert call.body["top_k"] == 5
        assert not {"seed", "temperature"} & set(call.body)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("400", "HTTP 400: status 400"),
        ("401", "HTTP 401: status 401"),
        ("error-200:400", "the model is asleep"),
        ("error-200:401", "the model is asleep"),
    ],
)
def test_the_servers_own_message_reaches_the_user(command, problems, script: str, said: str) -> None:
    problems(2)
    with EndpointServer(lambda call: script) as server:
        done = command.ask(server)
    assert done.code != 0
    assert said in done.err
    assert "Traceback" not in done.err
    assert len(server.calls) <= 2, "what is refused is not asked again"


def test_an_error_inside_a_reply_that_may_pass_is_asked_again(command, problems) -> None:
    problems(2)
    with EndpointServer(lambda call: "error-200:503" if call.number == 1 else "") as server:
        done = command.ask(server)
    assert done.code == 0, done.err
    assert command.kept() == {"#0", "#1"}


@pytest.mark.parametrize("script", ["parts", "reasoning", "unopened"])
def test_thoughts_stand_in_front_however_they_come(command, problems, script: str) -> None:
    problems(2)
    with EndpointServer(lambda call: script) as server:
        done = command.ask(server)
    assert done.code == 0, done.err
    seeds = {call.key[0]: call.key[1] for call in server.calls}
    assert command.texts() == {
        f"#{n}": THOUGHT + ANSWER.format(n=n, seed=seeds[f"#{n}"]) for n in range(2)
    }  # fmt: skip
    assert command.kept() == {"#0", "#1"}


def test_only_an_answer_with_a_natural_end_is_kept(command, problems) -> None:
    reasons = (*ENDS, *NO_ENDS, "no-finish")
    problems(len(reasons))

    def script(call: Any) -> str:
        reason = reasons[int(call.key[0][1:])]
        return reason if reason == "no-finish" else f"finish:{reason}"

    with EndpointServer(script) as server:
        done = command.ask(server)
    assert done.code == 0, done.err
    assert command.kept() == {f"#{n}" for n in range(len(ENDS))}

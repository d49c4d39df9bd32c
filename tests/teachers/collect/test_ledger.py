"""The file of answers: whole lines only, one owner, one set of settings, nobody else's file."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oger.endpoint.reply import Answer
from oger.teachers.collect.ledger import Ledger, answer_line, failures_path, read_answers
from oger.teachers.collect.plan import CollectError, Plan, Request, Settings, read_prompts

SETTINGS = Settings(model="m", teacher="t", api="chat")
ANSWER = Answer("the text \u2028 of ä line", "stop", 3, 5, seconds=0.12345)


def requests(count: int) -> list[Request]:
    rows = [{"prompt": f"p{n}", "answer": "7", "metadata": {"n": n}} for n in range(count)]
    return list(Plan(read_prompts(rows, SETTINGS, "rows").rows, 1, SETTINGS).requests())


def fill(path: Path, count: int) -> bytes:
    """A file of `count` answers, and its bytes."""
    with Ledger(path, SETTINGS) as ledger:
        for request in requests(count):
            ledger.write(answer_line(request, ANSWER, SETTINGS))
        asyncio.run(ledger.sync())
    return path.read_bytes()


def test_a_line_has_what_curate_reads_and_how_it_was_made(tmp_path) -> None:
    fill(tmp_path / "a.jsonl", 1)
    line = json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))
    assert line.pop("id") == requests(1)[0].id
    assert line == {
        "prompt": "p0",
        "answer": "7",
        "kind": "math",
        "metadata": {"n": 0},
        "teacher": "t",
        "text": ANSWER.text,
        "finish_reason": "stop",
        "truncated": False,
        "num_tokens": 5,
        "prompt_tokens": 3,
        "source": "chat/m",
        "model": "m",
        "sample": 0,
        "sampling": {
            "api": "chat",
            "temperature": 0.6,
            "top_p": 0.95,
            "max_tokens": 8192,
            "seed": 0,
            "system": None,
            "body": {},
        },
        "reasoning_field": None,
        "seconds": 0.123,
        "attempts": 1,
        "left_out": [],
    }


def test_a_torn_line_is_cut_off_wherever_it_was_torn(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    whole = fill(path, 2)
    first_end = whole.index(b"\n") + 1
    for cut in range(first_end + 1, len(whole) - 1, 7):
        path.write_bytes(whole[:cut])
        with Ledger(path, SETTINGS) as ledger:
            assert ledger.answered.ids == {requests(2)[0].id}
            assert ledger.repaired
            ledger.write(answer_line(requests(2)[1], ANSWER, SETTINGS))
        assert path.read_bytes() == whole


def test_a_line_without_its_line_break_is_a_whole_answer(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    whole = fill(path, 2)
    path.write_bytes(whole[:-1])
    with Ledger(path, SETTINGS) as ledger:
        assert len(ledger.answered.ids) == 2
    assert path.read_bytes() == whole


def test_the_only_line_may_be_torn_and_zeros_may_follow_a_crash(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    whole = fill(path, 1)
    for content in (whole[:3], whole[:40], b"\0" * 512):
        path.write_bytes(content)
        with Ledger(path, SETTINGS) as ledger:
            assert not ledger.answered.ids
        assert path.read_bytes() == b""


def test_reading_changes_nothing(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    whole = fill(path, 2)
    path.write_bytes(whole[:-9])
    answered = read_answers(path, SETTINGS)
    assert (len(answered.ids), answered.mean_tokens) == (1, 5.0)
    assert path.read_bytes() == whole[:-9]
    assert read_answers(tmp_path / "absent.jsonl", SETTINGS).ids == set()


@pytest.mark.parametrize(
    "content",
    [
        b"precious notes",
        b"precious\nnotes",
        b'{"prompt": "a"}\n',
        b'{"prompt": "a"}',
        b"[1]\n",
        b'{"id": "a", "x": 1}\n',
        b"\n",
        b'{"id": 3, "sampling": {}}\n',
    ],
)
def test_a_file_of_somebody_else_is_left_alone(tmp_path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(CollectError, match=r"name another|not JSON|not a"):
        Ledger(path, SETTINGS)
    assert path.read_bytes() == content


def test_failures_of_somebody_else_are_left_alone(tmp_path) -> None:
    failures_path(tmp_path / "a.jsonl").write_text("mine\n")
    with pytest.raises(CollectError, match="is some other file"):
        Ledger(tmp_path / "a.jsonl", SETTINGS)
    assert (tmp_path / "a.failures.jsonl").read_text() == "mine\n"


def test_a_broken_line_in_the_middle_is_named(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    lines = fill(path, 3).splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:50] + b"\n" + lines[2])
    with pytest.raises(CollectError, match=r"a\.jsonl line 2 is not JSON"):
        Ledger(path, SETTINGS)


def test_an_answer_given_twice_is_named(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(fill(path, 1) * 2)
    with pytest.raises(CollectError, match=r"line 2 has the answer .* a second time"):
        Ledger(path, SETTINGS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0.7}, "temperature 0.6, this command says 0.7"),
        ({"model": "n"}, "model 'm', this command says 'n'"),
        ({"teacher": "u"}, "teacher 't', this command says 'u'"),
        ({"system": "s"}, "system None, this command says 's'"),
        ({"body": {"top_k": 1}}, "body {}, this command says {'top_k': 1}"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "a.jsonl"
    before = fill(path, 2)
    with pytest.raises(CollectError) as caught:
        Ledger(path, replace(SETTINGS, **change))
    assert words in str(caught.value)
    assert path.read_bytes() == before


def test_one_file_has_one_owner(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    with Ledger(path, SETTINGS), pytest.raises(CollectError, match="another process is collecting"):
        Ledger(path, SETTINGS)
    with Ledger(path, SETTINGS):
        pass


def test_an_answer_is_never_written_twice(tmp_path) -> None:
    with Ledger(tmp_path / "a.jsonl", SETTINGS) as ledger:
        line = answer_line(requests(1)[0], ANSWER, SETTINGS)
        ledger.write(line)
        with pytest.raises(RuntimeError, match="already"):
            ledger.write(line)


def test_failures_are_those_of_the_last_run(tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    with Ledger(path, SETTINGS) as ledger:
        ledger.note_failure(requests(1)[0], "why", 3)
        ledger.note_failure(requests(2)[1], "because", 1)
    lines = [json.loads(line) for line in failures_path(path).read_text().splitlines()]
    assert [(line["prompt"], line["reason"], line["attempts"]) for line in lines] == [
        ("p0", "why", 3),
        ("p1", "because", 1),
    ]
    with Ledger(path, SETTINGS):
        pass
    assert not failures_path(path).exists()


def test_a_folder_or_a_place_without_rights_is_one_line(tmp_path) -> None:
    (tmp_path / "a.jsonl").mkdir()
    with pytest.raises(CollectError, match=r"cannot write: .*a\.jsonl is no regular file"):
        Ledger(tmp_path / "a.jsonl", SETTINGS)
    with pytest.raises(CollectError, match="cannot write"):
        Ledger(tmp_path / "absent" / "a.jsonl", SETTINGS)


def test_answers_of_another_collection_are_not_taken_for_failures(tmp_path: Path) -> None:
    other = failures_path(tmp_path / "r1.jsonl")
    kept = fill(other, 2)
    with pytest.raises(CollectError, match="some other file"):
        Ledger(tmp_path / "r1.jsonl", SETTINGS)
    assert other.read_bytes() == kept
    other.unlink()
    with Ledger(tmp_path / "r1.jsonl", SETTINGS) as ledger:
        ledger.note_failure(requests(1)[0], "refused", 1)
    with open(other, "a") as file:
        file.write('{"id": "torn')
    with pytest.raises(CollectError):
        Ledger(other, SETTINGS)
    with Ledger(tmp_path / "r1.jsonl", SETTINGS):
        assert not other.exists()

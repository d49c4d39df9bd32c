"""Prompts, settings and the identity of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oger.teachers.collect.plan import CollectError, Plan, Settings, estimate, read_prompts

SETTINGS = Settings(model="m", teacher="t", api="chat")


def plan(settings: Settings = SETTINGS, samples: int = 1, *prompts: Any) -> Plan:
    rows = [{"prompt": prompt, "answer": "7"} for prompt in prompts or ("a", "b")]
    return Plan(read_prompts(rows, settings, "rows").rows, samples, settings)


def ids(plan: Plan) -> list[str]:
    return [request.id for request in plan.requests()]


def test_every_sample_has_its_own_identity_and_seed_and_keeps_them() -> None:
    requests = list(plan(SETTINGS, 3).requests())
    assert len({request.id for request in requests}) == len({request.fields["seed"] for request in requests}) == 6
    assert [request.sample for request in requests] == [0, 0, 1, 1, 2, 2]
    assert ids(plan(SETTINGS, 2)) == ids(plan(SETTINGS, 3))[:4]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"temperature": 0.7},
        {"top_p": 1.0},
        {"max_tokens": 9},
        {"seed": 1},
        {"system": "s"},
        {"body": {"top_k": 3}},
        {"api": "completions"},
    ],
)
def test_every_setting_changes_the_identity(change: dict[str, Any]) -> None:
    assert not set(ids(plan())) & set(ids(plan(replace(SETTINGS, **change))))


def test_answered_requests_are_left_out() -> None:
    first, second = ids(plan())
    assert [request.id for request in plan().requests({first})] == [second]


def test_a_system_message_comes_first() -> None:
    [request] = plan(replace(SETTINGS, system="be brief"), 1, "a").requests()
    assert request.prompt == [{"role": "system", "content": "be brief"}, {"role": "user", "content": "a"}]
    assert request.row.prompt == "a"


def test_body_adds_and_leaves_out_fields() -> None:
    settings = replace(SETTINGS, body={"max_tokens": None, "seed": None, "max_completion_tokens": 5, "top_k": 20})
    [request] = plan(settings, 1, "a").requests()
    assert request.fields == {"temperature": 0.6, "top_p": 0.95, "max_completion_tokens": 5, "top_k": 20}
    assert settings.longest_answer() == 5
    assert replace(SETTINGS, body={"max_tokens": None}).longest_answer() is None


@pytest.mark.parametrize("name", ["messages", "model", "stream", "n", "prompt"])
def test_body_cannot_take_over_the_collection(name: str) -> None:
    with pytest.raises(CollectError, match=f"cannot set '{name}'"):
        replace(SETTINGS, body={name: 1})


def test_repeated_prompts_are_asked_once_and_counted() -> None:
    rows = [{"prompt": "a", "answer": "1"}, {"prompt": "a", "answer": "1"}, {"prompt": "a", "answer": 2}]
    prompts = read_prompts(rows, SETTINGS, "rows")
    assert (len(prompts.rows), prompts.repeated, prompts.conflicting) == (1, 2, 1)


def test_kind_is_math_and_an_integer_answer_is_a_text() -> None:
    [row] = read_prompts([{"prompt": "a", "answer": 12}], SETTINGS, "rows").rows
    assert (row.kind, row.answer, row.metadata) == ("math", "12", None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "a"}, "no column 'prompt'; it has problem"),
        ({"prompt": None}, "text or a list of messages"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"prompt": []}, "text or a list of messages"),
        ({"prompt": [{"role": "user"}]}, "role and a content"),
        ({"prompt": [{"role": "user", "content": ["parts"]}]}, "role and a content"),
        ({"prompt": "a", "answer": {"value": 1}}, "the answer is dict"),
        ({"prompt": "a", "kind": 3}, "kind must be a text"),
        ({"prompt": "a", "metadata": {1, 2}}, "not JSON serializable"),
        ({"prompt": "a", "metadata": float("nan")}, "not JSON compliant"),
        ({"prompt": "half a pair \ud83d"}, "surrogates not allowed"),
    ],
)
def test_a_bad_row_is_named(row: dict[str, Any], message: str) -> None:
    with pytest.raises(CollectError, match="rows row 2: ") as caught:
        read_prompts([{"prompt": "fine"}, row], SETTINGS, "rows")
    assert message in str(caught.value)


def test_what_cannot_go_together_is_refused() -> None:
    chat = [{"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}]
    with pytest.raises(CollectError, match="leave --system out"):
        read_prompts(chat, replace(SETTINGS, system="mine"), "rows")
    with pytest.raises(CollectError, match="prompts that are texts"):
        read_prompts(chat, replace(SETTINGS, api="completions"), "rows")
    with pytest.raises(CollectError, match="--system needs chat"):
        Settings(model="m", teacher="t", api="completions", system="s")


def test_an_estimate_counts_what_is_left() -> None:
    made = plan(replace(SETTINGS, max_tokens=100), 2, "x" * 40, "y" * 41)
    first = ids(made)[0]
    size = estimate(made, {first})
    assert (size.requests, size.prompt_tokens, size.answer_tokens_most) == (3, 10 + 11 + 11, 300)
    assert size.cost(2.0, 10.0, 300) == pytest.approx((32 * 2 + 300 * 10) / 1e6)

"""A teacher's text as a turn of the policy: of think models, of chats, and after plain prompts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oger.teachers.table.turn import EndInsideError, NeverClosedError, plain_turn
from tests.support.chat import POLICIES, QUESTION, R1, THOUGHT, UNOPENED
from tests.support.tiny import tiny_tokenizer


@pytest.mark.parametrize(
    ("policy", "text", "sampled"),
    [
        ("deepseek_r1_distill", THOUGHT, "Two and two.\n</think>\n\nIt is 4."),
        ("deepseek_r1_distill", "<think>Two.</think>4", "Two.</think>4"),
        ("deepseek_r1_distill", " \n<think>\n\nTwo.</think>4", "\nTwo.</think>4"),
        ("deepseek_r1_distill", "Two and two.\n</think>\n\nIt is 4.", "Two and two.\n</think>\n\nIt is 4."),
        ("deepseek_r1_distill", "<b>4</b>", "<b>4</b>"),
        ("without_newline", THOUGHT, "\nTwo and two.\n</think>\n\nIt is 4."),
        ("qwen3", THOUGHT, THOUGHT),
        ("qwen3_silent", "<think>\n\n</think>\n\nIt is 4.", "It is 4."),
        ("qwen3_silent", "<think></think>It is 4.", "It is 4."),
        ("qwen3_silent", THOUGHT, "Two and two.\n\nIt is 4."),
        ("qwen3_silent", "<think>Two and two.", "Two and two."),
        ("qwen3_silent", "<think>\nIt is 4.\n</think>\n", "It is 4."),
        ("qwen3_silent", "Two and two.\n</think>\n\nIt is 4.", "Two and two.\n\nIt is 4."),
        ("qwen3_silent", "It is 4.", "It is 4."),
        ("qwen3_5_nothink", THOUGHT, "Two and two.\n\nIt is 4."),
        ("mistral", THOUGHT, THOUGHT),
        ("chatml", THOUGHT, THOUGHT),
        ("llama3", "It is 4.", "It is 4."),
    ],
)
def test_what_the_prompt_has_opened_is_not_repeated(policy: str, text: str, sampled: str) -> None:
    assert POLICIES[policy].turn().text_after(QUESTION, text) == sampled


@pytest.mark.parametrize(
    ("policy", "end"),
    [
        ("deepseek_r1_distill", [R1[1]]),
        ("qwen3", ["<|im_end|>"]),
        ("chatml", ["<|im_end|>"]),
        ("chatml_of_a_base_policy", ["<|im_end|>", "<|endoftext|>"]),  # it does not stop at the first
        ("llama3", ["<|eot_id|>"]),
        ("mistral", ["</s>"]),
        ("cohere2", ["<|END_RESPONSE|>", "<|END_OF_TURN_TOKEN|>"]),  # it has opened its response in the prompt
        ("phi3", ["<|end|>", "<|endoftext|>"]),
    ],
)
def test_a_turn_ends_as_the_template_ends_it_and_only_once(policy: str, end: list[str]) -> None:
    turn = POLICIES[policy].turn()
    plain = turn.token_ids(turn.text_after(QUESTION, "It is 4."))
    assert turn.tokenizer.convert_ids_to_tokens(plain[-len(end) :]) == end
    assert turn.tokenizer.decode(plain[: -len(end)]) == "It is 4."
    for ending in ("".join(end), "".join(end) + "\n", end[-1]):
        assert turn.token_ids(turn.text_after(QUESTION, f"It is 4.{ending}")) == plain


@pytest.mark.parametrize("policy", POLICIES)
def test_a_text_that_goes_on_after_an_end_is_refused(policy: str) -> None:
    turn = POLICIES[policy].turn()
    for end in turn.end_texts:
        with pytest.raises(EndInsideError):
            turn.text_after(QUESTION, f"It is 4.{end}\nNo, 5.")


@pytest.mark.parametrize(
    ("policy", "opens"), [("gptoss", "<|channel|>final"), ("no_generation_prompt", "<|im_start|>assistant")]
)
def test_a_template_that_leaves_the_opening_to_the_policy_is_refused_by_name(policy: str, opens: str) -> None:
    turn = UNOPENED[policy].turn()
    with pytest.raises(ValueError, match="generation prompt does not open the answer"):
        turn.text_after(QUESTION, "It is 4.")
    assert opens in turn.header
    assert turn.text_after(QUESTION, f"{turn.header}It is 4.") == f"{turn.header}It is 4."


@pytest.mark.parametrize(
    ("policy", "text", "tag"),
    [
        ("deepseek_r1_distill", "<think>\nTwo and two is 4.", "<think>"),
        ("deepseek_r1_distill", "It is 4.", "<think>"),
        ("without_newline", "<think>It is <b>4</b>.", "<think>"),
        ("deepseek_r1_distill", THOUGHT, None),
        ("qwen3", "It is 4.", None),
        ("qwen3_silent", "It is 4.", None),
        ("llama3", "It is 4.", None),
    ],
)
def test_a_text_that_never_closes_what_its_prompt_has_opened_is_told(policy: str, text: str, tag: str | None) -> None:
    turn = POLICIES[policy].turn()
    assert turn.left_open(QUESTION, turn.text_after(QUESTION, text)) == tag


@pytest.mark.parametrize("policy", POLICIES)
def test_where_answers_are_read_behind_the_thoughts_a_text_without_them_is_refused(policy: str) -> None:
    turn = replace(POLICIES[policy].turn(), answers_behind_think=True)
    for text in ("It is 4.", "<think>\nTwo and two is 4."):
        with pytest.raises(NeverClosedError):
            turn.text_after(QUESTION, text)
    if POLICIES[policy].template in (POLICIES["qwen3"].template, POLICIES["deepseek_r1_distill"].template):
        closed = POLICIES[policy].options == {}  # else the prompt has closed its block, and the tags go
        assert ("</think>" in POLICIES[policy].turn().text_after(QUESTION, THOUGHT)) == closed


def test_a_plain_prompt_may_open_a_tag_too() -> None:
    turn = plain_turn(tiny_tokenizer())
    assert turn.text_after("2+2?<think>\n", "<think>\nabc") == "abc"
    assert turn.text_after("2+2?\n", "<think>\nabc") == "<think>\nabc"
    assert turn.text_after("2+2=?", "abc<eos>") == "abc"
    assert turn.token_ids("abc") == [*turn.tokenizer("abc")["input_ids"], turn.tokenizer.eos_token_id]

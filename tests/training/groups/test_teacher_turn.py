"""A rollout that is a teacher's trajectory, word for word, is none other to the trainer: D = 0, and the same tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from oger.verification.rewards import accuracy_with
from tests.support.chat import POLICIES, QUESTION, THOUGHT, chat_policy
from tests.support.tiny import quiet_options
from tests.support.trainers import first_batch

SILENT = "<think>\n\n</think>\n\nIt is 4."
PLAIN = "User: 2+2?\nAssistant: "


def of_ones(completions: list[Any], **_: Any) -> list[float]:
    return [1.0] * len(completions)


@pytest.mark.parametrize(
    ("name", "prompt", "teacher", "sampled", "end"),
    [
        ("deepseek_r1_distill", QUESTION, THOUGHT, THOUGHT.removeprefix("<think>\n"), [1]),
        ("qwen3", QUESTION, THOUGHT, THOUGHT, [1]),
        ("qwen3_silent", QUESTION, SILENT, "It is 4.", [1]),
        ("without_newline", QUESTION, THOUGHT, THOUGHT.removeprefix("<think>"), [1]),
        ("chatml", QUESTION, "It is 4.<|im_end|>\n", "It is 4.", [1]),
        ("chatml_of_a_base_policy", QUESTION, "It is 4.", "It is 4.", [1, 2]),
        ("llama3", QUESTION, "It is 4.<|eot_id|>", "It is 4.", [2]),
        ("chatml", PLAIN, "It is 4.", "It is 4.", [2]),
        ("chatml", PLAIN + "<think>\n", THOUGHT, THOUGHT.removeprefix("<think>\n"), [2]),
    ],
)
@pytest.mark.parametrize("imitate", [False, True])
def test_a_rollout_that_equals_a_teacher_is_that_teacher(
    tmp_path: Path, name: str, prompt: Any, teacher: str, sampled: str, end: list[int], imitate: bool
) -> None:
    policy = POLICIES[name]
    tokenizer = policy.turn().tokenizer
    rollout = [
        *tokenizer(sampled, add_special_tokens=False)["input_ids"],
        *(tokenizer.convert_tokens_to_ids(policy.special[place]) for place in end),
    ]

    def roll_out(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        prompt_ids, *_ = trainer._tokenize_prompts(prompts)
        return {"prompt_ids": prompt_ids, "completion_ids": [rollout] * len(prompts), "logprobs": None}

    options: dict[str, Any] = {"imitation_weight": 1.0} if imitate else {}
    rows = [{"prompt": prompt, "teachers": [{"text": teacher, "teacher": "t", "verdict": 1.0}]}] * 4
    trainer = OGERTrainer(
        chat_policy(tokenizer, policy.stops or [policy.eos]),
        of_ones,
        OGERConfig(**quiet_options(
            tmp_path, max_completion_length=len(rollout), chat_template_kwargs=policy.options or None, **options
        )),
        Dataset.from_list(rows),
        None,
        tokenizer,
        rollout_func=roll_out,
    )  # fmt: skip
    assert trainer.teacher_counts.kept == 4
    batch, stored = first_batch(trainer)
    online = [row for row in stored if row["origin"] == "online"]
    taught = [row for row in stored if row["origin"] == "teacher"]
    assert online
    assert taught
    assert [row["divergence"] for row in online] == pytest.approx([0.0] * len(online), abs=1e-6)
    assert {row["text"] for row in stored} == {sampled}
    assert {row["num_tokens"] for row in stored} == {len(rollout)}
    assert torch.equal(batch["completion_ids"], torch.tensor([rollout] * len(batch["completion_ids"])))
    assert trainer.train_dataset[0]["teachers"][0]["num_tokens"] == len(rollout)
    if imitate:
        taught_rows = batch["imitated_mask"].any(dim=1)
        assert torch.equal(batch["imitated_ids"][taught_rows], torch.tensor([rollout] * int(taught_rows.sum())))


def test_texts_that_end_inside_and_texts_that_are_adapted_are_counted(tmp_path: Path) -> None:
    policy = POLICIES["deepseek_r1_distill"]
    tokenizer = policy.turn().tokenizer
    texts = [THOUGHT, "It is 4.", f"It is{policy.eos} 4.", f"<think>\n{policy.eos}"]
    trainer = OGERTrainer(
        chat_policy(tokenizer, [policy.eos]), of_ones, OGERConfig(**quiet_options(tmp_path, max_completion_length=64)),
        Dataset.from_list([{"prompt": QUESTION, "teachers": texts}, *[{"prompt": QUESTION, "teachers": []}] * 3]), None,
        tokenizer,
    )  # fmt: skip
    counts = trainer.teacher_counts
    assert (counts.seen, counts.kept, counts.adapted) == (4, 2, 1)
    assert counts.dropped == {"ended inside": 1, "empty": 1}
    assert "1 ended inside), 1 adapted to the policy's turn" in counts.describe()


@pytest.mark.parametrize(("rules", "kept"), [(("after_think", "last_boxed"), 1), (("last_boxed",), 3), (None, 3)])
def test_texts_that_end_inside_their_thoughts_are_left_out_where_they_are_no_answer_and_counted_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, rules: tuple[str, ...] | None, kept: int
) -> None:
    policy = POLICIES["deepseek_r1_distill"]
    tokenizer = policy.turn().tokenizer
    texts = ["<think>\n2+2\n</think>\n\\boxed{4}", "<think>\n2+2, so \\boxed{4}", "\\boxed{4}"]
    row = {"prompt": QUESTION, "answer": "4", "teachers": texts}
    with caplog.at_level("WARNING"):
        trainer = OGERTrainer(
            chat_policy(tokenizer, [policy.eos]),
            of_ones if rules is None else accuracy_with(rules),
            OGERConfig(**quiet_options(tmp_path, max_completion_length=64)),
            Dataset.from_list([row] * 4), None, tokenizer,
        )  # fmt: skip
    counts = trainer.teacher_counts
    assert counts.kept == 4 * kept
    assert counts.dropped == ({"without </think>": 8} if kept == 1 else {})
    warned = "8 never close <think>, which their prompts have opened" in caplog.text
    assert warned == (kept == 3)
    assert counts.left_open == ({"<think>": 8} if kept == 3 else {})


def test_a_run_whose_texts_all_end_inside_their_thoughts_is_refused(tmp_path: Path) -> None:
    policy = POLICIES["deepseek_r1_distill"]
    tokenizer = policy.turn().tokenizer
    row = {"prompt": QUESTION, "answer": "4", "teachers": ["<think>\nIt is \\boxed{4}"]}
    with pytest.raises(ValueError, match=r"no usable teacher trajectory is left .*4 without </think>"):
        OGERTrainer(
            chat_policy(tokenizer, [policy.eos]), accuracy_with(["after_think", "last_boxed"]),
            OGERConfig(**quiet_options(tmp_path, max_completion_length=64)), Dataset.from_list([row] * 4), None,
            tokenizer,
        )  # fmt: skip

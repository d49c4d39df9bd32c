"""Guided rollouts: what is given, to whom, what it counts for, and that a resumed run remembers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from oger.training.batch import loss_tokens, online_tokens
from oger.training.rollouts.guided import Guidance, _step_end
from tests.support.tiny import CHAT_TEMPLATE, contains_answer, tiny_policy, tiny_tokenizer, toy_rows
from tests.support.trainers import G, first_batch, groups_of, make_trainer, step_context

ALONE = {"teacher_rows": 0, "exploration_weight": 0.0}
ALWAYS = {**ALONE, "guided_prompts": "always", "guided_cut": "tokens", "guided_shortest": 0.5, "guided_longest": 0.5}
GIVEN = 3  # tokens: half of a trajectory's six; the longer one's half is rounded down


def given_text(prompt: str) -> str:
    return prompt.removesuffix("=?")


def test_rollouts_begin_as_a_teacher_does_and_only_their_own_tokens_count(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, **ALWAYS)
    batch, rows = first_batch(trainer)
    for row in rows:
        assert row["given_tokens"] == GIVEN
        assert row["text"].startswith(given_text(row["prompt"]))
        assert row["num_tokens"] <= trainer.max_completion_length
    online_NT = online_tokens(batch).bool()
    assert not online_NT[:, :GIVEN].any()
    assert online_NT[:, GIVEN].all()
    assert torch.equal(loss_tokens(batch).bool(), online_NT)
    assert int(batch["num_items_in_batch"]) == int(online_NT.sum())


@pytest.mark.parametrize("lean", [True, False])
def test_entropies_belong_to_the_policys_own_tokens(tmp_path: Path, lean: bool) -> None:
    trainer = make_trainer(tmp_path, **{**ALWAYS, "exploration_weight": 1.0, "guided_rows": 2, "lean_generation": lean})
    batch, rows = first_batch(trainer)
    for i, row in enumerate(rows):
        given = row["given_tokens"]
        prompt, response = (
            batch[f"{name}_ids"][i][batch[f"{name}_mask"][i].bool()] for name in ("prompt", "completion")
        )
        with torch.no_grad():
            logits = trainer.model(input_ids=torch.cat([prompt, response])[None]).logits[0].double()
        entropy = torch.distributions.Categorical(logits=logits).entropy()[len(prompt) - 1 : -1]
        assert row["entropy_mean"] == pytest.approx(float(entropy[given:].mean()), abs=1e-5)
        assert row["entropy_last"] == pytest.approx(float(entropy[-1]), abs=1e-5)
    assert {row["given_tokens"] for row in rows} == {0, GIVEN}


def test_some_rows_of_a_group_and_their_own_baseline(tmp_path: Path) -> None:
    for baseline in ("own", "joint"):
        trainer = make_trainer(tmp_path / baseline, **ALWAYS, guided_rows=2, guided_baseline=baseline)
        _, rows = first_batch(trainer)
        for group in groups_of(rows, "online"):
            assert [row["given_tokens"] for row in group] == [0, 0, GIVEN, GIVEN]
            parts = [group[:2], group[2:]] if baseline == "own" else [group]
            for part in parts:
                mean = sum(row["reward"] for row in part) / len(part)
                assert [row["advantage"] for row in part] == pytest.approx([row["reward"] - mean for row in part])
    rewards = [row["reward"] for row in rows]
    assert 0 < sum(rewards) < len(rewards)


@pytest.mark.parametrize("loss", ["none", "shaped"])
def test_the_gradient_is_that_of_the_equation(tmp_path: Path, loss: str) -> None:
    trainer = make_trainer(
        tmp_path, model=tiny_policy(dtype=torch.float64), **ALWAYS, guided_rows=2, guided_baseline="joint",
        guided_loss=loss, entropy_coef=0.0, model_init_kwargs=None,
    )  # fmt: skip
    batch, _ = first_batch(trainer)
    trainer.current_gradient_accumulation_steps = 1
    policy = trainer.model
    trainer.compute_loss(policy, batch).backward()
    found = [parameter.grad.clone() for parameter in policy.parameters()]
    policy.zero_grad()

    expected = torch.zeros((), dtype=torch.float64)
    for i in range(len(batch["advantages"])):
        prompt = batch["prompt_ids"][i][batch["prompt_mask"][i].bool()]
        response = batch["completion_ids"][i][batch["completion_mask"][i].bool()]
        logits = policy(input_ids=torch.cat([prompt, response])[None]).logits[0, len(prompt) - 1 : -1]
        logp = logits.log_softmax(-1).gather(1, response[:, None]).squeeze(1)
        given = GIVEN if i % G >= 2 else 0
        own = (logp[given:] - logp[given:].detach()).exp().sum()
        shaped = (logp[:given].exp() / (logp[:given].exp() + 0.1)).sum() if loss == "shaped" else 0.0
        expected = expected - batch["advantages"][i] * (own + shaped)
    (expected / (len(batch["advantages"]) * trainer.args.max_completion_length)).backward()
    for gradient, parameter in zip(found, policy.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad)
    assert any(gradient.abs().max() > 0 for gradient in found)


def test_a_guided_group_has_no_teacher_row(tmp_path: Path) -> None:
    _, rows = first_batch(make_trainer(tmp_path, **{**ALWAYS, "teacher_rows": 1, "guided_share": 0.5}))
    kinds = set()
    for group in groups_of(rows, "online", "teacher"):
        guided, taught = any(row.get("given_tokens") for row in group), any(row["origin"] == "teacher" for row in group)
        assert guided != taught
        kinds.add(guided)
    assert kinds == {True, False}


def test_messages_are_continued_too(tmp_path: Path) -> None:
    from oger import OGERConfig, OGERTrainer
    from tests.support.tiny import quiet_options

    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    rows = [{**row, "prompt": [{"role": "user", "content": row["prompt"]}]} for row in toy_rows()]
    seen: list[Any] = []

    def outcome(completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        seen.extend(completions)
        return contains_answer([completion[0]["content"] for completion in completions], answer)

    trainer = OGERTrainer(
        model=tiny_policy(), reward_funcs=outcome, args=OGERConfig(**quiet_options(tmp_path, **ALWAYS)),
        train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
    )  # fmt: skip
    _, stored = first_batch(trainer)
    assert [[{"role": "assistant", "content": row["text"]}] for row in stored] == seen
    assert all(row["text"][1] == "+" for row in stored)


def test_prompts_whose_rollouts_all_failed_are_guided_at_their_next_visit(tmp_path: Path) -> None:
    context = step_context(tmp_path, **ALONE, guided_prompts="where_all_failed", guided_length="shortest_that_helps",
                           guided_cut="tokens")  # fmt: skip
    inputs = [row for row in toy_rows(2, 1) for _ in range(G)]
    guidance = Guidance()

    def lengths() -> list[int]:
        return [len(ids) for ids in guidance.choose(context, inputs)][::G]

    def learn(*outcomes: Sequence[float]) -> None:
        guidance.learn(context, inputs, guidance.choose(context, inputs), torch.tensor(outcomes).flatten())

    assert lengths() == [0, 0]
    learn([0.0] * G, [0.0, 1.0, 0.0, 0.0])
    assert list(guidance.state_dict().values()) == [1, 0]
    for _ in range(7):
        learn([0.0] * G, [1.0] * G)
    assert lengths() == [int(0.9 * 6), 0]
    copy = Guidance()
    copy.load_state_dict(guidance.state_dict())
    assert copy.choose(context, inputs) == guidance.choose(context, inputs)
    learn([0.0, 0.0, 0.0, 1.0], [1.0] * G)
    assert 0 < lengths()[0] < int(0.9 * 6)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("3*7=21 21+5=26 26-2=24", 8, len("3*7=21 ")),
        ("3*7=21 21+5=26 26-2=24", 3, len("3*7=21 ")),  # at least a step
        ("One. Two two. Three", 17, len("One. Two two. ")),
        ("a b\nc d\ne f", 6, len("a b\n")),
        ("oneword", 5, 0),
        ("one line\n", 8, len("one ")),
    ],
)
def test_a_cut_lies_behind_a_step(text: str, count: int, expected: int) -> None:
    assert _step_end(text, list(range(1, len(text) + 1)), count) == expected


def test_a_token_that_holds_a_blank_and_a_word_is_not_cut(tmp_path: Path) -> None:
    assert _step_end("ab cd ef", [2, 5, 8], 2) == 2  # tokens: "ab", " cd", " ef"
    assert _step_end("ab cd ef", [2, 5, 8], 1) == 1


def test_a_resumed_run_remembers_which_prompts_failed(tmp_path: Path) -> None:
    options = {**ALONE, "guided_prompts": "where_all_failed", "guided_length": "shortest_that_helps",
               "guided_cut": "tokens", "max_steps": 8, "save_strategy": "steps", "save_steps": 4}  # fmt: skip

    def never(completions: list[str], **_: Any) -> list[float]:
        return [float("h" in completion) for completion in completions]

    def trained(folder: Path, resume: str | None = None) -> tuple[Any, list[dict[str, Any]]]:
        trainer = make_trainer(folder, reward=never, rollouts_every=1, record_dir=str(folder), **options)
        stored: list[dict[str, Any]] = []
        trainer.rollout_sinks.append(lambda step, rows: stored.extend({**row, "step": step} for row in rows))
        trainer.train(resume_from_checkpoint=resume)
        return trainer, stored

    whole, rows = trained(tmp_path / "whole")
    assert any(row["given_tokens"] for row in rows)
    resumed, later = trained(tmp_path / "resumed", str(tmp_path / "whole" / "checkpoint-4"))
    assert later == [row for row in rows if row["step"] > 4]
    assert whole._guidance.state_dict() == resumed._guidance.state_dict()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"guided_rows": 2}, "guided_rows has no effect without guided_prompts"),
        ({"guided_prompts": "alway"}, "always"),
        ({"guided_prompts": "always", "guided_share": 0}, "guided_share=0 must be above 0"),
        ({"guided_prompts": "always", "guided_rows": 9}, "guided_rows=9 must be in 1..4"),
        ({"guided_prompts": "always", "guided_shortest": 0.95}, "guided_shortest=0.95 must be"),
        ({"guided_prompts": "always", "guided_baseline": "joint"}, "guided_baseline=joint has no effect"),
        ({"guided_prompts": "always", "policy_weight": 0, "imitation_weight": 1}, "needs rollouts"),
    ],
)
def test_options_without_effect_or_sense_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        step_context(tmp_path, **{**ALONE, "entropy_coef": 0, **options})

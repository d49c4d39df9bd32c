"""Hybrid groups in the real trainer: what is generated, verified, replaced, paid and trained on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from oger.encoders.registry import create_encoder
from oger.method.divergence import teacher_divergence
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset, toy_rows
from tests.support.trainers import CountingReward, G, first_batch, groups_of, make_trainer


def test_reward_functions_see_every_online_row_once_before_replacement(tmp_path: Path) -> None:
    reward = CountingReward()
    _, rows = first_batch(make_trainer(tmp_path, reward=reward))
    assert len(reward.calls) == 1
    before = [g for group in groups_of(rows, "online", "replaced") for g in group]
    assert reward.calls[0] == [row["text"] for row in before]
    assert all(len(group) == G for group in groups_of(rows, "online", "replaced"))


def test_engine_is_asked_for_online_rows_only(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    asked: list[int] = []
    generate = trainer._generate
    trainer._generate = lambda prompts: (asked.append(len(prompts)), generate(prompts))[1]  # type: ignore[method-assign]
    output, rows = first_batch(trainer)
    assert asked == [16]
    assert sum(row["origin"] == "teacher" for row in rows) == 4
    assert output["completion_ids"].size(0) == 16


def test_the_most_teacher_like_row_gives_way_to_a_teacher_of_the_same_prompt(tmp_path: Path) -> None:
    _, rows = first_batch(make_trainer(tmp_path))
    encoder = create_encoder("ngram")
    teachers = {row["prompt"]: row["teachers"] for row in toy_rows()}
    for number, group in enumerate(groups_of(rows, "online", "replaced")):
        texts = [teacher["text"] for teacher in teachers[group[0]["prompt"]]]
        divergence = teacher_divergence(encoder.encode([row["text"] for row in group]), encoder.encode(texts))
        replaced = [row["origin"] == "replaced" for row in group]
        assert sum(replaced) == 1
        assert divergence[replaced.index(True)] == divergence.min()
        [teacher] = [r for r in rows if r["group"] == number and r["origin"] == "teacher"]
        assert teacher["text"] in texts
        assert teacher["row"] == replaced.index(True)


def test_teacher_row_holds_the_teachers_tokens_and_an_end_of_sequence(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    output, rows = first_batch(trainer)
    tokenizer = tiny_tokenizer()
    for row in rows:
        if row["origin"] != "teacher":
            continue
        index = row["group"] * G + row["row"]
        assert output["offline"][index]
        ids = output["completion_ids"][index][output["completion_mask"][index].bool()].tolist()
        assert ids == [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]
    assert output["offline"].sum() == 4


def test_every_factor_of_the_reward_is_stored_and_multiplies_up(tmp_path: Path) -> None:
    _, rows = first_batch(make_trainer(tmp_path, exploration_weight=0.5))
    correct = 0
    for group in groups_of(rows, "online", "teacher"):
        for row in group:
            if row["origin"] == "teacher":
                assert row["reward"] == row["outcome"] == 1.0
                continue
            bonus = row["divergence"] * math.exp(-row["entropy_last"]) * row["outcome"]
            assert row["confidence"] == pytest.approx(math.exp(-row["entropy_last"]), rel=1e-5)
            assert dict(row["shaping"]) == {"oger": pytest.approx(bonus, abs=1e-6)}
            assert row["bonus"] == pytest.approx(0.5 * bonus, abs=1e-6)
            assert row["reward"] == pytest.approx(row["outcome"] + 0.5 * bonus, abs=1e-6)
            correct += row["outcome"] == 1.0
        mean = sum(row["reward"] for row in group) / G
        for row in group:
            assert row["advantage"] == pytest.approx(row["reward"] - mean, abs=1e-6)
    assert correct > 0, "the toy task must pay some rows, or this test shows nothing"


def test_entropy_is_that_of_the_distribution_the_last_token_was_drawn_from(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, temperature=0.7)
    output, rows = first_batch(trainer)
    ids = torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1)
    mask = torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1)
    with torch.no_grad():
        logits = trainer.model(input_ids=ids, attention_mask=mask).logits / 0.7
    width = output["prompt_ids"].size(1)
    for row in rows:
        if row["origin"] != "online":
            continue
        index = row["group"] * G + row["row"]
        last = width + int(output["completion_mask"][index].sum()) - 1  # position of the last response token
        probs = torch.softmax(logits[index, last - 1], dim=-1)
        assert row["entropy_last"] == pytest.approx(-(probs * probs.log()).sum().item(), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 1),  # entropies for the reward
        ({"exploration_weight": 0.0}, 0),  # nothing needs a pass
        ({"entropy_reduction": "none"}, 0),
        ({"steps_per_generation": 4, "exploration_weight": 0.0}, 1),  # old log-probs
        ({"steps_per_generation": 4}, 1),  # both from the same pass
        ({"num_iterations": 2}, 1),
    ],
)
def test_at_most_one_forward_without_gradient_per_rollout_batch(
    tmp_path: Path, options: dict[str, Any], expected: int
) -> None:
    trainer = make_trainer(tmp_path, length_chunks=1, lean_generation=False, **options)
    rows: list[int] = []
    log_probs = trainer._get_per_token_logps_and_entropies

    def counted(model: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        rows.append(input_ids.size(0))
        return log_probs(model, input_ids, *args, **kwargs)

    trainer._get_per_token_logps_and_entropies = counted  # type: ignore[method-assign]
    output, _ = first_batch(trainer)
    assert len(rows) == expected
    assert ("old_per_token_logps" in output) == bool({"steps_per_generation", "num_iterations"} & set(options))


def test_lean_generation_needs_no_forward_and_gives_the_entropies_that_one_would_give(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, lean_generation=True, length_chunks=1, rollouts_every=1)
    log_probs, calls = trainer._get_per_token_logps_and_entropies, []
    trainer._get_per_token_logps_and_entropies = (  # type: ignore[method-assign]
        lambda *a, **k: (calls.append(1), log_probs(*a, **k))[1]
    )
    output, rows = first_batch(trainer)
    assert calls == []
    ids, mask = (torch.cat([output[f"prompt_{n}"], output[f"completion_{n}"]], dim=1) for n in ("ids", "mask"))
    with torch.no_grad():
        _, entropy, _ = log_probs(trainer.model, ids, mask, output["completion_ids"].size(1), compute_entropy=True)
    trained = [row for row in rows if row["origin"] != "replaced"]
    for index, row in enumerate(sorted(trained, key=lambda row: (row["group"], row["row"]))):
        if row["origin"] == "teacher":
            assert row["entropy_last"] is None
            continue
        tokens = int(output["completion_mask"][index].sum())
        assert row["entropy_last"] == pytest.approx(entropy[index, tokens - 1].item(), abs=1e-5)
        assert row["entropy_mean"] == pytest.approx(entropy[index, :tokens].mean().item(), abs=1e-5)


def test_lean_generation_trains(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, lean_generation=True)
    trainer.train()
    assert trainer.state.global_step == 3
    assert all("reward/total" in row for row in trainer.state.log_history if "loss" in row)


def test_micro_batch_runs_one_forward(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path, exploration_weight=0.0, max_steps=1, gradient_accumulation_steps=1, length_chunks=1
    )
    calls: list[int] = []
    log_probs = trainer._get_per_token_logps_and_entropies
    trainer._get_per_token_logps_and_entropies = (  # type: ignore[method-assign]
        lambda *a, **k: (calls.append(1), log_probs(*a, **k))[1]
    )
    trainer.train()
    assert len(calls) == 1


def test_prompt_without_teachers_is_a_plain_group_and_counted(tmp_path: Path) -> None:
    rows = toy_rows()
    for row in rows[::2]:
        row["teachers"] = []
    trainer = make_trainer(tmp_path, Dataset.from_list(rows))
    assert trainer.teacher_counts.prompts_without_teacher == 4
    _, stored = first_batch(trainer)
    without = {row["prompt"] for row in rows[::2]}
    for row in stored:
        if row["prompt"] in without:
            assert row["origin"] == "online"
            assert row["divergence"] == 0.0
            assert row["bonus"] == 0.0
    assert any(row["origin"] == "teacher" for row in stored)


def test_over_long_and_empty_teachers_are_dropped_and_counted_never_cut(tmp_path: Path) -> None:
    rows = toy_rows()
    rows[0]["teachers"] = [
        {"text": "d" * 12, "teacher": "long", "verdict": 1.0},  # 12 tokens + end of sequence > 12
        {"text": "d" * 11, "teacher": "fits", "verdict": 1.0},
        {"text": " ", "teacher": "blank", "verdict": 1.0},
    ]
    counts = make_trainer(tmp_path, Dataset.from_list(rows)).teacher_counts
    assert counts.dropped == {"over-long": 1, "empty": 1}
    assert counts.kept_by_teacher["fits"] == 1
    assert counts.seen == counts.kept + sum(counts.dropped.values())


def test_teachers_may_be_plain_texts_and_are_judged_once_each(tmp_path: Path) -> None:
    rows = toy_rows(num_prompts=4)
    for index, row in enumerate(rows):
        row["teachers"] = [teacher["text"] if index else "ffff" for teacher in row["teachers"][:1]]
    reward = CountingReward()
    trainer = make_trainer(tmp_path, Dataset.from_list(rows), reward=reward, max_steps=4)
    stored: list[dict[str, Any]] = []
    trainer.rollout_sinks.append(lambda step, batch: stored.extend(batch))
    trainer.train()
    judged = [call for call in reward.calls if len(call) == 1]
    assert sorted(text for [text] in judged) == sorted(row["teachers"][0] for row in rows)
    for row in stored:
        if row["origin"] == "teacher":
            assert row["teacher"] == "teacher0"
            assert row["outcome"] == (0.0 if row["text"] == "ffff" else 1.0)


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [("correct", 1.0), ("wrong", 0.0), (True, 1.0), (False, 0.0), (1, 1.0), (0.5, 0.0), ("undecided", None)],
)
def test_verdict_of_the_table_is_the_outcome(tmp_path: Path, verdict: Any, outcome: float | None) -> None:
    rows = toy_rows(num_prompts=4, num_teachers=1)
    for row in rows:
        row["teachers"][0]["verdict"] = verdict
    _, stored = first_batch(make_trainer(tmp_path, Dataset.from_list(rows)))
    teachers = [row for row in stored if row["origin"] == "teacher"]
    assert [row["outcome"] for row in teachers] == [outcome] * 4
    if outcome is None:
        assert [row["advantage"] for row in teachers] == [0.0] * 4


def test_undecided_online_row_is_left_out_of_the_baseline(tmp_path: Path) -> None:
    _, stored = first_batch(make_trainer(tmp_path, reward=undecided_first, teacher_rows=0))
    for group in groups_of(stored, "online"):
        assert group[0]["outcome"] is None
        assert group[0]["advantage"] == 0.0
        mean = sum(row["reward"] for row in group[1:]) / (G - 1)
        assert group[1]["advantage"] == pytest.approx(group[1]["reward"] - mean, abs=1e-6)


def undecided_first(completions: list[str], **_: Any) -> list[float | None]:
    return [None if index % G == 0 else float(index % G == 1) for index in range(len(completions))]


def style(completions: list[str], **_: Any) -> list[float]:
    return [0.25] * len(completions)


def test_a_dropped_row_has_no_reward_whatever_other_functions_give_and_no_token_in_the_loss(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, reward=[undecided_first, style], teacher_rows=0)
    batch, stored = first_batch(trainer)
    for group in groups_of(stored, "online"):
        assert (group[0]["reward"], group[0]["advantage"]) == (None, 0.0)
        mean = sum(row["reward"] for row in group[1:]) / (G - 1)
        assert group[1]["advantage"] == pytest.approx(group[1]["reward"] - mean, abs=1e-6)
    lengths_N = batch["completion_mask"].sum(dim=1)
    assert (lengths_N[::G] == 0).all()
    assert (lengths_N.view(-1, G)[:, 1:] > 0).all()
    assert batch["num_items_in_batch"] == lengths_N.sum()


def test_an_undecided_row_counted_as_zero_stays_in_its_group(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, reward=[undecided_first, style], teacher_rows=0, undecided="zero")
    batch, stored = first_batch(trainer)
    for group in groups_of(stored, "online"):
        assert group[0]["outcome"] is None
        assert group[0]["reward"] == pytest.approx(0.25)
        mean = sum(row["reward"] for row in group) / G
        assert group[0]["advantage"] == pytest.approx(0.25 - mean, abs=1e-6)
    assert (batch["completion_mask"].sum(dim=1) > 0).all()


def test_a_dropped_row_gets_no_gradient_even_with_an_entropy_bonus(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, reward=undecided_first, teacher_rows=0, entropy_coef=0.1)
    batch, _ = first_batch(trainer)
    losses = []
    for filler in (0, 1):
        changed = {name: value.clone() if torch.is_tensor(value) else value for name, value in batch.items()}
        changed["completion_ids"][::G] = filler
        trainer.current_gradient_accumulation_steps = 1
        losses.append(trainer._compute_loss(trainer.model, changed).item())
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)


def test_other_reward_functions_add_to_the_base_reward_but_not_to_the_outcome(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, reward=[style, contains_answer], reward_weights=[2.0, 3.0],
                           outcome_reward="contains_answer")  # fmt: skip
    _, stored = first_batch(trainer)
    for row in stored:
        if row["origin"] == "online":
            assert row["outcome"] in (0.0, 1.0)
            assert row["reward"] == pytest.approx(0.5 + 3.0 * row["outcome"] + row["bonus"], abs=1e-6)
        elif row["origin"] == "teacher":
            assert row["reward"] == pytest.approx(3.0)


def test_unknown_outcome_reward_names_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains_answer"):
        make_trainer(tmp_path, outcome_reward="accuracy")


def test_teacher_advantage_min_floors_teacher_rows_only(tmp_path: Path) -> None:
    def all_wrong_teachers(num_prompts: int = 8) -> Dataset:
        rows = toy_rows(num_prompts)
        for row in rows:
            for teacher in row["teachers"]:
                teacher["verdict"] = 0.0
        return Dataset.from_list(rows)

    _, faithful = first_batch(make_trainer(tmp_path, all_wrong_teachers()))
    _, floored = first_batch(make_trainer(tmp_path, all_wrong_teachers(), teacher_advantage_min=0.0))
    assert min(row["advantage"] for row in faithful if row["origin"] == "teacher") < 0
    assert min(row["advantage"] for row in floored if row["origin"] == "teacher") == 0.0
    online = [[row["advantage"] for row in rows if row["origin"] == "online"] for rows in (faithful, floored)]
    assert online[0] == online[1]
    assert min(online[0]) < 0


def test_evaluation_never_inserts_teachers(tmp_path: Path) -> None:
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, per_device_eval_batch_size=8)),
        train_dataset=toy_dataset(),
        eval_dataset=toy_dataset(4),
        processing_class=tiny_tokenizer(),
    )
    stored: list[Any] = []
    trainer.rollout_sinks.append(lambda step, rows: stored.extend(rows))
    batches: list[dict[str, Any]] = []
    score = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = (  # type: ignore[method-assign]
        lambda inputs: (batches.append(score(inputs)), batches[-1])[1]
    )
    metrics = trainer.evaluate()
    assert batches
    assert all("offline" not in batch for batch in batches)
    assert not stored
    assert 0.0 <= metrics["eval_outcome"] <= 1.0
    assert math.isfinite(metrics["eval_loss"])


@pytest.mark.parametrize("preset", ["luffy_code", "paper_text"])
@pytest.mark.parametrize(
    "options",
    [
        {"beta": 0.04},
        {"beta": 0.04, "use_bias_correction_kl": True, "num_iterations": 2},
        {"mask_truncated_completions": True},
        {"top_entropy_quantile": 0.3, "num_iterations": 2},
        {"off_policy_mask_threshold": 0.01, "num_iterations": 2},
        {"pad_to_multiple_of": 8, "steps_per_generation": 4},
        {"teacher_rows": 2, "log_completions": True},
    ],
    ids=lambda options: "+".join(options),
)
def test_inherited_options_train_together_with_teacher_rows(
    tmp_path: Path, preset: str, options: dict[str, Any]
) -> None:
    tiny_policy().save_pretrained(tmp_path / "policy")  # TRL loads the reference policy from where the policy came
    trainer = make_trainer(tmp_path, model=str(tmp_path / "policy"), preset=preset, max_steps=2, **options)
    before = [parameter.clone() for parameter in trainer.model.parameters()]
    trainer.train()
    logged = [row for row in trainer.state.log_history if "loss" in row]
    assert len(logged) == 2
    assert all(math.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in logged)
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_online_metrics_are_those_of_the_online_rows(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=1)
    stored: list[dict[str, Any]] = []
    trainer.rollout_sinks.append(lambda step, rows: stored.extend(rows))
    trainer.train()
    logged = next(row for row in trainer.state.log_history if "loss" in row)
    generated = [row for row in stored if row["origin"] != "teacher"]
    teachers = [row for row in stored if row["origin"] == "teacher"]
    replaced = [row for row in stored if row["origin"] == "replaced"]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    assert logged["reward/outcome"] == pytest.approx(mean([row["outcome"] for row in generated]))
    assert logged["length/online"] == pytest.approx(mean([row["num_tokens"] for row in generated]))
    assert logged["length/teacher"] == pytest.approx(mean([row["num_tokens"] for row in teachers]))
    assert logged["completions/mean_length"] == pytest.approx(logged["length/online"])
    assert logged["length/truncated_share"] == pytest.approx(mean([row["truncated"] for row in generated]))
    assert logged["divergence/mean"] == pytest.approx(mean([row["divergence"] for row in generated]), rel=1e-5)
    assert logged["group/replaced_correct_share"] == pytest.approx(mean([row["outcome"] for row in replaced]))
    assert logged["advantage/teacher_mean"] == pytest.approx(mean([row["advantage"] for row in teachers]), abs=1e-6)
    assert logged["reward/exploration"] == pytest.approx(
        mean([row["bonus"] for row in stored if row["origin"] == "online"]), abs=1e-7
    )

"""The imitation stream in the real trainer: supervised fine-tuning, RL with it, and RL without a trace of it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from oger import OGERConfig, OGERTrainer
from oger.recipes.methods import load_method
from oger.training.objective.imitation import stream_weights
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset, toy_rows
from tests.support.trainers import first_batch, make_trainer

ROOT = Path(__file__).parents[3]
SFT: dict[str, Any] = {
    "preset": "none", "policy_weight": 0, "imitation_weight": 1.0, "imitation_rows": None, "entropy_coef": 0.0,
    "teacher_rows": 0, "exploration_weight": 0,
}  # fmt: skip
PURE_RL: dict[str, Any] = {"teacher_rows": 0, "exploration_weight": 0}


def gradients(trainer: OGERTrainer, batch: dict[str, Any]) -> list[torch.Tensor]:
    trainer.model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, batch).backward()
    return [p.grad.clone() for p in trainer.model.parameters() if p.grad is not None]


def naive_sft_gradients(prompts: list[str], texts: list[str]) -> list[torch.Tensor]:
    """One trajectory after another, without padding, token mean over all of them."""
    policy, tokenizer = tiny_policy(), tiny_tokenizer()
    total, tokens = torch.zeros(()), 0
    for prompt, text in zip(prompts, texts, strict=True):
        prompt_ids = tokenizer(prompt)["input_ids"]
        ids = tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]
        logits = policy(torch.tensor([prompt_ids + ids])).logits[0, len(prompt_ids) - 1 : -1]
        total = total - logits.log_softmax(-1)[torch.arange(len(ids)), ids].sum()
        tokens += len(ids)
    (total / tokens).backward()
    return [p.grad for p in policy.parameters() if p.grad is not None]


def test_supervised_fine_tuning_is_the_token_mean_over_all_trajectories_and_generates_nothing(tmp_path: Path) -> None:
    options = {**SFT, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 1, "shuffle_dataset": False}
    trainer = make_trainer(tmp_path, **options)
    trainer._generate = lambda prompts: pytest.fail("nothing may be generated")  # type: ignore[method-assign]
    batch, _ = first_batch(trainer)
    rows = toy_rows()[:4]
    prompts = [row["prompt"] for row in rows for _ in row["teachers"]]
    texts = [teacher["text"] for row in rows for teacher in row["teachers"]]
    expected = naive_sft_gradients(prompts, texts)
    for found, wanted in zip(gradients(trainer, batch), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("rows", "accumulation"), [(8, 2), (4, 4), (1, 16)])
def test_supervised_fine_tuning_does_not_depend_on_accumulation(tmp_path: Path, rows: int, accumulation: int) -> None:
    def weights(rows: int, accumulation: int) -> list[torch.Tensor]:
        options = {
            **SFT, "per_device_train_batch_size": rows, "gradient_accumulation_steps": accumulation, "optim": "sgd",
            "max_grad_norm": 0.0, "learning_rate": 0.5, "max_steps": 2, "shuffle_dataset": False,
        }  # fmt: skip
        data = toy_rows(8, 3)
        data[1]["teachers"] = data[1]["teachers"][:1]  # groups of unequal size
        trainer = OGERTrainer(
            tiny_policy(),
            contains_answer,
            OGERConfig(**quiet_options(tmp_path / str(rows), **options)),
            toy_dataset().from_list(data),
            None,
            tiny_tokenizer(),
        )
        trainer.train()
        return [p.detach() for p in trainer.model.parameters()]

    start = list(tiny_policy().parameters())
    whole = weights(16, 1)
    for split, one, before in zip(weights(rows, accumulation), whole, start, strict=True):
        torch.testing.assert_close(split, one, rtol=0, atol=1e-6)
        assert not torch.equal(one, before), "the comparison is of trained weights"


@pytest.mark.soak
def test_supervised_fine_tuning_does_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    reports = {}
    for processes in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command += ["-m", "tests.support.sft_ranks", str(tmp_path / str(processes))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        reports[processes] = json.loads((tmp_path / str(processes) / "rank0.json").read_text())
        assert reports[processes]["world_size"] == processes, "the launcher started another number of processes"
    one, two = (torch.tensor(reports[processes]["weights"]) for processes in (1, 2))
    torch.testing.assert_close(two, one, rtol=0, atol=1e-6)


def test_no_imitation_weight_gives_the_gradients_of_pure_rl_bit_for_bit(tmp_path: Path) -> None:
    """RL with an SFT loss of weight 0, on data with teachers, against on-policy RL, unclipped too, without any."""
    without = toy_dataset().remove_columns("teachers")
    pure, joint = {**load_method("dr_grpo").options, "clip": "none"}, dict(load_method("rl_sft").options)
    found: dict[str, list[torch.Tensor]] = {}
    for name, options, data in (
        ("pure", pure, without), ("zero", {**joint, "imitation_weight": 0.0}, None), ("some", joint, None),
    ):  # fmt: skip
        trainer = make_trainer(tmp_path / name, dataset=data, **options)
        batch, _ = first_batch(trainer)
        first = gradients(trainer, batch)
        trainer.train()
        found[name] = [*first, *(p.detach() for p in trainer.model.parameters())]
    for zero, some, wanted in zip(found["zero"], found["some"], found["pure"], strict=True):
        assert torch.equal(zero, wanted)
        assert not torch.equal(some, wanted)


def test_both_streams_add_up_to_their_weighted_gradients(tmp_path: Path) -> None:
    """grad L(b) = grad L_RL + b grad L_SFT, and the advantages see online rows alone."""
    pure, _ = first_batch(trainer := make_trainer(tmp_path / "a", **PURE_RL))
    both, _ = first_batch(make_trainer(tmp_path / "b", **PURE_RL, imitation_weight=0.25))
    assert torch.equal(pure["advantages"], both["advantages"])
    assert torch.equal(pure["completion_ids"], both["completion_ids"])
    trainer.args.imitation_weight = 0.0
    rl = gradients(trainer, copy.copy(both))
    trainer.args.imitation_weight = 0.25
    mixed = gradients(trainer, copy.copy(both))
    imitated = {k: v for k, v in both.items() if k not in ("completion_ids", "completion_mask")}
    trainer.args.imitation_weight = 1.0
    sft = gradients(trainer, imitated)
    assert max(g.abs().max().item() for g in sft) > 1e-3
    for total, policy, imitation in zip(mixed, rl, sft, strict=True):
        torch.testing.assert_close(total, policy + 0.25 * imitation, rtol=1e-4, atol=1e-6)


def test_a_trajectory_that_the_table_calls_wrong_or_undecided_is_never_imitated(tmp_path: Path) -> None:
    rows = toy_rows(4, 4)
    for row in rows:
        for teacher, verdict in zip(row["teachers"], ("correct", "wrong", "undecided", None), strict=True):
            teacher["verdict"] = verdict
    data = toy_dataset().from_list(rows)
    options = {**SFT, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 1, "shuffle_dataset": False}
    batch, _ = first_batch(make_trainer(tmp_path, dataset=data, max_completion_length=16, **options))
    for group, row in enumerate(rows):
        ids = batch["imitated_ids"][group * 4 : group * 4 + 4]
        texts = {tiny_tokenizer().decode(row_ids, skip_special_tokens=True) for row_ids in ids} - {""}
        assert texts == {row["teachers"][place]["text"] for place in (0, 3)}


def test_only_unsolved_prompts_are_imitated_and_give_no_policy_gradient_where_asked(tmp_path: Path) -> None:
    options = {
        **PURE_RL,
        "imitation_weight": 1.0,
        "imitation_max_success": 0.0,
        "imitation_instead": True,
        "lean_generation": False,
    }
    batch, rows = first_batch(make_trainer(tmp_path, rollouts_every=1, **options))
    solved = {
        group: any(row["outcome"] == 1 for row in rows if row["group"] == group) for group in {r["group"] for r in rows}
    }
    assert set(solved.values()) == {True, False}, "the toy batch has solved and unsolved prompts"
    for group, is_solved in solved.items():
        of_group = slice(group * 4, group * 4 + 4)
        assert int(batch["imitated_mask"][of_group].any(dim=1).sum()) == (0 if is_solved else 1)
        assert bool(batch["completion_mask"][of_group].any()) == is_solved


def test_a_mixed_blend_and_a_schedule_move_weight_from_imitation_to_the_policy(tmp_path: Path) -> None:
    config = OGERConfig(
        **quiet_options(
            tmp_path, **PURE_RL, imitation_weight=0.9, imitation_blend="mix", imitation_schedule="linear",
            imitation_schedule_end=0.5,
        )
    )  # fmt: skip
    assert stream_weights(config, 0.0) == pytest.approx((0.1, 0.9))
    assert stream_weights(config, 1.0) == pytest.approx((0.55, 0.45))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy_weight": 0}, "leaves nothing to train on"),
        ({"imitation_rows": 2}, "imitation_rows has no effect"),
        ({"imitation_weight": -1}, "at least 0"),
        ({"imitation_weight": 1, "imitation_rows": 9}, r"in 1\.\.4"),
        ({"imitation_weight": 1, "imitation_max_success": 2}, "at least 0 and at most 1"),
        ({"imitation_weight": 1, "imitation_schedule_end": 0.5}, "belongs to a schedule"),
        ({"imitation_weight": 2, "imitation_blend": "mix"}, "b <= 1"),
        ({"imitation_weight": 1, "imitation_token_weight": "p_one_minus"}, "did you mean 'p_one_minus_p'"),
        ({**SFT, "exploration_weight": 1}, "makes none"),
        ({**SFT, "beta": 0.1}, "makes none"),
        ({**SFT, "positive_weight": 0.1}, "makes none"),
        ({**SFT, "shaping_rewards": {"distinct_quality": 1}}, "makes none"),
        ({"imitation_weight": 1, "loss_type": "bnpo", "teacher_rows": 0, "exploration_weight": 0}, "no imitation"),
    ],
)
def test_options_that_contradict_each_other_are_one_clear_line(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        OGERConfig(**quiet_options(tmp_path, **options))
    assert "\n" not in str(caught.value)


def test_imitation_without_a_usable_trajectory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no usable teacher trajectory"):
        make_trainer(tmp_path, dataset=toy_dataset(8, 0).from_list([{**r, "teachers": []} for r in toy_rows()]), **SFT)

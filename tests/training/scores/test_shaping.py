"""Shaping rewards inside the trainer: what they see, how they are weighted and logged, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from oger import OGERConfig, OGERTrainer
from oger.encoders.registry import create_encoder
from oger.rewards import RewardGroup, shaping_reward
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset
from tests.support.trainers import G, first_batch, groups_of, make_trainer

MY_BONUS = """from oger.rewards import shaping_reward


@shaping_reward("my_bonus")
def my_bonus(group):
    return 0.1 * group.outcome * group.divergence
"""


def test_a_six_line_file_of_a_user_is_weighted_added_and_logged_under_its_name(tmp_path: Path) -> None:
    file = tmp_path / "bonus.py"
    file.write_text(MY_BONUS)
    assert len(MY_BONUS.splitlines()) == 6
    trainer = make_trainer(tmp_path, exploration_weight=0.5, shaping_rewards={str(file): 2.0})
    _, rows = first_batch(trainer)
    online = [row for row in rows if row["origin"] == "online"]
    for row in online:
        shaping = dict(row["shaping"])
        assert shaping["my_bonus"] == pytest.approx(0.1 * row["outcome"] * row["divergence"], abs=1e-6)
        assert row["bonus"] == pytest.approx(0.5 * shaping["oger"] + 2.0 * shaping["my_bonus"], abs=1e-6)
        assert row["reward"] == pytest.approx(row["outcome"] + row["bonus"], abs=1e-6)
    assert any(row["bonus"] > 0 for row in online)
    means = trainer._sums["train"].means(trainer.accelerator)
    expected = sum(dict(row["shaping"])["my_bonus"] for row in online) / len(online)
    assert means["shaping/my_bonus"] == pytest.approx(expected, abs=1e-7)


def test_a_reward_sees_the_whole_hybrid_group(tmp_path: Path) -> None:
    seen: list[RewardGroup] = []

    @shaping_reward("watcher")
    def watcher(group: RewardGroup) -> torch.Tensor:
        seen.append(group)
        return torch.zeros(len(group.texts))

    trainer = make_trainer(tmp_path, shaping_rewards={"watcher": 1.0})
    _, rows = first_batch(trainer)
    encode = create_encoder("ngram").encode
    stored = groups_of(rows, "online", "teacher")
    assert len(seen) == len(stored)
    for group, members in zip(seen, stored, strict=True):
        assert group.texts == [row["text"] for row in members]
        assert group.origin == [row["origin"] for row in members]
        assert group.offline.tolist() == [row["origin"] == "teacher" for row in members]
        assert group.outcome.tolist() == [row["outcome"] for row in members]
        assert group.divergence.tolist() == pytest.approx([row["divergence"] or 0.0 for row in members])
        torch.testing.assert_close(group.embeddings, encode(group.texts))
        teachers = next(row["teachers"] for row in trainer.train_dataset if row["prompt"] == group.prompt)
        torch.testing.assert_close(group.teacher_embeddings, encode([teacher["text"] for teacher in teachers]))
        assert group.token_entropy is not None
        assert group.token_logprob is not None
        assert group.token_entropy.shape == group.token_logprob.shape == group.mask.shape
        assert group.mask.sum(dim=1).tolist() == [row["num_tokens"] for row in members]
        last = group.mask.sum(dim=1) - 1
        entropies = group.token_entropy.gather(1, last[:, None])[:, 0].tolist()
        assert entropies == pytest.approx([row["entropy_last"] for row in members])
        assert group.step == 0


def test_teacher_rows_and_undecided_rows_earn_nothing_whatever_the_function_says(tmp_path: Path) -> None:
    @shaping_reward("generous")
    def generous(group: RewardGroup) -> torch.Tensor:
        return torch.where(group.outcome.isnan() | group.offline, torch.nan, 1.0)

    def first_undecided(completions: list[str], **_: Any) -> list[float | None]:
        return [None if index % G == 0 else 1.0 for index in range(len(completions))]

    trainer = make_trainer(
        tmp_path, reward=first_undecided, shaping_rewards={"generous": 1.0}, undecided="zero", exploration_weight=0.0,
        replacement="fixed_slot",
    )  # fmt: skip
    _, rows = first_batch(trainer)
    for group in groups_of(rows, "online", "teacher"):
        assert [row["reward"] for row in group] == [0.0] + [2.0] * (G - 2) + [1.0]


def test_a_reward_that_returns_nonsense_is_named(tmp_path: Path) -> None:
    shaping_reward("nonsense")(lambda group: torch.ones(3))
    trainer = make_trainer(tmp_path, shaping_rewards={"nonsense": 1.0})
    with pytest.raises(ValueError, match=rf"'nonsense' must return {G} numbers"):
        first_batch(trainer)


def test_shaping_works_without_teachers_and_without_the_exploration_reward(tmp_path: Path) -> None:
    trainer = make_trainer(
        tmp_path, toy_dataset(num_teachers=0), exploration_weight=0.0, shaping_rewards={"within_group_diversity": 1.0}
    )
    _, rows = first_batch(trainer)
    for row in rows:
        assert row["origin"] == "online"
        assert row["bonus"] == pytest.approx(dict(row["shaping"])["within_group_diversity"])
    assert any(row["bonus"] > 0 for row in rows)


def test_a_schedule_takes_the_weights_down_over_the_run(tmp_path: Path) -> None:
    tiny_policy().save_pretrained(tmp_path / "policy")
    options = quiet_options(
        tmp_path, max_steps=4, exploration_weight=2.0, exploration_schedule="linear", exploration_schedule_end=0.5,
        rollouts_every=1,
    )  # fmt: skip
    trainer = OGERTrainer(
        str(tmp_path / "policy"), contains_answer, OGERConfig(**options), toy_dataset(), None, tiny_tokenizer()
    )
    stored: dict[int, list[dict[str, Any]]] = {}
    trainer.rollout_sinks.append(stored.__setitem__)
    trainer.train()
    factors = [row["reward/schedule"] for row in trainer.state.log_history if "reward/schedule" in row]
    assert factors == pytest.approx([1.0, 0.875, 0.75, 0.625])
    for step, rows in stored.items():
        for row in rows:
            if row["origin"] == "online":
                weight = 2.0 * factors[step - 1]
                assert row["bonus"] == pytest.approx(weight * dict(row["shaping"])["oger"], abs=1e-6)


def test_a_recipe_uses_a_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oger.recipes import load_recipe
    from oger.training.run.train import train_recipe

    monkeypatch.chdir(tmp_path)
    Path("bonus.py").write_text(MY_BONUS)
    overrides = ["max_steps=1", "eval_limit=2", "eval_samples=1", "output_dir=run", "shaping_rewards={bonus.py: 0.5}"]
    train_recipe(load_recipe("smoke", overrides))
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert row["shaping/my_bonus"] >= 0
    assert "bonus.py" in (tmp_path / "run" / "config.yaml").read_text()

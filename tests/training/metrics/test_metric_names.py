"""What the trainer logs is in the glossary, and what the glossary promises is logged."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from oger import OGERConfig, OGERTrainer
from oger.reporting.glossary import GLOSSARY, canonical
from oger.verification import accuracy_reward
from tests.support.metric_names import is_listed
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

# Needs an engine of its own; tests/training/objective/test_loss.py runs it with a stand-in.
FAULTS_ONLY = {"skipped_steps"}
ENGINE_ONLY = {"sampling/logp_difference", "sampling/importance_ratio"}


def logged_names(folder: Path, **options: Any) -> set[str]:
    tiny_policy().save_pretrained(folder / "policy")
    trainer = OGERTrainer(
        model=str(folder / "policy"),
        reward_funcs=[contains_answer, accuracy_reward],
        args=OGERConfig(
            **quiet_options(folder, max_steps=2, eval_strategy="steps", eval_steps=1, **options),
        ),
        train_dataset=toy_dataset(),
        eval_dataset=toy_dataset(4),
        processing_class=tiny_tokenizer(),
    )
    trainer.train()
    rows = [row for row in trainer.state.log_history if "train_runtime" not in row]
    return {canonical(name) for row in rows for name in row}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("names")
    everything = {"beta": 0.1, "preset": "paper_text", "num_iterations": 2, "model_init_kwargs": {"dtype": "float32"},
                  "exploration_schedule": "linear", "imitation_weight": 0.1, "guided_prompts": "always",
                  "guided_rows": 2, "guided_share": 0.5}  # fmt: skip
    return logged_names(folder / "a", entropy_coef=0.0) | logged_names(folder / "b", **everything)


def test_every_logged_metric_is_listed(names: set[str]) -> None:
    assert [name for name in sorted(names) if not is_listed(name)] == []


def test_every_listed_metric_is_logged(names: set[str]) -> None:
    unseen = [pattern for pattern in GLOSSARY if not any(fnmatchcase(name, pattern) for name in names)]
    assert sorted(set(unseen) - ENGINE_ONLY - FAULTS_ONLY) == []

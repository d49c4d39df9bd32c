"""The encoder inside a run: chosen by its spec, cached for teachers, and never exchanged on resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from oger import OGERConfig, OGERTrainer
from oger.encoders import CachedEncoder
from oger.worlds import load_world
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset
from tests.support.trainers import first_batch, make_trainer


@pytest.fixture
def policy(tmp_path: Path) -> str:
    folder = tmp_path / "policy"
    tiny_policy().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def run(tmp_path: Path, policy: str, resume: bool = False, **options: Any) -> OGERTrainer:
    arguments = quiet_options(tmp_path / "out", max_steps=2, save_strategy="steps", save_steps=1, **options)
    trainer = OGERTrainer(policy, contains_answer, OGERConfig(**arguments), toy_dataset(), None, tiny_tokenizer())
    if resume:
        trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-1"))
    else:
        trainer.train()
    return trainer


def test_a_run_that_is_resumed_with_another_encoder_is_refused(tmp_path: Path, policy: str) -> None:
    run(tmp_path, policy)
    with pytest.raises(ValueError, match="started with the encoder 'ngram'"):
        run(tmp_path, policy, resume=True, encoder="ngram:word")
    with pytest.raises(ValueError, match="part was 'full', is 'equations'"):
        run(tmp_path, policy, resume=True, encoder_part="equations")


def test_the_initial_policy_encodes_and_stays_the_initial_policy_on_resume(tmp_path: Path, policy: str) -> None:
    first = run(tmp_path, policy, encoder="policy-init", learning_rate=0.1)
    resumed = run(tmp_path, policy, resume=True, encoder="policy-init", learning_rate=0.1)
    assert first.encoder.identity == resumed.encoder.identity
    texts = ["1+1 a.", "2+2 b."]
    torch.testing.assert_close(first.encoder.encode(texts), resumed.encoder.encode(texts))
    trained = str(tmp_path / "out" / "checkpoint-2")
    with pytest.raises(ValueError, match="revision"):
        run(tmp_path, trained, resume=True, encoder=f"policy-init:{trained}")


def test_a_policy_without_a_folder_cannot_be_the_encoder_without_saying_where(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="write policy-init:FOLDER"):
        make_trainer(tmp_path, encoder="policy-init")


def test_teacher_vectors_of_a_model_are_kept_in_the_run_folder_and_not_made_again(tmp_path: Path, policy: str) -> None:
    options = {"encoder": f"policy-init:{policy}", "record_dir": str(tmp_path / "run")}
    trainer = make_trainer(tmp_path, **options)
    _, rows = first_batch(trainer)
    assert isinstance(trainer.teacher_encoder, CachedEncoder)
    assert trainer.teacher_encoder.computed > 0
    assert (tmp_path / "run" / "vectors").is_dir()
    again = make_trainer(tmp_path / "again", **options)
    _, rows_again = first_batch(again)
    assert isinstance(again.teacher_encoder, CachedEncoder)
    assert again.teacher_encoder.computed == 0
    assert [row["divergence"] for row in rows] == [row["divergence"] for row in rows_again]


@pytest.mark.parametrize("options", [{"encoder": "ngram"}, {"encoder_cache": "none"}])
def test_no_cache_where_it_would_not_pay_or_is_not_wanted(tmp_path: Path, policy: str, options: dict[str, str]) -> None:
    arguments = {"encoder": f"policy-init:{policy}", "record_dir": str(tmp_path / "run"), **options}
    trainer = make_trainer(tmp_path, **arguments)
    assert trainer.teacher_encoder is trainer.encoder


def test_the_part_that_is_encoded_changes_the_divergence(tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer

    from oger.verification import accuracy_reward

    world = load_world("arithmetic")
    policy = str(world.base_policy())
    divergences = []
    for part in ("full", "equations"):
        args = OGERConfig(**quiet_options(tmp_path, max_completion_length=64, encoder_part=part))
        trainer = OGERTrainer(
            policy, accuracy_reward, args, Dataset.from_list(world.rows("train", limit=4)), None,
            AutoTokenizer.from_pretrained(policy, padding_side="left"),
        )  # fmt: skip
        _, rows = first_batch(trainer)
        divergences.append([row["divergence"] for row in rows if row["origin"] == "online"])
    assert divergences[0] != divergences[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_options": {"lenghts": [2, 3]}}, "did you mean 'lengths'"),
        ({"encoder_options": "lengths"}, "must be a mapping"),
        ({"encoder_part": "reasonig"}, "did you mean 'reasoning'"),
        ({"encoder": "sentence-transformer:x"}, "did you mean 'sentence-transformers'"),
    ],
)
def test_encoder_options_are_checked_before_anything_is_loaded(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OGERConfig(**quiet_options(tmp_path, **options))

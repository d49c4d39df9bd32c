"""What `oger preview` says of other options equals what those options give."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from oger.encoders.registry import create_encoder
from oger.method.confidence import REDUCTIONS
from oger.method.divergence import AGGREGATIONS, SCALES, teacher_divergence
from oger.method.hybrid_group import STRATEGIES
from oger.training.batch import ScoredBatch
from oger.training.scores.alternatives import WHY_REPLACED, alternatives
from tests.support.tiny import tiny_tokenizer, toy_dataset
from tests.support.trainers import G, make_trainer


def sampled(tmp_path: Path, **options: object) -> tuple[ScoredBatch, object]:
    trainer = make_trainer(tmp_path, options.pop("dataset", None), **options)
    batches: list[ScoredBatch] = []
    trainer.batch_sinks.append(lambda _, batch: batches.append(batch))
    trainer.model.train()
    trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    return batches[0], trainer.args


def test_each_option_gives_the_bonus_of_its_definition(tmp_path: Path) -> None:
    batch, args = sampled(tmp_path, exploration_weight=0.5)
    encode = create_encoder("ngram").encode
    for group in range(len(batch.inputs) // G):
        rows = slice(group * G, (group + 1) * G)
        found = alternatives(batch, group, args, tiny_tokenizer(), None)  # type: ignore[arg-type]
        by_option = {alternative.option: alternative for alternative in found}
        assert len(by_option) == 1 + (len(AGGREGATIONS) - 1) + (len(SCALES) - 1) + (len(REDUCTIONS) - 1)
        teachers = [teacher["text"] for teacher in batch.inputs[rows.start]["teachers"]]
        confidence = batch.scores.confidence_N[rows].tolist()
        for name, options in {
            "as configured": {},
            "divergence_aggregation=max": {"aggregation": "max"},
            "divergence_scale=whitened": {"scale": "whitened"},
        }.items():
            divergence = teacher_divergence(encode(batch.rollouts.texts[rows]), encode(teachers), **options)
            assert by_option[name].most_teacher_like == int(divergence.argmin())
            for row in range(G):
                value = by_option[name].bonus[row]
                if bool(batch.tensors.offline_N[rows][row]):
                    assert value is None
                else:
                    outcome = batch.verdicts.outcome_N[rows][row].item()
                    assert value == pytest.approx(divergence[row].item() * confidence[row] * outcome, abs=1e-6)
        mean = batch.scores.entropy_mean_N[rows].tolist()
        for row, value in enumerate(by_option["entropy_reduction=mean"].bonus):
            if value is not None:
                outcome = batch.verdicts.outcome_N[rows][row].item()
                expected = batch.divergence_N[rows][row].item() * math.exp(-mean[row]) * outcome
                assert value == pytest.approx(expected, abs=1e-6)


def test_a_prompt_without_teachers_has_no_alternatives(tmp_path: Path) -> None:
    batch, args = sampled(tmp_path, dataset=toy_dataset(num_teachers=0), exploration_weight=0.0)
    assert alternatives(batch, 0, args, tiny_tokenizer(), None) == []  # type: ignore[arg-type]


def test_every_strategy_says_why_a_row_gives_way() -> None:
    assert set(WHY_REPLACED) == set(STRATEGIES)

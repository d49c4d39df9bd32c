"""The glossary: complete, uniform, and strict about names."""

import re
from pathlib import Path

import pytest

from oger.reporting.glossary import GLOSSARY, INHERITED, canonical, markdown
from tests.support.metric_names import is_listed

UNITS = {"share", "reward", "nats", "tokens", "seconds", "count", ""}
PROMISED = [
    "reward/outcome",
    "reward/exploration",
    "divergence/mean",
    "entropy/mean",
    "entropy/last",
    "confidence/mean",
    "group/solve_none",
    "group/solve_all",
    "group/replaced_correct_share",
    "advantage/teacher_mean",
    "advantage/teacher_negative_share",
    "length/online",
    "length/teacher",
    "length/truncated_share",
    "time/generate",
    "time/score",
    "time/logprob",
    "time/update",
    "time/step",
]


def test_every_promised_metric_is_defined() -> None:
    assert set(PROMISED) <= set(GLOSSARY)


@pytest.mark.parametrize("metric", GLOSSARY.values(), ids=list(GLOSSARY))
def test_each_entry_has_a_name_a_known_unit_and_a_definition(metric) -> None:
    assert re.fullmatch(r"[a-z_]+(/([a-z_]+|\*))?", metric.name)
    assert metric.unit in UNITS
    assert (metric.unit == "share") >= metric.name.endswith("_share")
    assert len(metric.definition) > 15
    assert not metric.definition.endswith(".")


def test_no_name_is_defined_twice() -> None:
    from oger.reporting import glossary

    assert len(glossary._METRICS) == len(GLOSSARY)
    assert not set(GLOSSARY) & set(INHERITED)


def test_the_trainers_evaluation_prefix_becomes_a_topic() -> None:
    assert canonical("eval_reward/outcome") == "eval/reward/outcome"
    assert canonical("eval/outcome") == "eval/outcome"
    assert canonical("reward/outcome") == "reward/outcome"


@pytest.mark.parametrize(
    "name",
    [
        "eval_reward/outcome", "eval_outcome", "eval_runtime", "eval/length", "rewards/accuracy_reward/mean",
        "eval_rewards/format_reward/std", "completions/min_terminated_length", "clip_ratio/low_mean", "train_loss",
        "sampling/importance_sampling_ratio/max", "frac_reward_zero_std", "num_tokens", "step_time", "loss",
    ],
)  # fmt: skip
def test_what_the_trainer_logs_is_listed(name: str) -> None:
    assert is_listed(name)


@pytest.mark.parametrize("name", ["made/up", "reward/outcom", "eval_made"])
def test_a_name_that_is_defined_nowhere_is_not_listed(name: str) -> None:
    assert not is_listed(name)


def test_the_page_in_docs_is_the_glossary() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == markdown(), "run: python -m oger.reporting.glossary > docs/metrics.md"

"""What the base policy of the numbers world reads, and that its pre-training goes on where it stopped."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from oger.worlds.numbers.classify import form_of, solution_in, strategy_of
from oger.worlds.numbers.policy_recipe import STRATEGY_SHARES, Corpus, Example
from oger.worlds.numbers.pretrain import Pretraining
from oger.worlds.numbers.problems import FIXED_TARGET, TARGETS, Problem


def read(example: Example) -> Problem:
    numbers, target = example.prompt.strip().split(":")
    return Problem(tuple(map(int, numbers.split(","))), int(target))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return list(islice(Corpus(0), 4000))


def test_every_example_is_right_and_of_the_pretraining_part(examples: list[Example]) -> None:
    for example in examples:
        problem = read(example)
        assert solution_in(example.response, problem.numbers, problem.target)
        assert problem.part == "pretraining"
        assert problem.target in TARGETS
        assert problem.target != FIXED_TARGET


def test_teachers_strategies_are_a_few_percent_and_scaling_in_the_middle_is_rare(examples: list[Example]) -> None:
    sorts = [strategy_of(e.response, read(e).numbers, read(e).target) for e in examples]
    taught = sum(sort in STRATEGY_SHARES for sort in sorts) / len(sorts)
    assert taught == pytest.approx(sum(STRATEGY_SHARES.values()), abs=0.012)
    assert 0.01 <= sorts.count("new") / len(sorts) <= 0.06
    assert sum(" no " in e.response for e in examples) / len(examples) <= 0.03


def test_walks_come_in_every_form(examples: list[Example]) -> None:
    forms = [
        form_of(term)
        for example in examples
        if (term := solution_in(example.response, read(example).numbers, read(example).target))
    ]
    for form in ("products", "pairs", "backward", "other"):
        assert forms.count(form) / len(forms) >= 0.05, form


def test_the_corpus_depends_on_the_seed_and_on_nothing_else(examples: list[Example]) -> None:
    assert list(islice(Corpus(0), 50)) == examples[:50]
    assert list(islice(Corpus(1), 50)) != examples[:50]


def test_pretraining_that_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    whole, first, second = Pretraining(3), Pretraining(3), Pretraining(3)
    losses = list(whole.train(3))
    list(first.train(2))
    first.write(tmp_path / "training.pt")
    second.read(tmp_path / "training.pt")
    assert list(second.train(3)) == losses[2:]
    for name, weight in second.policy.state_dict().items():
        torch.testing.assert_close(weight, whole.policy.state_dict()[name], rtol=0, atol=0)


def test_the_state_of_another_seed_is_refused(tmp_path: Path) -> None:
    Pretraining(3).write(tmp_path / "training.pt")
    with pytest.raises(ValueError, match="seed 3, not 4"):
        Pretraining(4).read(tmp_path / "training.pt")

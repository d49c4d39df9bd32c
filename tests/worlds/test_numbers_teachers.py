"""Teachers of the numbers world: different strategies, different problems, right solutions, honest error rates."""

from itertools import combinations, islice
from random import Random

import pytest

from oger.verification import verify
from oger.worlds.numbers.classify import strategy_of
from oger.worlds.numbers.problems import Problem, draw_problems
from oger.worlds.numbers.strategies import STRATEGIES, attempts
from oger.worlds.numbers.teachers import TEACHERS, solve, solve_with_slip, trajectory
from oger.worlds.numbers.world import NumbersWorld


def problems(split: str = "validation", limit: int = 200) -> list[Problem]:
    return list(islice(draw_problems(split, 0), limit))


@pytest.mark.parametrize(
    ("strategy", "problem", "steps"),
    [
        ("products", Problem((3, 7, 2, 5), 24), ("3*7=21", "24-21=3", "5-2=3")),
        ("products", Problem((3, 7, 2, 5), 24), ("3*5=15", "24-15=9", "7+2=9")),
        ("pairs", Problem((8, 4, 5, 1), 24), ("5+1=6", "24/6=4", "8-4=4")),
        ("pairs", Problem((8, 4, 5, 1), 24), ("8-4=4", "24/4=6", "5+1=6")),
        ("backward", Problem((9, 2, 5, 3), 33), ("33/3=11", "11-2=9", "no")),
        ("backward", Problem((8, 2, 5, 3), 33), ("33/3=11", "11+2=13", "8+5=13")),
    ],
)
def test_a_strategy_knows_the_attempts_of_the_worked_examples(
    strategy: str, problem: Problem, steps: tuple[str, ...]
) -> None:
    assert steps in {attempt.steps for attempt in attempts(strategy, problem.numbers, problem.target)}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_solution_is_right_and_in_the_strategy_of_its_teacher(strategy: str) -> None:
    rng = Random(0)
    for problem in [*problems(), *problems("ood_more", 30), *problems("hard_validation", 50)]:
        for attempt in attempts(strategy, problem.numbers, problem.target):
            if attempt.solution:
                assert attempt.solution.true_value == problem.target
                assert sorted(attempt.solution.numbers) == sorted(problem.numbers)
        text = solve(strategy, problem, rng)
        if text is not None:
            assert strategy_of(text, problem.numbers, problem.target) == strategy, (problem, text)


def test_steps_are_true_equations() -> None:
    for problem in problems(limit=20):
        for strategy in STRATEGIES:
            for attempt in attempts(strategy, problem.numbers, problem.target):
                for step in attempt.steps:
                    if step != "no":
                        left, right = step.split("=")
                        assert eval(left) == int(right)


def test_each_strategy_solves_another_subset() -> None:
    solved = {
        strategy: {p for p in problems() if any(a.solution for a in attempts(strategy, p.numbers, p.target))}
        for strategy in STRATEGIES
    }
    union = set.union(*solved.values())
    assert 0.6 <= len(union) / 200 <= 0.95
    for strategy, found in solved.items():
        others = set.union(*(solved[other] for other in solved if other != strategy))
        assert len(found) >= 0.25 * len(union)
        assert len(found - others) >= 0.08 * len(union), strategy
    for left, right in combinations(solved.values(), 2):
        assert len(left & right) <= 0.6 * len(left | right)


def test_a_solution_may_follow_failed_attempts_which_all_end_in_no() -> None:
    texts = [text for p in problems() for s in STRATEGIES if (text := solve(s, p, Random(f"{s}{p}")))]
    failed = [text.split().count("no") for text in texts]
    assert max(failed) == 3
    assert 0.4 <= sum(count == 0 for count in failed) / len(failed) <= 0.65


def test_a_teacher_always_writes_the_same_about_a_problem() -> None:
    for problem in problems(limit=20):
        for teacher in TEACHERS:
            assert trajectory(teacher, problem) == trajectory(teacher, problem)


def test_a_slip_makes_the_boxed_expression_wrong_and_looks_right() -> None:
    rng = Random(0)
    texts = [(p, text) for p in problems(limit=60) for s in STRATEGIES if (text := solve_with_slip(s, p, rng))]
    assert len(texts) >= 60
    for problem, text in texts:
        assert strategy_of(text, problem.numbers, problem.target) is None
        assert "\\boxed{" in text


def test_error_rates_are_near_one_five_and_eighteen_percent() -> None:
    wrong = {teacher.name: 0 for teacher in TEACHERS}
    written = dict(wrong)
    for problem in problems("train", 1200):
        for teacher in TEACHERS:
            text = trajectory(teacher, problem)
            if text is not None:
                written[teacher.name] += 1
                wrong[teacher.name] += strategy_of(text, problem.numbers, problem.target) is None
    for teacher in TEACHERS:
        assert wrong[teacher.name] / written[teacher.name] == pytest.approx(teacher.error_rate, rel=0.4, abs=0.015)


@pytest.mark.parametrize("split", ["train", "validation", "ood", "hard_validation", "hard_ood"])
def test_reasoning_gym_agrees_with_the_rules_about_every_trajectory(split: str) -> None:
    for row in NumbersWorld().raw_trajectories(split, limit=60):
        numbers, target = row["prompt"].strip().split(":")
        for item in row["teachers"]:
            verdict = verify(row["answer"], item["text"], kind=row["kind"], metadata=row["metadata"])
            right = strategy_of(item["text"], [int(n) for n in numbers.split(",")], int(target)) is not None
            assert (verdict.status == "correct") == right, item["text"]

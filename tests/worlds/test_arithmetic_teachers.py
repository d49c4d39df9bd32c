"""Teachers: different ways of reasoning, checked answers, honest error rates."""

import json
import re
from collections import Counter
from itertools import combinations
from random import Random

import pytest

from oger.verification import verify
from oger.worlds import load_world
from oger.worlds.arithmetic.families import FAMILIES
from oger.worlds.arithmetic.pen import Pen
from oger.worlds.arithmetic.problems import SOURCES, draw_split
from oger.worlds.arithmetic.teachers import TEACHERS, solve, solve_with_slip
from oger.worlds.arithmetic.world import ArithmeticWorld

EXAMPLES = {
    "chain_sum": (
        (3, -5, 8, 4),
        "3-5=-2 -2+8=6 6+4=10 \\boxed{10}",
        "+:3+8+4=15 -:5=5 15-5=10 \\boxed{10}",
        "3-5=-2 8+4=12 -2+12=10 \\boxed{10}",
    ),
    "products": (
        (7, 8, 9, 2),
        "7*8=56 56*9=504 504*2=1008 \\boxed{1008}",
        "7*8=56 9*2=18 56*10=560 56*8=448 560+448=1008 \\boxed{1008}",
        "2^4 3^2 7^1 16*9=144 144*7=1008 \\boxed{1008}",
    ),
    "base_conversion": (
        (39, 4, 7),
        "2,9,39 5r4,0r5 \\boxed{54}",
        "32+4+3=39 39=5*7+4 \\boxed{54}",
        "3,7,39 39-35=4-4=0 \\boxed{54}",
    ),
    "gcd": (
        (48, 36),
        "48%36=12 36%12=0 \\boxed{12}",
        "48=2*2*2*2*3 36=2*2*3*3 2*2*3=12 \\boxed{12}",
        "36:36,18,12 48/12=4 \\boxed{12}",
    ),
    "lcm": (
        (12, 18),
        "18%12=6 12%6=0 12/6=2 2*18=36 \\boxed{36}",
        "12=2*2*3 18=2*3*3 2*2*3*3=36 \\boxed{36}",
        "12:18=6:9=2:3 12*3=36 \\boxed{36}",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_style_writes_the_worked_example(name: str) -> None:
    problem, *texts = EXAMPLES[name]
    assert [solve(FAMILIES[name], problem, style).text for style in range(3)] == texts


def test_every_family_has_a_worked_example() -> None:
    assert set(EXAMPLES) == set(FAMILIES)


def test_a_faultless_solution_is_correct_in_every_style_and_split() -> None:
    for split in SOURCES:
        for draw in draw_split(split, 0):
            for style in range(len(TEACHERS)):
                assert solve(draw.family, draw.problem, style).answer == draw.entry["answer"], (draw.prompt, style)


@pytest.mark.parametrize("split", ArithmeticWorld.splits)
def test_every_teacher_trajectory_of_a_row_verifies(split: str) -> None:
    for row in load_world("arithmetic").rows(split, limit=400):
        for trajectory in row["teachers"]:
            assert trajectory["verdict"] == "correct"
            assert re.search(r"\\boxed\{[^{}]+\}$", trajectory["text"])
            verdict = verify(row["answer"], trajectory["text"], kind=row["kind"], metadata=row["metadata"])
            assert verdict.status == "correct"


def test_error_rates_are_near_one_five_and_eighteen_percent_in_every_family() -> None:
    rows = load_world("arithmetic").rows("train")
    kept = {(index, t["teacher"]) for index, row in enumerate(rows) for t in row["teachers"]}
    wrong = Counter(
        (row["family"], teacher.name)
        for index, row in enumerate(rows)
        for teacher in TEACHERS
        if (index, teacher.name) not in kept
    )
    problems = Counter(row["family"] for row in rows)
    for teacher in TEACHERS:
        total = sum(wrong[family, teacher.name] for family in problems)
        assert total / len(rows) == pytest.approx(teacher.error_rate, rel=0.25, abs=0.004)
        for family, count in problems.items():
            assert wrong[family, teacher.name] / count == pytest.approx(teacher.error_rate, rel=0.35, abs=0.01)


def test_curation_catches_the_wrong_trajectories_and_nothing_else() -> None:
    world = ArithmeticWorld()
    raw = world.raw_trajectories("validation")
    kept, report = world.curated("validation")
    for before, after in zip(raw, kept, strict=True):
        texts = [t["text"] for t in before["teachers"]]
        verdicts = [
            verify(before["answer"], text, kind=before["kind"], metadata=before["metadata"]).status for text in texts
        ]
        expected = [text for text, verdict in zip(texts, verdicts, strict=True) if verdict == "correct"]
        assert [t["text"] for t in after["teachers"]] == expected
        same = ("prompt", "answer", "kind", "family")
        assert {name: after[name] for name in same} == {name: before[name] for name in same}
        assert json.loads(after["metadata"]) == json.loads(before["metadata"])
    assert all(not {*teacher.dropped} - {"wrong"} for teacher in report.teachers.values())
    assert sum(teacher.dropped.get("wrong", 0) for teacher in report.teachers.values()) > 0


def test_no_two_teachers_write_the_same_solution() -> None:
    for split in ("train", "validation", "test", "hard_train", "hard_validation", "hard_test"):
        for draw in draw_split(split, 0):
            texts = [solve(draw.family, draw.problem, style).text for style in range(len(TEACHERS))]
            for left, right in combinations(texts, 2):
                assert left != right, draw.prompt


def test_a_slip_changes_one_step_and_is_carried_to_a_wrong_answer() -> None:
    for seed in range(20):
        slipped = solve_with_slip(FAMILIES["chain_sum"], (3, -5, 8, 4), 0, Random(seed))
        wrong_steps = [step for step in slipped.steps if eval(step.replace("=", "!="))]
        assert len(wrong_steps) == 1  # the steps after the slip start from the wrong total and are right themselves
        assert slipped.answer == slipped.steps[-1].split("=")[1] != "10"


@pytest.mark.parametrize("style", range(3))
@pytest.mark.parametrize("name", FAMILIES)
def test_every_style_can_slip(name: str, style: int) -> None:
    problem = EXAMPLES[name][0]
    pen = Pen()
    right = FAMILIES[name].styles[style](problem, pen)
    assert pen.num_written >= 1
    for seed in range(20):
        assert solve_with_slip(FAMILIES[name], problem, style, Random(seed)).answer != right.answer

"""The hard regime: nearly out of the shipped policy's reach, and beside the reachable splits, not instead of them."""

import json
from hashlib import sha256
from random import Random

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from oger.worlds import load_world
from oger.worlds.arithmetic.families import FAMILIES
from oger.worlds.arithmetic.problems import draw_split
from oger.worlds.arithmetic.teachers import TEACHERS, solve, solve_with_slip
from oger.worlds.arithmetic.world import ArithmeticWorld
from oger.worlds.measure import measure_pass_rates

# Of json.dumps(raw_trajectories(split)). Results that are stored or published refer to these very rows.
REACHABLE_ROWS = {
    "train": "389b722b7aea64c7976b944217d9b0a991de0146e6c65b741aafe669a4b36893",
    "validation": "ac73a42289a8eef6777f79ecd0815a998ced8c812bce7ddf5145b2aea8b0c98c",
    "test": "e18d12096aaddc656baf5b8513340f0ae6cc60fdbe45de95bd8fb72a6a8b6e26",
    "ood": "6ead7f68f09461ef871fec9f137ad71fad497a153d286d4b129e89a3e047754d",
}
HARD_SIZES = {"hard_train": 1830, "hard_validation": 200, "hard_test": 400, "hard_ood": 400}


@pytest.mark.parametrize("split", REACHABLE_ROWS)
def test_the_reachable_rows_are_what_they_always_were(split: str) -> None:
    rows = load_world("arithmetic").raw_trajectories(split)
    assert sha256(json.dumps(rows).encode()).hexdigest() == REACHABLE_ROWS[split]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("split", HARD_SIZES)
def test_no_seed_runs_out_of_hard_problems(split: str, seed: int) -> None:
    assert len(draw_split(split, seed)) == HARD_SIZES[split]


def test_hard_rows_depend_on_the_seed_and_on_nothing_else() -> None:
    prompts = [[draw.prompt for draw in draw_split("hard_validation", seed)] for seed in (3, 3, 4)]
    assert prompts[0] == prompts[1]
    assert prompts[0] != prompts[2]


@pytest.mark.parametrize("split", ["hard_test", "hard_ood"])
def test_curation_drops_hard_trajectories_for_being_wrong_and_for_nothing_else(split: str) -> None:
    rows, report = ArithmeticWorld().curated(split)
    assert len(rows) == HARD_SIZES[split]
    assert all(row["teachers"] for row in rows)
    for teacher in TEACHERS:
        dropped = report.teachers[teacher.name].dropped
        assert set(dropped) <= {"wrong"}
        assert dropped.get("wrong", 0) / len(rows) == pytest.approx(teacher.error_rate, rel=0.35, abs=0.02)


def test_the_shipped_policy_solves_few_hard_problems() -> None:
    world = load_world("arithmetic")
    folder = world.base_policy()
    rates = measure_pass_rates(
        AutoModelForCausalLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        world.rows("hard_test", limit=120),
        num_samples=8,
        max_new_tokens=world.max_completion_length,
        seed=7,
    )
    assert set(rates.pass_at_k) == {"all", "chain_sum", "products", "base_conversion", "gcd"}
    assert 0.05 <= rates.pass_at_k["all"] <= 0.3
    assert 0.01 <= rates.pass_at_1["all"] <= 0.06


def test_a_teacher_that_no_slip_can_mislead_is_right() -> None:
    family, problem = FAMILIES["gcd"], (7, 29, 33)  # whatever the remainders are misread as, they end in 1
    assert solve_with_slip(family, problem, 0, Random(0)) == solve(family, problem, 0)

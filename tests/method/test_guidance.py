"""How much of a teacher trajectory is given, and baselines of guided and unguided rows."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oger.method.advantage import group_advantage
from oger.method.guidance import LENGTHS, MAX_LEVEL, Visit, given_share, next_level


@given(
    st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.integers(1, MAX_LEVEL), st.sampled_from(sorted(LENGTHS)),
    st.floats(0.01, 0.99), st.floats(0.01, 0.99),
)  # fmt: skip
def test_the_share_stays_within_its_bounds(
    drawn: float, progress: float, level: int, length: str, one: float, other: float
) -> None:
    shortest, longest = sorted((one, other))
    visit = Visit(drawn=drawn, progress=progress, level=level)
    share = given_share(visit, length=length, shortest=shortest, longest=longest)
    assert shortest - 1e-12 <= share <= longest + 1e-12


def test_each_length_follows_its_own_quantity() -> None:
    def share(length: str, **of_visit: float) -> float:
        visit = Visit(**{"drawn": 0.25, "progress": 0.25, "level": 3, **of_visit})  # type: ignore[arg-type]
        return given_share(visit, length=length, shortest=0.2, longest=0.8)

    assert share("uniform", drawn=0.5, progress=0.9, level=8) == pytest.approx(0.5)
    assert share("long_to_short", progress=0.5) == pytest.approx(0.5)
    assert share("long_to_short", progress=1 / 3) == pytest.approx(0.2 + 0.6 * 0.75)
    assert share("long_to_any", drawn=0.9, progress=0.0) == pytest.approx(0.8), "the longest alone"
    assert share("long_to_any", drawn=0.25, progress=1 / 3) == pytest.approx(0.8 - 0.25 * 0.6 * 0.25)
    assert share("long_to_any", drawn=0.25, progress=1.0) == pytest.approx(0.8 - 0.25 * 0.6), "any share"
    assert [share("shortest_that_helps", level=level) for level in (1, 8)] == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize(("shortest", "longest"), [(0.0, 0.5), (0.6, 0.5), (0.5, 1.0), (math.nan, 0.5)])
def test_bounds_outside_what_makes_sense_are_refused(shortest: float, longest: float) -> None:
    with pytest.raises(ValueError, match="0 < shortest <= longest < 1"):
        given_share(Visit(drawn=0, progress=0, level=1), length="uniform", shortest=shortest, longest=longest)


def test_guidance_grows_until_it_helps_and_goes_when_nothing_is_needed() -> None:
    level = 0
    for expected in range(1, MAX_LEVEL + 1):
        level = next_level(level, solved_alone=False, solved=False)
        assert level == expected
    assert next_level(level, solved_alone=False, solved=False) == MAX_LEVEL
    assert next_level(level, solved_alone=False, solved=True) == MAX_LEVEL - 1
    assert next_level(level, solved_alone=True, solved=True) == 0
    assert next_level(0, solved_alone=False, solved=True) == 0


@pytest.mark.parametrize("scale", ["none", "std", "batch"])
def test_parts_of_a_group_have_baselines_of_their_own(scale: str) -> None:
    reward_NG = torch.tensor([[1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, math.nan, 1.0, 0.0]])
    part_NG = torch.tensor([[True, True, False, False, False], [False] * 5])
    whole = group_advantage(reward_NG, scale=scale, part_G=part_NG)
    batch = reward_NG if scale == "batch" else None
    assert torch.equal(whole[0, :2], group_advantage(reward_NG[0, :2], scale=scale, batch_reward=batch))
    assert torch.equal(whole[0, 2:], group_advantage(reward_NG[0, 2:], scale=scale, batch_reward=batch))
    assert torch.equal(whole[1], group_advantage(reward_NG[1], scale=scale, batch_reward=batch))
    assert not torch.equal(whole[0], group_advantage(reward_NG, scale=scale)[0])

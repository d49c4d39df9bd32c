import pytest

from oger.method.advantage import ADVANTAGE_SCALES
from oger.method.aggregation import AGGREGATIONS_OF_LOSS
from oger.method.confidence import REDUCTIONS
from oger.method.divergence import AGGREGATIONS, SCALES
from oger.method.hybrid_group import CHOICES, STRATEGIES
from oger.method.schedule import SCHEDULES
from oger.method.shaping import SHAPINGS
from oger.method.undecided import UNDECIDED
from oger.words import choose


def test_known_option_is_looked_up():
    assert choose({"mean": 1, "max": 2}, "mean", "aggregation") == 1


def test_unknown_option_names_the_kind_the_nearest_and_all_valid_ones():
    with pytest.raises(ValueError, match=r"unknown shaping 'sqrtp'; did you mean 'sqrt_p'\?") as error:
        choose(SHAPINGS, "sqrtp", "shaping")
    assert all(name in str(error.value) for name in SHAPINGS)


@pytest.mark.parametrize("name", [None, 3, ["mean"], "", "zzzzzz"])
def test_anything_else_is_refused_with_the_same_kind_of_message(name):
    with pytest.raises(ValueError, match=r"unknown aggregation .*[.?] Valid: mean, max"):
        choose({"mean": 1, "max": 2}, name, "aggregation")


def test_tables_hold_the_documented_options():
    assert list(AGGREGATIONS) == ["mean", "max", "min"]
    assert list(SCALES) == ["one_minus_cosine", "half", "group_minmax", "group_z", "whitened"]
    assert list(REDUCTIONS) == ["last_token", "mean", "last_k", "answer_span", "none"]
    assert list(STRATEGIES) == ["argmin_divergence", "argmin_wrong_first", "random", "fixed_slot", "all_failed"]
    assert list(CHOICES) == ["uniform", "round_robin", "shortest", "most_comprehensible"]
    assert list(SCHEDULES) == ["constant", "linear", "cosine"]
    assert list(UNDECIDED) == ["zero", "drop"]
    assert list(ADVANTAGE_SCALES) == ["none", "std", "batch"]
    assert list(SHAPINGS) == ["p_over_p_plus_gamma", "p", "sqrt_p"]
    assert list(AGGREGATIONS_OF_LOSS) == ["dr_grpo", "grpo", "dapo"]

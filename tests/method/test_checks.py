import pytest
import torch
from hypothesis import given as given_values
from hypothesis import strategies as st

from oger.method.checks import all_finite, at_least_float32, require_finite, require_group, require_rank, require_shape


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bool, torch.float32),
        (torch.int64, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_narrow_types_are_widened_and_wide_ones_kept(given, expected):
    assert at_least_float32(torch.ones(2, dtype=given)).dtype == expected


def test_good_arguments_pass():
    require_rank("x", torch.zeros(2, 3), 2)
    require_shape("x", torch.zeros(2, 3), (2, 3))
    require_group("x", torch.zeros(2, 3))
    require_finite("x", torch.zeros(0))


@pytest.mark.parametrize(
    "refused",
    [
        lambda: require_rank("the_name", torch.zeros(2), 2),
        lambda: require_shape("the_name", torch.zeros(2), (3,)),
        lambda: require_group("the_name", torch.tensor(1.0)),
        lambda: require_group("the_name", torch.zeros(3, 0)),
        lambda: require_finite("the_name", torch.tensor([1.0, float("-inf")])),
    ],
)
def test_bad_arguments_are_refused_by_name(refused):
    with pytest.raises(ValueError, match="the_name"):
        refused()


@given_values(
    st.lists(st.floats(width=32), max_size=6),
    st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
)
def test_all_finite_is_what_a_mask_says_also_where_the_sum_overflows(values, dtype):
    tensor = torch.tensor(values, dtype=torch.float64).to(dtype)
    assert all_finite(tensor) == bool(tensor.isfinite().all())
    assert all_finite(tensor.expand(2, -1)) == all_finite(tensor)


def test_all_finite_of_kinds_that_are_always_so():
    assert all_finite(torch.tensor([True, False]))
    assert all_finite(torch.arange(3))
    assert all_finite(torch.full((4,), torch.finfo(torch.float32).max))
    assert not all_finite(torch.tensor([torch.inf, -torch.inf, torch.nan]))

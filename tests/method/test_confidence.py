import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oger.method.confidence import REDUCTIONS, confidence, reduce_entropy

NAN, INF = float("nan"), float("inf")


def naive_reduction(entropy, mask, span, reduction, k):
    """The definition, row by row."""
    results = []
    for values, keeps, answers in zip(entropy.tolist(), mask.tolist(), span.tolist(), strict=True):
        kept = [value for value, keep in zip(values, keeps, strict=True) if keep]
        answer = [value for value, keep, inside in zip(values, keeps, answers, strict=True) if keep and inside]
        chosen = {
            "last_token": kept[-1:],
            "mean": kept,
            "last_k": kept[-k:],
            "answer_span": answer or kept,
            "none": [],
        }[reduction]
        results.append(sum(chosen) / len(chosen) if chosen else 0.0)
    return torch.tensor(results, dtype=torch.float64)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@given(seed=st.integers(0, 2**31), rows=st.integers(0, 4), width=st.integers(0, 7), k=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_every_reduction_equals_its_definition_whatever_lies_outside_the_mask(reduction, seed, rows, width, k):
    generator = torch.Generator().manual_seed(seed)
    entropy = torch.rand(rows, width, generator=generator, dtype=torch.float64) * 3
    mask = torch.rand(rows, width, generator=generator) < 0.6  # not contiguous; now and then a row without a token
    span = torch.rand(rows, width, generator=generator) < 0.3
    rubbish = torch.tensor([NAN, INF, -INF, 1e30], dtype=torch.float64)
    filled = torch.where(mask, entropy, rubbish[torch.randint(0, 4, (rows, width), generator=generator)])
    result = reduce_entropy(filled, mask.long(), reduction=reduction, k=k, span_BT=span)
    torch.testing.assert_close(result, naive_reduction(entropy, mask, span, reduction, k), rtol=0, atol=1e-12)


def test_last_token_is_the_last_one_under_the_mask_bit_for_bit():
    entropy = torch.tensor([[0.1, 0.2, 0.3, NAN], [0.7, NAN, NAN, NAN]])
    mask = torch.tensor([[True, False, True, False], [True, False, False, False]])
    assert torch.equal(reduce_entropy(entropy, mask), torch.tensor([0.3, 0.7]))


def test_row_without_a_token_gives_zero():
    for reduction in REDUCTIONS:
        result = reduce_entropy(
            torch.full((1, 3), NAN), torch.zeros(1, 3), reduction=reduction, span_BT=torch.ones(1, 3)
        )
        assert result.tolist() == [0.0], reduction


def test_none_gives_confidence_one():
    entropy = reduce_entropy(torch.full((2, 3), 5.0), torch.ones(2, 3), reduction="none")
    assert confidence(entropy).tolist() == [1.0, 1.0]


def test_infinite_entropy_under_the_mask_gives_confidence_zero():
    entropy = reduce_entropy(torch.tensor([[0.5, INF]]), torch.ones(1, 2), reduction="mean")
    assert confidence(entropy).tolist() == [0.0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nan_under_the_mask_is_refused(reduction):
    with pytest.raises(ValueError, match="NaN under the mask"):
        reduce_entropy(torch.tensor([[NAN, 1.0]]), torch.ones(1, 2), reduction=reduction, span_BT=torch.ones(1, 2))


def test_bad_arguments_are_refused():
    entropy, mask = torch.ones(2, 3), torch.ones(2, 3)
    with pytest.raises(ValueError, match="did you mean 'last_token'"):
        reduce_entropy(entropy, mask, reduction="last_tokens")
    with pytest.raises(ValueError, match="needs span_BT"):
        reduce_entropy(entropy, mask, reduction="answer_span")
    with pytest.raises(ValueError, match="span_BT must have shape"):
        reduce_entropy(entropy, mask, reduction="answer_span", span_BT=torch.ones(2, 4))
    with pytest.raises(ValueError, match="mask_BT must have shape"):
        reduce_entropy(entropy, torch.ones(2, 4))
    with pytest.raises(ValueError, match="entropy_BT must have 2"):
        reduce_entropy(torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match="k must be at least 1"):
        reduce_entropy(entropy, mask, reduction="last_k", k=0)


@given(entropy=st.floats(0, 50), scale=st.floats(0, 10))
def test_confidence_is_the_exponential_and_lies_in_bounds(entropy, scale):
    result = confidence(torch.tensor([entropy], dtype=torch.float64), scale=scale).item()
    assert result == pytest.approx(math.exp(-scale * entropy), rel=1e-12)
    assert 0 <= result <= 1


def test_rounding_below_zero_counts_as_certain():
    assert confidence(torch.tensor([-1e-4, -1e-7, 0.0])).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_infinite_entropy_is_no_confidence_at_any_scale(scale):
    assert confidence(torch.tensor([INF]), scale=scale).tolist() == [0.0]


def test_confidence_keeps_the_shape():
    assert confidence(torch.zeros(2, 3, 4)).shape == (2, 3, 4)


@pytest.mark.parametrize("entropy", [NAN, -2e-4, -INF])
def test_nan_and_negative_entropies_are_refused(entropy):
    with pytest.raises(ValueError, match="NaN or a negative"):
        confidence(torch.tensor([0.5, entropy]))


@pytest.mark.parametrize("scale", [NAN, INF, -0.1])
def test_bad_scale_is_refused(scale):
    with pytest.raises(ValueError, match="scale must be"):
        confidence(torch.tensor([0.5]), scale=scale)

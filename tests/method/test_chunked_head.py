"""Chunked log-probabilities and entropies: equal to those of all logits at once, forward and backward, and small."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from oger.method import chunked_head
from oger.method.chunked_head import chunked_log_probs

TEMPERATURE = 0.7
FLOAT64, FLOAT32 = (torch.float64, 1e-9), (torch.float32, 1e-5)


@pytest.fixture(params=["tiles", "at once"])
def both_ways(request, monkeypatch):
    """Several chunks of tokens and several tiles of each, the last ones smaller; and all in one."""
    if request.param == "tiles":
        monkeypatch.setattr(chunked_head, "_TOKENS", 8)
        monkeypatch.setattr(chunked_head, "_NUMBERS", 8 * 30)


def make_inputs(num_tokens, vocabulary, dtype=torch.float64, hidden=6, spread=1.0):
    torch.manual_seed(0)
    hidden_ND = (spread * torch.randn(num_tokens, hidden, dtype=torch.float64)).to(dtype).requires_grad_()
    weight_VD = torch.randn(vocabulary, hidden, dtype=torch.float64).to(dtype).requires_grad_()
    return hidden_ND, weight_VD, torch.randint(vocabulary, (num_tokens,))


def at_once(hidden_ND, weight_VD, targets_N):
    logps_NV = (hidden_ND @ weight_VD.T / TEMPERATURE).log_softmax(-1)
    return logps_NV.gather(1, targets_N[:, None]).squeeze(1), -(logps_NV.exp() * logps_NV).sum(-1)


def gradients(inputs, logp_N, entropy_N, weights):
    place_N = torch.linspace(-1, 1, len(logp_N), dtype=logp_N.dtype)
    of_logps, of_entropies = weights
    loss = 0.0
    if of_logps:
        loss = loss + of_logps * (place_N * logp_N).sum()
    if of_entropies:
        loss = loss + of_entropies * (place_N.flip(0) * entropy_N).sum()
    return torch.autograd.grad(loss, inputs[:2])


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 0.3)], ids=["log-probs", "entropies", "both"])
@pytest.mark.parametrize(("dtype", "tolerance"), [FLOAT64, FLOAT32], ids=["float64", "float32"])
@pytest.mark.usefixtures("both_ways")
def test_values_and_gradients_equal_those_of_all_logits(dtype, tolerance, weights):
    inputs = make_inputs(21, 97, dtype)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs[:2]]
    expected, found = at_once(*exact, inputs[2]), chunked_log_probs(*inputs, temperature=TEMPERATURE)
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == dtype
        torch.testing.assert_close(other.double(), one, rtol=tolerance, atol=tolerance)
    wanted, got = gradients(exact, *expected, weights), gradients(inputs, *found, weights)
    for one, other in zip(wanted, got, strict=True):
        assert one.abs().max() > 0.1
        torch.testing.assert_close(other.double(), one, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("both_ways")
def test_logits_far_apart_neither_overflow_nor_vanish():
    inputs = make_inputs(21, 97, torch.float32, spread=300.0)
    expected = at_once(*(tensor.double() for tensor in inputs[:2]), inputs[2])
    logp_N, entropy_N = chunked_log_probs(*inputs, temperature=TEMPERATURE)
    assert expected[0].min() < -1000
    torch.testing.assert_close(logp_N.double(), expected[0], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(entropy_N.double(), expected[1], rtol=1e-5, atol=1e-3)
    assert all(gradient.isfinite().all() for gradient in gradients(inputs, logp_N, entropy_N, (1.0, 1.0)))


@pytest.mark.usefixtures("both_ways")
def test_a_sure_token_has_log_probability_0_and_not_more():
    weight_VD = torch.zeros(97, 1)
    weight_VD[50] = 200.0
    logp_N, entropy_N = chunked_log_probs(torch.ones(9, 1), weight_VD, torch.full((9,), 50))
    assert logp_N.tolist() == [0.0] * 9
    assert entropy_N.abs().max() < 1e-4


@pytest.mark.usefixtures("both_ways")
def test_what_needs_no_gradient_gets_none_and_the_rest_stays_the_same():
    inputs = make_inputs(5, 20)
    both = gradients(inputs, *chunked_log_probs(*inputs), (1.0, 0.3))
    frozen = inputs[1].detach()
    logp_N, entropy_N = chunked_log_probs(inputs[0], frozen, inputs[2])
    (hidden,) = torch.autograd.grad(
        (torch.linspace(-1, 1, 5, dtype=torch.float64) * (logp_N + 0.3 * entropy_N.flip(0))).sum(), inputs[:1]
    )
    assert not frozen.requires_grad
    assert both[0].shape == hidden.shape
    logp_N, entropy_N = chunked_log_probs(inputs[0].detach(), frozen, inputs[2])
    assert not logp_N.requires_grad
    assert not entropy_N.requires_grad
    for one, other in zip(chunked_log_probs(*inputs), (logp_N, entropy_N), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0)


@pytest.mark.usefixtures("both_ways")
def test_entropies_may_be_left_out():
    inputs = make_inputs(5, 20)
    logp_N, entropy_N = chunked_log_probs(*inputs, with_entropy=False)
    assert entropy_N is None
    torch.testing.assert_close(logp_N, chunked_log_probs(*inputs)[0], rtol=0, atol=0)
    assert gradients(inputs, logp_N, None, (1.0, 0.0))[0].abs().max() > 0.1


def test_no_tokens_give_a_gradient_of_zero():
    hidden_ND, weight_VD, _ = make_inputs(3, 20)
    logp_N, entropy_N = chunked_log_probs(hidden_ND[:0], weight_VD, torch.tensor([], dtype=torch.long))
    assert logp_N.shape == entropy_N.shape == (0,)
    for gradient in torch.autograd.grad(logp_N.sum() + entropy_N.sum(), (hidden_ND, weight_VD)):
        assert not gradient.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets_N": torch.tensor([0, 20])}, "from 0 to 19"),
        ({"targets_N": torch.tensor([0, -100])}, "from 0 to 19"),
        ({"targets_N": torch.tensor([0])}, "targets_N must have shape"),
        ({"weight_VD": torch.zeros(20, 7)}, "weight_VD must have shape"),
        ({"hidden_ND": torch.zeros(2, 1, 6)}, "hidden_ND must have 2 dimension"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    arguments = {"hidden_ND": torch.zeros(2, 6), "weight_VD": torch.zeros(20, 6), "targets_N": torch.tensor([0, 1])}
    with pytest.raises(ValueError, match=message):
        chunked_log_probs(**{**arguments, **change})


@pytest.mark.parametrize("gradient", [False, True])
def test_a_large_vocabulary_takes_a_fiftieth_of_its_logits(gradient):
    num_tokens, vocabulary = 64, 152_000
    hidden_ND, weight_VD, targets_N = make_inputs(num_tokens, vocabulary, torch.float32, hidden=2)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen, torch.set_grad_enabled(gradient):
        logp_N, entropy_N = chunked_log_probs(hidden_ND, weight_VD.detach(), targets_N)
        if gradient:
            (logp_N + entropy_N).sum().backward()
    live, peak = 0, 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    assert 0 < peak < 4 * num_tokens * vocabulary * 4 / 50  # logits, log-softmax, exponential, product; float32

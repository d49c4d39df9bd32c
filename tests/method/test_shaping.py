import math

import pytest
import torch

from oger.method.shaping import SHAPINGS

DEFINITION = {
    "p_over_p_plus_gamma": lambda p, gamma: p / (p + gamma),
    "p": lambda p, gamma: p,
    "sqrt_p": lambda p, gamma: math.sqrt(p),
}


@pytest.mark.parametrize("name", SHAPINGS)
@pytest.mark.parametrize("gamma", [0.1, 0.5])
def test_value_is_the_definition_and_weight_its_slope_in_log_p(name, gamma):
    logp = torch.linspace(-9, 0, 19, dtype=torch.float64, requires_grad=True)
    value = SHAPINGS[name].value(logp, gamma)
    expected = [DEFINITION[name](math.exp(x), gamma) for x in logp.tolist()]
    torch.testing.assert_close(value, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    (slope,) = torch.autograd.grad(value.sum(), logp)
    torch.testing.assert_close(SHAPINGS[name].weight(logp.detach(), gamma), slope, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", SHAPINGS)
@pytest.mark.parametrize("logp", [-200.0, -1000.0, -math.inf])
def test_impossible_token_has_no_value_and_a_finite_gradient(name, logp):
    logp = torch.tensor([logp], requires_grad=True)
    value = SHAPINGS[name].value(logp, 0.1)
    (slope,) = torch.autograd.grad(value.sum(), logp)
    assert value.item() == pytest.approx(0.0, abs=1e-40)
    assert slope.item() == pytest.approx(0.0, abs=1e-40)


def test_weight_peaks_at_gamma_with_one_quarter():
    p = torch.linspace(0.001, 1, 1000, dtype=torch.float64)
    weight = SHAPINGS["p_over_p_plus_gamma"].weight(p.log(), 0.1)
    assert p[weight.argmax()].item() == pytest.approx(0.1)
    assert weight.max().item() == pytest.approx(0.25)

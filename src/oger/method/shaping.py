"""Shaping of a teacher token's probability: what the policy gains by giving it more.

    f(p) = p / (p + gamma)        gradient weight  df/d(log p) = gamma p / (p + gamma)^2

The teacher's own probability is taken as 1, so p itself is the importance ratio; shaping it favours tokens that the
policy finds unlikely (the weight peaks at p = gamma, with 1/4). Source: LUFFY (arXiv 2504.14945), policy shaping,
which OGER (arXiv 2604.18530) inherits; `p` and `sqrt_p` are the alternatives in LUFFY's code.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Shaping(NamedTuple):
    """A shaping f as functions of (log p, gamma); gamma is unread where f has none."""

    value: Callable[[Tensor, float], Tensor]  # f(p)
    weight: Callable[[Tensor, float], Tensor]  # df/d(log p) = p f'(p)


def p_over_p_plus_gamma(logp: Tensor, gamma: float) -> Tensor:
    """p / (p + gamma).

    Args:
        logp: Log-probabilities, any shape.
        gamma: The p at which f is one half, above 0.

    Returns:
        f(p), same shape.

    >>> p_over_p_plus_gamma(torch.log(torch.tensor([0.1, 0.4])), 0.1)
    tensor([0.5000, 0.8000])
    """
    p = torch.exp(logp)
    return p / (p + gamma)


def weight_of_p_over_p_plus_gamma(logp: Tensor, gamma: float) -> Tensor:
    """gamma p / (p + gamma)^2.

    Args:
        logp: Log-probabilities, any shape.
        gamma: As in `p_over_p_plus_gamma`.

    Returns:
        Gradient weight of log p, same shape, in [0, 1/4].

    >>> weight_of_p_over_p_plus_gamma(torch.log(torch.tensor([0.1, 0.4])), 0.1)
    tensor([0.2500, 0.1600])
    """
    p = torch.exp(logp)
    return gamma * p / (p + gamma) ** 2


SHAPINGS: dict[str, Shaping] = {
    "p_over_p_plus_gamma": Shaping(p_over_p_plus_gamma, weight_of_p_over_p_plus_gamma),
    "p": Shaping(lambda logp, gamma: torch.exp(logp), lambda logp, gamma: torch.exp(logp)),
    # exp(log p / 2), not sqrt(p): the gradient stays finite where p underflows to 0.
    "sqrt_p": Shaping(lambda logp, gamma: torch.exp(logp / 2), lambda logp, gamma: torch.exp(logp / 2) / 2),
}

"""Log-probabilities and entropies of tokens from hidden states, without holding their logits.

With z = W h / temperature and Z = sum_v exp(z_v), a token t has log p(t) = z_t - log Z, and its place the entropy
H = log Z - sum_v p_v z_v. The sums run over tiles of the vocabulary under a running maximum (online softmax, Milakov
and Gimelshein, arXiv 1805.02867); the backward pass computes each tile anew, from two numbers per token that were kept.
A tile fits a processor's cache and is worked on in place, which saves time too. Where one tile would hold everything,
its logits are kept as in a plain softmax: what that takes is small, and tiles would only add operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from oger.method.checks import require_rank, require_shape

_TOKENS = 512
_NUMBERS = 2**18  # of a tile: 1 MiB in float32, what a core's own cache holds today


def chunked_log_probs(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, *, temperature: float = 1.0, with_entropy: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Log-probabilities of the targets and entropies of their places, (N,) each, in nats; differentiable once.

    Args:
        hidden_ND: Hidden states, float32 or float64; what is returned has the same type.
        weight_VD: The language model's head, same type.
        targets_N: Indices into the vocabulary.
        temperature: Divides the logits, above 0.
        with_entropy: Whether entropies are wanted; they are None otherwise.

    Raises:
        ValueError: Shapes do not fit each other, a target is no index into V, or the temperature is not above 0.

    >>> hidden_ND, weight_VD = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.0], [1.0]])  # logits (0, 1) and (0, 0)
    >>> logp_N, entropy_N = chunked_log_probs(hidden_ND, weight_VD, torch.tensor([1, 0]))
    >>> logp_N, entropy_N  # -log(1 + 1/e) and -log 2; log(1 + e) - e / (1 + e) and log 2
    (tensor([-0.3133, -0.6931]), tensor([0.5822, 0.6931]))
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    require_rank("hidden_ND", hidden_ND, 2)
    require_shape("targets_N", targets_N, hidden_ND.shape[:1])
    require_shape("weight_VD", weight_VD, (len(weight_VD), hidden_ND.size(1)))
    if len(targets_N):
        least, most = targets_N.aminmax()
        if least < 0 or most >= len(weight_VD):
            raise ValueError(f"targets_N must be from 0 to {len(weight_VD) - 1}, the vocabulary's indices")
    compute = _at_once if len(hidden_ND) * len(weight_VD) <= _NUMBERS else _ChunkedLogProbs.apply
    return compute(hidden_ND / temperature, weight_VD, targets_N, with_entropy)


def _at_once(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, with_entropy: bool
) -> tuple[Tensor, Tensor | None]:
    logps_NV = torch.mm(hidden_ND, weight_VD.T).log_softmax(dim=1)
    logp_N = logps_NV.gather(1, targets_N[:, None]).squeeze(1)
    if not with_entropy:
        return logp_N, None
    p_NV = logps_NV.exp()  # which a backward pass would need as it is
    weighted_NV = p_NV * logps_NV if p_NV.requires_grad else p_NV.mul_(logps_NV)
    return logp_N, -weighted_NV.sum(dim=1)


class _ChunkedLogProbs(torch.autograd.Function):
    """By token: d log p(t) / dz_v = 1[v = t] - p_v, and dH / dz_v = -p_v (log p_v + H)."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, with_entropy: bool
    ) -> tuple[Tensor, Tensor | None]:
        ctx.set_materialize_grads(False)
        target_z_N, log_z_N, mean_z_N = hidden_ND.new_zeros(3, len(hidden_ND))
        for chunk in _token_chunks(hidden_ND):
            top_C1 = hidden_ND.new_full((len(hidden_ND[chunk]), 1), -torch.inf)
            sum_C1, weighted_C1 = torch.zeros_like(top_C1), torch.zeros_like(top_C1)
            for _, z_CK, p_CK, rows, own in _tiles(hidden_ND[chunk], weight_VD, targets_N[chunk]):
                target_z_N[chunk][rows] = z_CK[rows, own]
                tile_top_C1 = z_CK.amax(dim=1, keepdim=True)
                new_top_C1 = torch.maximum(top_C1, tile_top_C1)
                # Within the tile p = exp(z - top) / sum: one fused operation, and its maximum is 1 / sum.
                torch.softmax(z_CK, dim=1, out=p_CK)
                tile_sum_C1 = (tile_top_C1 - new_top_C1).exp_().div_(p_CK.amax(dim=1, keepdim=True))
                shrink_C1 = (top_C1 - new_top_C1).exp_()
                sum_C1.mul_(shrink_C1).add_(tile_sum_C1)
                if with_entropy:
                    weighted_C1.mul_(shrink_C1).addcmul_(tile_sum_C1, p_CK.mul_(z_CK).sum(dim=1, keepdim=True))
                top_C1 = new_top_C1
            log_z_N[chunk] = (top_C1 + sum_C1.log()).squeeze(1)
            mean_z_N[chunk] = (weighted_C1 / sum_C1).squeeze(1)
        entropy_N = log_z_N - mean_z_N if with_entropy else None
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, log_z_N, entropy_N)
        return target_z_N - log_z_N, entropy_N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logp_N: Tensor | None, grad_entropy_N: Tensor | None) -> tuple[Tensor | None, ...]:
        hidden_ND, weight_VD, targets_N, log_z_N, entropy_N = ctx.saved_tensors
        grad_hidden_ND = torch.zeros_like(hidden_ND) if ctx.needs_input_grad[0] else None
        grad_weight_VD = torch.zeros_like(weight_VD) if ctx.needs_input_grad[1] else None
        at_target_N = torch.zeros_like(log_z_N) if grad_logp_N is None else grad_logp_N
        factor_N = -at_target_N if grad_entropy_N is None else -at_target_N - grad_entropy_N * entropy_N
        for chunk in _token_chunks(hidden_ND):
            for columns, grad_CK, p_CK, rows, own in _tiles(hidden_ND[chunk], weight_VD, targets_N[chunk]):
                grad_CK.sub_(log_z_N[chunk, None])
                if grad_entropy_N is None:
                    grad_CK.exp_().mul_(factor_N[chunk, None])
                else:
                    torch.exp(grad_CK, out=p_CK)
                    grad_CK.mul_(-grad_entropy_N[chunk, None]).add_(factor_N[chunk, None]).mul_(p_CK)
                grad_CK[rows, own] += at_target_N[chunk][rows]
                if grad_hidden_ND is not None:
                    grad_hidden_ND[chunk].addmm_(grad_CK, weight_VD[columns])
                if grad_weight_VD is not None:
                    grad_weight_VD[columns].addmm_(grad_CK.T, hidden_ND[chunk])
        return grad_hidden_ND, grad_weight_VD, None, None


def _token_chunks(hidden_ND: Tensor) -> Iterator[slice]:
    for start in range(0, len(hidden_ND), _TOKENS):
        yield slice(start, start + _TOKENS)


def _tiles(
    hidden_CD: Tensor, weight_VD: Tensor, targets_C: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor, Tensor]]:
    """Of each tile: its columns of the vocabulary, its logits (C, K) to be worked on in place, room for as many
    numbers, and the rows whose target lies in it with the target's place there.
    """
    num_tokens, vocabulary = len(hidden_CD), len(weight_VD)
    width = min(_NUMBERS // num_tokens, vocabulary)
    room_2S = hidden_CD.new_empty(2, num_tokens * width)
    starts = torch.arange(0, vocabulary, width, device=targets_C.device)
    sorted_C, order_C = targets_C.sort()
    by_tile = order_C.tensor_split(torch.searchsorted(sorted_C, starts[1:]).cpu())
    for start, rows in zip(range(0, vocabulary, width), by_tile, strict=True):
        columns = slice(start, min(start + width, vocabulary))
        size = columns.stop - start
        logits_CK, room_CK = room_2S[:, : num_tokens * size].view(2, num_tokens, size)
        torch.mm(hidden_CD, weight_VD[columns].T, out=logits_CK)
        yield columns, logits_CK, room_CK, rows, targets_C[rows] - start

"""Divergence of a rollout from the teachers of its prompt: 1 minus its cosine to them, clipped to [0, 1].

    s_ij = cos(Enc(rollout_i), Enc(teacher_j))    sim_i = mean_j s_ij    D_i = clip(1 - sim_i, 0, 1)

Source: OGER (arXiv 2604.18530), divergence from the offline trajectories; the clip and the other aggregations and
scales are this project's options.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oger.method.checks import at_least_float32, require_finite, require_rank, require_shape
from oger.words import choose

# Cosines of equal texts differ by float32 rounding (about 1e-7); a group scale must not stretch that noise to [0, 1].
_MIN_SPREAD = 1e-6

AGGREGATIONS: dict[str, Callable[[Tensor], Tensor]] = {  # (G, M) cosines -> (G,) similarity
    "mean": lambda cosine_GM: cosine_GM.mean(dim=1),
    "max": lambda cosine_GM: cosine_GM.amax(dim=1),  # the nearest teacher counts
    "min": lambda cosine_GM: cosine_GM.amin(dim=1),  # the farthest teacher counts
}


def _group_minmax(similarity_G: Tensor) -> Tensor:
    """Most teacher-like row of the group 0, least teacher-like 1; all 0 where the rows do not differ."""
    low, high = similarity_G.amin(), similarity_G.amax()
    if high - low <= _MIN_SPREAD:
        return torch.zeros_like(similarity_G)
    return (high - similarity_G) / (high - low)


def _group_z(similarity_G: Tensor) -> Tensor:
    """Normal distribution function of the standardised distance: every row keeps its place. All 0 without spread."""
    if similarity_G.amax() - similarity_G.amin() <= _MIN_SPREAD:
        return torch.zeros_like(similarity_G)
    return torch.special.ndtr((similarity_G.mean() - similarity_G) / similarity_G.std())


@dataclass(frozen=True)
class Scale:
    """From similarity to divergence, clipped to [0, 1] afterwards."""

    to_divergence: Callable[[Tensor], Tensor]  # (G,) similarity -> (G,)
    centred: bool = False
    """Whether the mean of the prompt's unit vectors, rollouts and teachers, is subtracted before the cosine."""


SCALES: dict[str, Scale] = {
    "one_minus_cosine": Scale(lambda similarity_G: 1 - similarity_G),
    "half": Scale(lambda similarity_G: (1 - similarity_G) / 2),
    "group_minmax": Scale(_group_minmax),
    "group_z": Scale(_group_z),
    # Centred cosines spread over [-1, 1] and are negative on average, so 1 - cos would clip half of them.
    "whitened": Scale(lambda similarity_G: (1 - similarity_G) / 2, centred=True),
}


def unit_rows(vector_NE: Tensor) -> Tensor:
    """Divide each row by its length; a zero row stays zero.

    Rows are first divided by their largest entry, so that squares neither overflow nor vanish.

    Args:
        vector_NE: Vectors, (N, E) with E >= 1, finite.

    Returns:
        (N, E), each row of length 1 or 0.

    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    peak_N1 = vector_NE.abs().amax(dim=1, keepdim=True)
    scaled_NE = vector_NE / torch.where(peak_N1 > 0, peak_N1, 1.0)
    return scaled_NE / scaled_NE.norm(dim=1, keepdim=True).clamp(min=1.0)  # a scaled row is at least 1 long, or 0


def teacher_divergence(
    online_GE: Tensor, teacher_ME: Tensor, *, aggregation: str = "mean", scale: str = "one_minus_cosine"
) -> Tensor:
    """How far each rollout of a group is from the teachers of its prompt.

    Vectors are normalised inside: their lengths change nothing. A zero vector has cosine 0 with every vector.

    Args:
        online_GE: Embeddings of the rollouts, (G, E).
        teacher_ME: Embeddings of the teacher trajectories, (M, E); M = 0 gives zeros (no teacher to leave).
        aggregation: How a rollout's cosines to its teachers become one similarity: `mean`, `max` or `min`.
        scale: How similarity becomes divergence: `one_minus_cosine`; `half` (1 - sim)/2; `group_minmax` (0 for the
            group's most teacher-like row, 1 for its least); `group_z` (sample standard deviations from the group's
            mean distance, through the normal distribution function: 0.5 at the mean); `whitened` (the mean of the
            prompt's unit vectors is subtracted before the cosine, then (1 - sim)/2: a remedy where all texts on one
            problem look alike). The group scales give zeros where all rows are equally far. Every scale ends clipped
            to [0, 1].

    Returns:
        Divergences in [0, 1], (G,), in float32 or wider.

    Raises:
        ValueError: Unknown option, wrong rank, empty group, E that is 0 or differs, NaN or infinite entries.

    >>> online_GE = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    >>> teacher_divergence(online_GE, torch.tensor([[2.0, 0.0]]))
    tensor([0.0000, 0.4000, 1.0000])
    >>> teacher_divergence(online_GE, torch.tensor([[2.0, 0.0]]), scale="half")
    tensor([0.0000, 0.2000, 1.0000])
    """
    aggregate = choose(AGGREGATIONS, aggregation, "divergence aggregation")
    chosen = choose(SCALES, scale, "divergence scale")
    require_rank("online_GE", online_GE, 2)
    require_rank("teacher_ME", teacher_ME, 2)
    if 0 in online_GE.shape:
        raise ValueError(f"online_GE needs at least one row and one embedding dimension, got {tuple(online_GE.shape)}")
    require_finite("online_GE", online_GE)
    require_finite("teacher_ME", teacher_ME)
    online_GE, teacher_ME = at_least_float32(online_GE), at_least_float32(teacher_ME)
    dtype = torch.promote_types(online_GE.dtype, teacher_ME.dtype)
    if teacher_ME.shape[0] == 0:
        return online_GE.new_zeros(online_GE.shape[0], dtype=dtype)
    require_shape("teacher_ME", teacher_ME, (teacher_ME.shape[0], online_GE.shape[1]))
    online_GE, teacher_ME = unit_rows(online_GE.to(dtype)), unit_rows(teacher_ME.to(dtype))
    if chosen.centred:
        online_GE, teacher_ME = _centred(online_GE, teacher_ME)
    return chosen.to_divergence(aggregate(online_GE @ teacher_ME.T)).clamp(0.0, 1.0)


def _centred(online_GE: Tensor, teacher_ME: Tensor) -> tuple[Tensor, Tensor]:
    """Unit rows once more, without what all texts of the prompt share; a row that is only rounding becomes zero."""
    rows_NE = torch.cat([online_GE, teacher_ME])
    rows_NE = rows_NE - rows_NE.mean(dim=0)
    rows_NE = unit_rows(torch.where(rows_NE.norm(dim=1, keepdim=True) > _MIN_SPREAD, rows_NE, 0.0))
    return rows_NE[: len(online_GE)], rows_NE[len(online_GE) :]

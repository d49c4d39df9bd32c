"""Hybrid group: which rollouts of a group give way to which teacher trajectories.

The most teacher-like rollout (the smallest divergence) is replaced by one teacher trajectory drawn uniformly from the
prompt's teachers; the group keeps its size. Source: OGER (arXiv 2604.18530), hybrid group construction. The other
strategies are the slots of related methods: `fixed_slot` of LUFFY (arXiv 2504.14945), `all_failed` of AMPO
(arXiv 2510.02227).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from oger.method.checks import require_finite, require_group, require_rank, require_shape
from oger.method.options import choose


def _by_divergence(divergence_G: Tensor, correct_G: Tensor, generator: torch.Generator) -> Tensor:
    """Most teacher-like row first; among equals the lowest row."""
    return divergence_G.argsort(stable=True)


def _wrong_first(divergence_G: Tensor, correct_G: Tensor, generator: torch.Generator) -> Tensor:
    """Wrong rows by divergence, then correct rows by divergence."""
    order_G = divergence_G.argsort(stable=True)
    return order_G[correct_G[order_G].int().argsort(stable=True)]


def _random(divergence_G: Tensor, correct_G: Tensor, generator: torch.Generator) -> Tensor:
    """Every row equally likely."""
    return torch.randperm(len(divergence_G), generator=generator)


def _fixed_slot(divergence_G: Tensor, correct_G: Tensor, generator: torch.Generator) -> Tensor:
    """The last row of the group first, then the one before it: rows are exchangeable, so this is blind to content."""
    return torch.arange(len(divergence_G)).flip(0)


def _all_failed(divergence_G: Tensor, correct_G: Tensor, generator: torch.Generator) -> Tensor:
    """By divergence, but no row at all once one rollout is correct."""
    return divergence_G[:0].long() if correct_G.any() else divergence_G.argsort(stable=True)


STRATEGIES: dict[str, Callable[[Tensor, Tensor, torch.Generator], Tensor]] = {  # -> rows in the order they give way
    "argmin_divergence": _by_divergence,
    "argmin_wrong_first": _wrong_first,
    "random": _random,
    "fixed_slot": _fixed_slot,
    "all_failed": _all_failed,
}

CHOICES: dict[str, Callable[[int, torch.Generator], Tensor]] = {  # -> teachers in the order they are taken
    "uniform": lambda num_teachers, generator: torch.randperm(num_teachers, generator=generator),
}


def plan_replacement(
    divergence_G: Tensor,
    outcome_G: Tensor,
    num_teachers: int,
    *,
    strategy: str = "argmin_divergence",
    num_rows: int = 1,
    choice: str = "uniform",
    generator: torch.Generator,
) -> list[tuple[int, int]]:
    """Pairs of (row that gives way, teacher that takes its place); rows are distinct, and so are teachers.

    Args:
        divergence_G: Divergences of the online rollouts, (G,), finite.
        outcome_G: Their outcomes, (G,); correct from 1 up, NaN (undecided) counts as not correct.
        num_teachers: Teacher trajectories of the prompt, M; 0 means no replacement.
        strategy: Which rows: `argmin_divergence`, `argmin_wrong_first` (wrong rows by divergence, then correct ones),
            `random`, `fixed_slot` (the last rows of the group) or `all_failed` (by divergence, only when no row is
            correct). Ties go to the lowest row.
        num_rows: Rows to replace, 0 to G - 1: at least one row stays online. At most one per teacher: with fewer
            teachers than rows, only num_teachers rows are replaced.
        choice: Which teachers: `uniform` draws without replacement.
        generator: Source of every draw, on the CPU.

    Returns:
        Pairs (row, teacher) with row in 0..G-1 and teacher in 0..M-1; empty for no replacement.

    Raises:
        ValueError: Unknown option, wrong or unequal shapes, empty group, a divergence that is not finite, num_rows
            outside 0..G-1 or a negative num_teachers.

    >>> divergence_G, outcome_G = torch.tensor([0.3, 0.1, 0.2]), torch.tensor([0.0, 1.0, 0.0])
    >>> plan_replacement(divergence_G, outcome_G, 1, generator=torch.Generator())
    [(1, 0)]
    >>> plan_replacement(divergence_G, outcome_G, 1, strategy="argmin_wrong_first", generator=torch.Generator())
    [(2, 0)]
    """
    order = choose(STRATEGIES, strategy, "replacement strategy")
    draw = choose(CHOICES, choice, "teacher choice")
    require_rank("divergence_G", divergence_G, 1)
    require_group("divergence_G", divergence_G)
    require_shape("outcome_G", outcome_G, divergence_G.shape)
    require_finite("divergence_G", divergence_G)
    num_group = len(divergence_G)
    if not 0 <= num_rows < num_group:
        raise ValueError(f"num_rows must be in 0..{num_group - 1} (one row stays online), got {num_rows}")
    if num_teachers < 0:
        raise ValueError(f"num_teachers must be at least 0, got {num_teachers}")
    if min(num_rows, num_teachers) == 0:
        return []
    rows = order(divergence_G, outcome_G >= 1, generator).tolist()[:num_rows]
    teachers = draw(num_teachers, generator).tolist()
    return list(zip(rows, teachers, strict=False))  # the shorter list decides: at most one row per teacher

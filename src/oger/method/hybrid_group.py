"""Hybrid group: which rollouts of a group give way to which teacher trajectories.

The most teacher-like rollout (the smallest divergence) is replaced by one teacher trajectory drawn uniformly from the
prompt's teachers; the group keeps its size. Source: OGER (arXiv 2604.18530), hybrid group construction. The other
strategies are the slots of related methods: `fixed_slot` of LUFFY (arXiv 2504.14945), `all_failed` of AMPO
(arXiv 2510.02227).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oger.method.checks import require_finite, require_group, require_rank, require_shape
from oger.words import choose


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


@dataclass(frozen=True, kw_only=True)
class Teachers:
    """What is known of a prompt's teacher trajectories when one of them is chosen; M is their number."""

    num: int
    """M."""
    turn: int = 0
    """How often this prompt was visited before."""
    num_tokens_M: Tensor | None = None
    answer_logp_M: Tensor | None = None
    """Log-probability that the policy gives to the gold answer after each teacher's reasoning."""


@dataclass(frozen=True)
class Choice:
    """A way to choose teachers: their order, and which facts it needs beyond their number."""

    order: Callable[[Teachers, torch.Generator], Tensor]
    needs: tuple[str, ...] = ()


def _shortest(teachers: Teachers, generator: torch.Generator) -> Tensor:
    assert teachers.num_tokens_M is not None, "checked by plan_replacement"
    return teachers.num_tokens_M.argsort(stable=True)


def _most_comprehensible(teachers: Teachers, generator: torch.Generator) -> Tensor:
    assert teachers.answer_logp_M is not None, "checked by plan_replacement"
    return teachers.answer_logp_M.argsort(descending=True, stable=True)


CHOICES: dict[str, Choice] = {  # -> teachers in the order they are taken
    "uniform": Choice(lambda teachers, generator: torch.randperm(teachers.num, generator=generator)),
    "round_robin": Choice(lambda teachers, generator: (torch.arange(teachers.num) + teachers.turn) % teachers.num),
    "shortest": Choice(_shortest, needs=("num_tokens_M",)),
    "most_comprehensible": Choice(_most_comprehensible, needs=("answer_logp_M",)),
}


def plan_replacement(
    divergence_G: Tensor,
    outcome_G: Tensor,
    teachers: Teachers,
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
        teachers: The prompt's teacher trajectories; M = 0 means no replacement.
        strategy: Which rows: `argmin_divergence`, `argmin_wrong_first` (wrong rows by divergence, then correct ones),
            `random`, `fixed_slot` (the last rows of the group) or `all_failed` (by divergence, only when no row is
            correct). Ties go to the lowest row.
        num_rows: Rows to replace, 0 to G - 1: at least one row stays online. At most one per teacher: with fewer
            teachers than rows, only M rows are replaced.
        choice: Which teachers: `uniform` (drawn without replacement), `round_robin` (in turn, one place further at each
            visit of the prompt), `shortest` (fewest tokens) or `most_comprehensible` (after whose reasoning the policy
            gives the gold answer the highest probability). Ties go to the lowest teacher.
        generator: Source of every draw, on the CPU.

    Returns:
        Pairs (row, teacher) with row in 0..G-1 and teacher in 0..M-1; empty for no replacement.

    Raises:
        ValueError: Unknown option, wrong or unequal shapes, empty group, a divergence that is not finite, num_rows
            outside 0..G-1, a negative M, or a fact that the choice needs is missing, of another shape or NaN.

    >>> divergence_G, outcome_G = torch.tensor([0.3, 0.1, 0.2]), torch.tensor([0.0, 1.0, 0.0])
    >>> plan_replacement(divergence_G, outcome_G, Teachers(num=1), generator=torch.Generator())
    [(1, 0)]
    >>> teachers = Teachers(num=2, num_tokens_M=torch.tensor([9, 5]))
    >>> plan_replacement(divergence_G, outcome_G, teachers, strategy="argmin_wrong_first", choice="shortest",
    ...                  generator=torch.Generator())
    [(2, 1)]
    """
    order = choose(STRATEGIES, strategy, "replacement strategy")
    chosen = choose(CHOICES, choice, "teacher choice")
    require_rank("divergence_G", divergence_G, 1)
    require_group("divergence_G", divergence_G)
    require_shape("outcome_G", outcome_G, divergence_G.shape)
    require_finite("divergence_G", divergence_G)
    num_group = len(divergence_G)
    if not 0 <= num_rows < num_group:
        raise ValueError(f"num_rows must be in 0..{num_group - 1} (one row stays online), got {num_rows}")
    if teachers.num < 0:
        raise ValueError(f"the number of teachers must be at least 0, got {teachers.num}")
    if min(num_rows, teachers.num) == 0:
        return []
    for name in chosen.needs:
        fact_M = getattr(teachers, name)
        if fact_M is None or fact_M.shape != (teachers.num,) or bool(fact_M.isnan().any()):
            raise ValueError(f"teacher choice {choice!r} needs {name}, one number per teacher, got {fact_M}")
    rows = order(divergence_G, outcome_G >= 1, generator).tolist()[:num_rows]
    picked = chosen.order(teachers, generator).tolist()
    return list(zip(rows, picked, strict=False))  # the shorter list decides: at most one row per teacher

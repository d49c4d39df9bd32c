"""Do the divergences of a table tell trajectories apart? Cosines, D and token lengths, by an encoder, before training.

Teachers are compared with each other on the same prompt. With rollouts of a policy, D is the one that training would
see; without, each teacher stands in for a rollout and is measured against the prompt's other teachers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch

from oger.encoders.base import Encoder, count_tokens
from oger.method.divergence import SCALES, teacher_divergence, unit_rows
from oger.teachers.table.column import COLUMN, parse_cell

QUANTILES = (0.05, 0.5, 0.95)
NARROW = 0.2
"""Median D of teachers from each other below which D of rollouts is likely to be narrow as well."""
FLAT = 0.05
"""Mean standard deviation of D within a prompt below which a scale hardly tells its rows apart."""
CLIPPED = 0.05
"""Share of rows at D = 0 or 1 above which a scale loses differences."""

_FIRST_CHOICE = ("one_minus_cosine", "whitened")  # before the group scales, which hide how far is far


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Of one quantity."""

    count: int
    mean: float
    quantiles: tuple[float, ...]
    """At QUANTILES."""

    @classmethod
    def of(cls, values: torch.Tensor) -> Distribution:
        """Of a non-empty tensor."""
        at = torch.quantile(values.double(), torch.tensor(QUANTILES, dtype=torch.double)).tolist()
        return cls(count=values.numel(), mean=values.double().mean().item(), quantiles=tuple(at))


@dataclass(frozen=True, kw_only=True)
class ScaleReport:
    """How one scale spreads D."""

    divergence: Distribution
    spread: float | None
    """Mean over prompts of the standard deviation of D within a prompt; None where teachers stand in for rollouts (of
    two teachers both have the same D)."""
    clipped_share: float
    """Rows at 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What an encoder makes of a table."""

    prompts: int
    rows_are: str
    """ "rollouts" of a policy, or "teachers" that stand in for them."""
    cosines: Mapping[str, torch.Tensor]
    """ "all" and "TEACHER | TEACHER" -> cosines of different texts on one prompt."""
    divergences: torch.Tensor
    """D of every row by the scale one_minus_cosine."""
    scales: Mapping[str, ScaleReport]
    tokens: Mapping[str, Distribution]
    """Teacher -> lengths by the encoder's tokenizer; empty where it has none."""
    beyond_window: float | None
    """Share of trajectories that are longer than the encoder's window and are read in pieces."""
    suggested_scale: str

    saturated: bool
    """Whether the paper's scale hardly tells the rows of a prompt apart, or is likely not to."""


def inspect_table(
    rows: Sequence[Mapping[str, Any]],
    encoder: Encoder,
    *,
    rollouts: Sequence[Sequence[str]] | None = None,
    aggregation: str = "mean",
) -> Inspection:
    """Measure the teachers of a table with an encoder.

    Args:
        rows: rows with the column `teachers`.
        encoder: frozen encoder.
        rollouts: responses of a policy to each row's prompt; None = the teachers stand in for them.
        aggregation: over a prompt's teachers, as in training.

    Raises:
        ValueError: no prompt has enough teachers (two, or one with rollouts), or a cell cannot be read.
    """
    wanted = 2 if rollouts is None else 1
    cells = [parse_cell(row.get(COLUMN)) for row in rows]
    chosen = [index for index, cell in enumerate(cells) if len(cell) >= wanted]
    if not chosen:
        raise ValueError(f"no prompt has {wanted} or more teachers: there is nothing to compare")
    texts = [teacher["text"] for index in chosen for teacher in cells[index]]
    vectors = iter(unit_rows(encoder.encode(texts)).split([len(cells[index]) for index in chosen]))
    online = None if rollouts is None else [encoder.encode(rollouts[index]) for index in chosen]
    pairs: dict[str, list[float]] = {"all": []}
    # Group scales compare the rows of a group, which teachers that stand in for rollouts are not.
    names_of_scales = SCALES if rollouts is not None else ("one_minus_cosine", "half")
    by_scale: dict[str, list[torch.Tensor]] = {name: [] for name in names_of_scales}
    for place, index in enumerate(chosen):
        teacher_ME = next(vectors)
        names = [teacher["teacher"] for teacher in cells[index]]
        for first, second in combinations(range(len(names)), 2):
            cosine = float(teacher_ME[first] @ teacher_ME[second])
            pairs["all"].append(cosine)
            pairs.setdefault(" | ".join(sorted((names[first], names[second]))), []).append(cosine)
        for scale, values in by_scale.items():
            values.append(_divergences(teacher_ME, None if online is None else online[place], aggregation, scale))
    scales = {name: _report(values, spread=rollouts is not None) for name, values in by_scale.items()}
    saturated = _saturated(scales["one_minus_cosine"])
    tokens, beyond = _lengths([teacher for index in chosen for teacher in cells[index]], encoder)
    return Inspection(
        prompts=len(chosen),
        rows_are="teachers" if rollouts is None else "rollouts",
        cosines={name: torch.tensor(values) for name, values in pairs.items() if values},
        divergences=torch.cat(by_scale["one_minus_cosine"]),
        scales=scales,
        tokens=tokens,
        beyond_window=beyond,
        saturated=saturated,
        suggested_scale=_suggest(scales, saturated),
    )


def _divergences(
    teacher_ME: torch.Tensor, online_GE: torch.Tensor | None, aggregation: str, scale: str
) -> torch.Tensor:
    """D of a prompt's rollouts, or of each of its teachers from the others."""
    if online_GE is not None:
        return teacher_divergence(online_GE, teacher_ME, aggregation=aggregation, scale=scale)
    parts = []
    for row in range(len(teacher_ME)):
        others_ME = torch.cat([teacher_ME[:row], teacher_ME[row + 1 :]])
        parts.append(teacher_divergence(teacher_ME, others_ME, aggregation=aggregation, scale=scale)[row])
    return torch.stack(parts)


def _report(groups: Sequence[torch.Tensor], *, spread: bool) -> ScaleReport:
    every = torch.cat(list(groups))
    return ScaleReport(
        divergence=Distribution.of(every),
        spread=sum(group.std().item() for group in groups) / len(groups) if spread else None,
        clipped_share=((every <= 0) | (every >= 1)).double().mean().item(),
    )


def _saturated(report: ScaleReport) -> bool:
    if report.spread is not None:
        return report.spread < FLAT
    return report.divergence.quantiles[QUANTILES.index(0.5)] < NARROW


def _suggest(scales: Mapping[str, ScaleReport], saturated: bool) -> str:
    """The first scale that spreads the rollouts and does not clip; without rollouts, by the paper's scale alone."""
    if scales["one_minus_cosine"].spread is None:
        return _FIRST_CHOICE[saturated]
    spreads = {name: report.spread or 0.0 for name, report in scales.items()}
    for name in _FIRST_CHOICE:
        if spreads[name] >= FLAT and scales[name].clipped_share <= CLIPPED:
            return name
    return max(spreads, key=lambda name: spreads[name])


def _lengths(teachers: Sequence[Mapping[str, Any]], encoder: Encoder) -> tuple[dict[str, Distribution], float | None]:
    lengths = count_tokens(encoder, [teacher["text"] for teacher in teachers])
    if lengths is None:
        return {}, None
    by_teacher: dict[str, list[int]] = {}
    for teacher, length in zip(teachers, lengths, strict=True):
        by_teacher.setdefault(teacher["teacher"], []).append(length)
    window = encoder.identity.window
    beyond = None if window is None else sum(length > window for length in lengths) / len(lengths)
    return {name: Distribution.of(torch.tensor(values)) for name, values in sorted(by_teacher.items())}, beyond

"""What a curation reports, and the check that nothing was lost on the way.

Two counts are made apart from one another: `Counts`, of what the sources hold, when it is read; and `Outcome`, of what
the finished table and the list of rejects hold, read back from them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oger.teachers.curate.merge import PromptTotals
from oger.teachers.curate.reasons import PROMPT_REASONS, REASONS, ROW_REASONS, STAGES
from oger.teachers.curate.records import Counts


class ConservationError(RuntimeError):
    """Rows in are not rows kept plus rows dropped: a defect of the curation, not of its sources."""


@dataclass
class Outcome:
    """What a finished table and its rejects hold."""

    prompts: int = 0
    prompts_by_teachers: Counter[int] = field(default_factory=Counter)
    """Number of different teachers -> prompts."""
    kept: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    dropped: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Teacher -> reason -> trajectories."""
    rejected_rows: Counter[str] = field(default_factory=Counter)
    """Reason -> source rows."""
    rejected_prompts: Counter[str] = field(default_factory=Counter)
    """Reason -> prompts."""

    def add_row(self, teachers: Sequence[Mapping[str, Any]]) -> None:
        """Count one row of the table."""
        self.prompts += 1
        self.prompts_by_teachers[len({trajectory["teacher"] for trajectory in teachers})] += 1
        for trajectory in teachers:
            self.kept[trajectory["teacher"]] += 1
            self.tokens[trajectory["teacher"]] += trajectory["num_tokens"]

    def add_reject(self, line: Mapping[str, Any]) -> None:
        """Count one line of the rejects."""
        if line["unit"] == "trajectory":
            self.dropped[line["teacher"]][line["reason"]] += 1
        elif line["unit"] == "row":
            self.rejected_rows[line["reason"]] += 1
        else:
            self.rejected_prompts[line["reason"]] += 1


@dataclass(frozen=True)
class TeacherReport:
    """One teacher, as in the paper's table."""

    seen: int
    kept: int
    mean_tokens_correct: float | None
    """Of its correct trajectories, before the length limit."""
    mean_tokens_kept: float | None
    accuracy: float | None
    """Correct among those decided (correct or wrong); None = none was decided."""
    verdicts: Mapping[str, int]
    """correct, wrong, undecided; and overruled: those of them where the second check overruled math-verify."""
    claims: Mapping[str, int]
    """"claim/verdict" -> trajectories whose source states a verdict of its own."""
    dropped: Mapping[str, int]
    """Reason -> trajectories, in the order of the stages."""

    def stages(self) -> dict[str, tuple[int, int]]:
        """Stage -> (trajectories in, trajectories out)."""
        flow: dict[str, tuple[int, int]] = {}
        number = self.seen
        for stage in STAGES:
            out = number - sum(count for reason, count in self.dropped.items() if REASONS[reason] == stage)
            flow[stage] = (number, out)
            number = out
        return flow


@dataclass(frozen=True)
class CurateReport:
    """What a curation did."""

    rows: Mapping[str, int]
    """Source -> rows read."""
    rows_without_trajectory: Mapping[str, int]
    rejected_rows: Mapping[str, int]
    prompts_seen: int
    prompts_kept: int
    rejected_prompts: Mapping[str, int]
    prompts_by_teachers: Mapping[int, int]
    """Number of different teachers -> prompts of the table."""
    teachers: Mapping[str, TeacherReport]
    """In the order in which they were first read."""
    golds: Mapping[str, str]
    """Source -> how its gold answers are written, in one line; without those whose kinds take them as they are."""


def make_report(counts: Counts, outcome: Outcome, totals: PromptTotals, golds: Mapping[str, str]) -> CurateReport:
    """The report of a curation whose counts agree (see `check_conservation`)."""
    return CurateReport(
        rows=dict(counts.rows),
        rows_without_trajectory=dict(counts.rows_without_trajectory),
        rejected_rows=_ordered(outcome.rejected_rows, ROW_REASONS),
        prompts_seen=totals.prompts,
        prompts_kept=outcome.prompts,
        rejected_prompts=_ordered(outcome.rejected_prompts, PROMPT_REASONS),
        prompts_by_teachers=dict(sorted(outcome.prompts_by_teachers.items())),
        teachers={name: _teacher(name, counts, outcome) for name in counts.seen},
        golds=golds,
    )


def check_conservation(rows_read: Mapping[str, int], counts: Counts, outcome: Outcome, totals: PromptTotals) -> None:
    """Rows, prompts and, per teacher, trajectories: what came in is what was kept plus what was set aside.

    Args:
        rows_read: source -> rows, counted by the process that reads.
        counts: counted by the processes that parse.
        outcome: counted from the finished table and the rejects.
        totals: counted from the prompts between the two.

    Raises:
        ConservationError: it is not so.
    """
    wrong = []
    if dict(rows_read) != dict(counts.rows):
        wrong.append(f"rows read {dict(rows_read)}, rows parsed {dict(counts.rows)}")
    rejected = outcome.rejected_rows.total()
    if sum(rows_read.values()) != totals.rows + rejected:
        wrong.append(f"{sum(rows_read.values())} rows read, {totals.rows} with a prompt, {rejected} set aside")
    dropped_prompts = outcome.rejected_prompts.total()
    if totals.prompts != outcome.prompts + dropped_prompts:
        wrong.append(f"{totals.prompts} prompts in, {outcome.prompts} kept, {dropped_prompts} dropped")
    for name in {**counts.seen, **outcome.kept, **outcome.dropped}:
        seen, kept = counts.seen[name], outcome.kept[name]
        dropped = outcome.dropped[name].total()
        if seen != kept + dropped:
            wrong.append(f"teacher {name}: {seen} trajectories in, {kept} kept, {dropped} dropped")
    if wrong:
        raise ConservationError(f"rows were lost or made up, nothing is written: {'; '.join(wrong)}")


def _teacher(name: str, counts: Counts, outcome: Outcome) -> TeacherReport:
    verdicts = counts.verdicts[name]
    correct, wrong = verdicts["correct"], verdicts["wrong"]
    kept = outcome.kept[name]
    return TeacherReport(
        seen=counts.seen[name],
        kept=kept,
        mean_tokens_correct=counts.tokens_verified[name] / correct if correct else None,
        mean_tokens_kept=outcome.tokens[name] / kept if kept else None,
        accuracy=correct / (correct + wrong) if correct + wrong else None,
        verdicts=_ordered(verdicts, ("correct", "wrong", "undecided", "overruled")),
        claims=dict(sorted(counts.claims[name].items())),
        dropped=_ordered(outcome.dropped[name], tuple(REASONS)),
    )


def _ordered(counts: Mapping[str, int], order: Sequence[str]) -> dict[str, int]:
    return {name: counts[name] for name in order if counts.get(name)}

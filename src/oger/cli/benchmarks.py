"""`oger evaluate ... --benchmarks`: several policies on several benchmarks, stored, compared, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.terminal.errors import UserError
from oger.terminal.plain import say

if TYPE_CHECKING:
    from oger.evaluation.job import Job, Policy
    from oger.terminal.bar import Bars

DEFAULT_OUT = Path("evaluations")

_CHANGES_SHOWN = 20


def evaluate_benchmarks(
    systems: Mapping[str, Sequence[Policy]],
    names: Sequence[str],
    out: Path,
    *,
    columns: Mapping[str, str],
    rows: Mapping[str, Any],
    protocol: Mapping[str, Any],
    form: str,
    reference: str | None,
    dry: bool,
) -> None:
    """Run what is missing, then print the table.

    Args:
        rows: how they are read, as of `load_problems`: data_dir, limit, shuffle_seed, by, kinds.
        protocol: overrides of the benchmarks' own: seed, samples, temperature, top_p, max_tokens, rules, unfinished.

    Raises:
        ValueError: what cannot be done, before anything is generated wherever that can be known.
    """
    from oger.evaluation.benchmark import find_benchmarks
    from oger.evaluation.grading import probe_jobs
    from oger.evaluation.job import make_job
    from oger.evaluation.problems import load_problems
    from oger.evaluation.runner import run_jobs
    from oger.evaluation.tables import print_tables
    from oger.terminal.bar import Bars
    from oger.verification.self_test import gold_line
    from oger.words import one_of

    if reference is not None and reference not in systems:
        raise UserError(f"--reference {reference} is none of {', '.join(systems)}")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; with --benchmarks it is a folder of responses")
    benchmarks = find_benchmarks(names, columns)
    loaded = {benchmark.name: load_problems(benchmark, **rows) for benchmark in benchmarks}
    for column in rows["by"]:
        one_of((name for problems in loaded.values() for name in problems.columns), column, "column for --by")
    jobs = {
        (system, seed, benchmark.name): make_job(
            policy, benchmark, loaded[benchmark.name], out, shuffle_seed=rows["shuffle_seed"], **protocol
        )
        for system, policies in systems.items()
        for seed, policy in enumerate(policies)
        for benchmark in benchmarks
    }
    for name, problems in loaded.items():
        golds = [{"kind": problem.kind, "answer": problem.answer} for problem in problems.problems]
        if (line := gold_line(golds)) is not None:
            say(f"{name}: {line}", err=True)  # tables alone are on standard output
    stored = {key: job.check() for key, job in jobs.items()}
    probe_jobs(job for key, job in jobs.items() if stored[key] < len(job.requests()))
    if dry:
        _describe(jobs, stored)
        return
    with Bars("title", "bar", "note", "left") as bars:
        done = run_jobs(list(jobs.values()), partial(_bar_of, bars))
        results = dict(zip(jobs, done, strict=True))
    notes = [problems.note for problems in loaded.values() if problems.note]
    notes += [policy.note for policies in systems.values() for policy in policies if policy.note]
    print_tables(results, systems, {b.name: b.group for b in benchmarks}, notes, out, form, reference)


def regrade(out: Path, rules: Sequence[str] | None, kinds: Sequence[str], unfinished: str | None) -> None:
    """Verify stored responses again and print what changed."""
    from oger.evaluation.regrade import folders_of
    from oger.evaluation.regrade import regrade as regrade_folder

    for folder in folders_of(out):
        done = regrade_folder(folder, rules, kinds, unfinished)
        correct = [sum(row["status"] == "correct" for row in rows) for rows in (done.before, done.after)]
        say(
            f"{folder}: {len(done.after)} responses, {len(done.changes)} verdicts changed, "
            f"correct {correct[0]} -> {correct[1]}"
        )
        for old, new in done.changes[:_CHANGES_SHOWN]:
            say(
                f"  {new['problem']} sample {new['sample']}: {old['status']} -> {new['status']} "
                f"(answer {new['extracted']!r}, gold {new['answer']!r})"
            )
        if len(done.changes) > _CHANGES_SHOWN:
            say(f"  ... and {len(done.changes) - _CHANGES_SHOWN} more")


def _describe(jobs: Mapping[Any, Job], stored: Mapping[Any, int]) -> None:
    for key, job in jobs.items():
        total = len(job.problems) * job.num_samples
        sampling = job.sampling
        style = "text" if isinstance(job.policy.form.prompt(job.problems[0]), str) else "chat"
        say(
            f"{job.policy.label}, {job.name}: {len(job.problems)} problems x {job.num_samples} samples, "
            f"{total - stored[key]} responses to draw, {stored[key]} stored; temperature {sampling.temperature:g}, "
            f"top-p {sampling.top_p:g}, at most {sampling.max_tokens} tokens, seed {sampling.seed}, {style} prompts, "
            f"rules {' > '.join(job.rules)}; into {job.folder}"
        )
    first = next(iter(jobs.values()))
    say(f"the first prompt of {first.name}: {first.policy.form.prompt(first.problems[0])!r}")


def _bar_of(bars: Bars, job: Job, missing: int) -> Callable[[int], None]:
    """A bar with problems per second, or a line; what is stored already does not count into the speed."""
    import time

    total = len(job.problems) * job.num_samples
    name = f"{job.policy.label}, {job.name}"
    bars.tell(f"{name}: drawing {missing} of {total} responses")
    bar = bars.add(name, missing, f"0/{len(job.problems)} problems")
    started, drawn = time.monotonic(), 0

    def advance(count: int) -> None:
        nonlocal drawn
        drawn += count
        rate = drawn / job.num_samples / max(time.monotonic() - started, 1e-9)
        done = (total - missing + drawn) // job.num_samples
        bar.update(completed=drawn, note=f"{done}/{len(job.problems)} problems, {rate:.2f} problems/s")

    return advance

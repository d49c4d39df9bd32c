"""Curate: any number of sources become one verified multi-teacher table.

    parse -> normalise -> verify -> length | duplicates -> decontaminate -> choose

Before the bar a trajectory is judged alone, so source rows are cut into shards that workers check and a killed curation
keeps. After it, trajectories are grouped by prompt. The table is the same, byte by byte, for any number of workers.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from oger.io.rows import Chunk
from oger.teachers.curate.card import write_card
from oger.teachers.curate.check import Checker
from oger.teachers.curate.choose import Finished, Group, finish_group
from oger.teachers.curate.chunks import SourceFile, plan_files, read_chunks
from oger.teachers.curate.counts import CurateReport, Outcome, check_conservation, make_report
from oger.teachers.curate.decontaminate import EvaluationPrompts, load_evaluation_prompts
from oger.teachers.curate.merge import connect, count_prompts, groups, passed_schema, prompts_schema
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.work import WorkFolder, as_table, shard_folder, write_shard
from oger.teachers.curate.workers import Workers
from oger.teachers.table.output import REJECTS_FILE, TABLE_FILE, read_back, reject_lines, table_row, write_results
from oger.teachers.table.schema import validate_table
from oger.teachers.table.tokens import token_counter
from oger.terminal.bar import Bars
from oger.verification import ANSWER_RULES
from oger.verification.kinds import load_kind
from oger.verification.self_test import gold_line
from oger.words import choose

_SEQ_PER_SHARD = 1 << 32
"""Positions kept free for each shard: far more than a shard can hold rows and trajectories."""
_GROUPS_PER_TASK = 64

_Task = tuple[int, SourceFile, Chunk]


def curate(
    options: CurateOptions, out: str | os.PathLike[str], *, resume: bool = False, progress: bool = False
) -> CurateReport:
    """Curate the sources into OUT/table.parquet, with OUT/card.md, OUT/card.json and OUT/rejects.jsonl.

    Args:
        options: What to read and how.
        out: A folder that does not exist; it appears whole at the end. Until then the work lies in OUT.work.
        resume: Continue a curation that was killed, where OUT.work holds one.
        progress: Show the progress on standard error, where that is a terminal.

    Raises:
        FileExistsError: OUT exists, or OUT.work does and `resume` is false.
        FileNotFoundError: a source that is not there.
        ValueError: a source, an option or a tokenizer that cannot be used; nothing is written then.
        ConservationError: rows were lost or made up, a defect of OGER; OUT does not appear.
    """
    evaluation = _check_options(options)
    checker = Checker(options, token_counter(options.tokenizer), evaluation, workers=options.workers)
    files = plan_files(options.sources)
    num_workers = options.workers or os.cpu_count() or 1
    with WorkFolder(Path(out), options, files, resume=resume) as work:
        arguments = (options, evaluation, work.path)
        bars = Bars("title", "bar", "percent", "elapsed", wanted=progress)
        with Workers(num_workers, _initialise, *arguments) as workers, bars:
            for shard, wrong in work.drop_damaged().items():
                bars.say(f"{work.path}: shard {shard} is damaged ({wrong}); its rows are checked again")
            rows_read = _check_all(options, files, work, workers, bars)
            with contextlib.closing(connect(work.temporary)) as connection:
                work.open_tables(connection)
                totals = count_prompts(connection)
                found = groups(
                    connection,
                    work.batches("prompts"),
                    work.batches("passed"),
                    work.texts,
                    scope=options.duplicates,
                    regrade=checker.regrade,
                )
                finished = (one for batch in workers.map(_finish_groups, _batched(found)) for one in batch)
                grouping = bars.add("Grouping", totals.prompts)
                write_results(work.result, grouping.follow(finished), work.rejects(), chat=totals.chat)
        validate_table(work.result / TABLE_FILE)
        counts, outcome = work.counts(), read_back(work.result)
        check_conservation(rows_read, counts, outcome, totals)
        golds = _gold_lines(options, lambda: work.batches("prompts"))
        report = make_report(counts, outcome, totals, golds)
        if not report.prompts_kept:
            reasons = {**report.rejected_rows, **report.rejected_prompts} or {"no rows": 0}
            said = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            place = work.result / REJECTS_FILE
            raise ValueError(f"no prompt is left for a table ({said}); the reasons row by row: {place}")
        write_card(work.result, options, report)
        work.finish()
    return report


def _check_all(
    options: CurateOptions, files: Sequence[SourceFile], work: WorkFolder, workers: Workers, bars: Bars
) -> dict[str, int]:
    """Check every chunk whose shard is not there yet; rows read per source."""
    rows_read: Counter[str] = Counter()
    sizes = [file.size for file in files]
    bar = bars.add("Checking", sum(sizes) if all(sizes) else None)

    def unfinished() -> Iterator[_Task]:
        chunks = ((file, chunk) for file in files for chunk in read_chunks(options.sources[file.source], file))
        for number, (file, chunk) in enumerate(chunks):
            rows_read[options.sources[file.source].name] += chunk.num_rows
            if shard_folder(work.path, number).exists():
                bar.advance(chunk.size)
            else:
                yield number, file, chunk

    for size in workers.map(_check_chunk, unfinished()):
        bar.advance(size)
    return rows_read


def curate_rows(rows: Iterable[Mapping[str, Any]], options: CurateOptions) -> tuple[list[dict[str, Any]], CurateReport]:
    """The same stages for rows in memory, such as an embedded world's.

    Args:
        rows: Of the layout of the only source of `options`, whose path is not read.
        options: The whole curation.

    Returns:
        The rows of the table in order, as Python values, each with the further keys of the first row of its prompt;
        and the report.

    Raises:
        ValueError: options that cannot be used.
        ConservationError: see `curate`.
    """
    if len(options.sources) != 1:
        raise ValueError(f"rows in memory are one source, got {len(options.sources)}")
    evaluation = _check_options(options)
    given = [dict(row) for row in rows]
    checker = Checker(options, token_counter(options.tokenizer), evaluation, workers=options.workers)
    checked = checker.check(SourceFile(0, "memory"), Chunk(0, len(given), given), 0)
    prompts, passed = as_table(checked.prompts, prompts_schema()), as_table(checked.passed, passed_schema())
    outcome = Outcome()
    for reject in checked.rejects:
        outcome.add_reject(reject)
    first_row = {prompt.prompt_id: given[prompt.row] for prompt in reversed(checked.prompts)}
    table: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder, contextlib.closing(connect(Path(folder))) as connection:
        connection.register("prompts", prompts)
        connection.register("passed", passed)
        totals = count_prompts(connection)
        batches = (prompts.to_batches(), passed.to_batches())
        for group in groups(connection, *batches, Path(folder), scope=options.duplicates, regrade=checker.regrade):
            finished = finish_group(group, options)
            for line in reject_lines(finished):
                outcome.add_reject(line)
            if finished.problem is None:
                row = table_row(finished, chat=totals.chat)
                outcome.add_row(row["teachers"])
                table.append({**first_row[row["prompt_id"]], **row})
    check_conservation({options.sources[0].name: len(given)} if given else {}, checked.counts, outcome, totals)
    golds = _gold_lines(options, lambda: iter(prompts.to_batches()))
    return table, make_report(checked.counts, outcome, totals, golds)


def _gold_lines(options: CurateOptions, batches: Callable[[], Iterator[pa.RecordBatch]]) -> dict[str, str]:
    """Source -> how its gold answers are written, of those that are there."""
    lines = {}
    for source in options.sources:
        golds = (
            row
            for batch in batches()
            for row in batch.select(["origin", "answer", "kind"]).to_pylist()
            if row["origin"] == source.name and row["answer"] is not None
        )
        if (line := gold_line(golds, options.kind)) is not None:
            lines[source.name] = line
    return lines


def _check_options(options: CurateOptions) -> EvaluationPrompts:
    """Look every name up, before anything is read or written."""
    load_kind(options.kind)
    for rule in options.rules:
        choose(ANSWER_RULES, rule, "answer rule")
    return load_evaluation_prompts(options.decontaminate, options.ngram)


_worker: tuple[Checker, Path] | None = None  # one per process, set by _initialise


def _initialise(options: CurateOptions, evaluation: EvaluationPrompts, work: Path) -> None:
    global _worker
    # Workers verify side by side, so that each needs one verifier process only.
    _worker = Checker(options, token_counter(options.tokenizer), evaluation, workers=1), work


def _check_chunk(task: _Task) -> int:
    assert _worker is not None
    checker, work = _worker
    number, file, chunk = task
    write_shard(shard_folder(work, number), checker.check(file, chunk, number * _SEQ_PER_SHARD))
    return chunk.size


def _finish_groups(batch: list[Group]) -> list[Finished]:
    assert _worker is not None
    return [finish_group(group, _worker[0].options) for group in batch]


def _batched(found: Iterator[Group]) -> Iterator[list[Group]]:
    while batch := list(islice(found, _GROUPS_PER_TASK)):
        yield batch

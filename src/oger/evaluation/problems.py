"""The problems of a benchmark: from rows, wherever they lie, to prompts with gold answers."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oger.evaluation.benchmark import Benchmark, BenchmarkError
from oger.io.answers import AnswerError, answer_text
from oger.io.rows import FILE_FORMATS, WORLD_PREFIX, SourceError, load_rows
from oger.verification.kinds import check_kinds_of_rows, load_kind

Prompt = str | list[dict[str, Any]]
"""A text, or a chat: a list of {"role", "content"} messages."""

LETTERS = "ABCDEFGHIJ"
_ID_CHARACTERS = 16


@dataclass(frozen=True)
class Problem:
    """One problem, ready to be asked and graded."""

    id: str
    """Of the row where it has one, else a hash of the prompt; never twice in a benchmark."""
    prompt: Prompt
    """The user's message as a text; or, where the rows hold whole prompts, the prompt as it stands there."""
    verbatim: bool
    """Whether the prompt is asked as it stands, without a chat made around it."""
    answer: str
    kind: str
    metadata: Any = None
    """What the grader needs besides; for multiple choice {"options": shuffled texts, "order": places in the data}."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """Column -> value, of the columns that accuracy is broken down by; without those that the row does not have."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """The row as it stands, where a reward function of a run grades it."""


@dataclass(frozen=True)
class Problems:
    """The problems of one benchmark and what is to be said about them."""

    problems: tuple[Problem, ...]
    note: str = ""
    """One line for the user where the number is not the expected one."""
    columns: tuple[str, ...] = ()
    """What can be broken down by: the columns of the rows, and the keys of their metadata."""


def load_problems(
    benchmark: Benchmark,
    *,
    data_dir: Path | None = None,
    limit: int | None = None,
    shuffle_seed: int = 0,
    by: Sequence[str] = (),
    kinds: Collection[str] = (),
) -> Problems:
    """The first `limit` problems of a benchmark, from `data_dir`/NAME.jsonl or .parquet where that exists, else from
    the hub or its cache.

    Args:
        shuffle_seed: of the order of multiple-choice options; each problem is shuffled by it and its id alone, so that
            a limit or another order of rows changes nothing.
        by: columns (or keys of the rows' metadata) whose values become the problems' groups.
        kinds: kinds of the user's own that rows may name, besides the benchmark's.

    Raises:
        BenchmarkError: the data cannot be had, or a row does not hold what the benchmark's file says.
    """
    rows = _rows(benchmark, data_dir, limit)
    seen: Counter[str] = Counter()
    facts = [_facts(row, benchmark.columns.get("metadata", "metadata")) for row in rows]
    problems = [
        replace(_problem(benchmark, row, index, shuffle_seed, seen, kinds), groups=_groups(fact, by))
        for index, (row, fact) in enumerate(zip(rows, facts, strict=True))
    ]
    note = ""
    if benchmark.problems is not None and limit is None and len(problems) != benchmark.problems:
        note = f"{benchmark.name}: {len(problems)} problems, {benchmark.problems} expected: not the published set?"
    return Problems(tuple(problems), note, tuple(dict.fromkeys(name for fact in facts for name in fact)))


def _rows(benchmark: Benchmark, data_dir: Path | None, limit: int | None) -> list[dict[str, Any]]:
    if data_dir is not None and not data_dir.is_dir():
        raise BenchmarkError(f"--data-dir {data_dir} is not a folder")
    if data_dir is not None:
        for suffix in FILE_FORMATS:
            path = data_dir / f"{benchmark.name}{suffix}"
            if path.is_file():
                return load_rows(str(path), limit)
    if benchmark.source.startswith(WORLD_PREFIX) or benchmark.source.endswith(FILE_FORMATS):
        return load_rows(benchmark.source, limit)
    source = "/".join(part for part in (benchmark.source, benchmark.config) if part)
    try:
        return load_rows(f"{source}:{benchmark.split}", limit)
    except SourceError as error:
        raise BenchmarkError(
            f"{benchmark.name} is neither in a local folder nor to be had from the hub: put {benchmark.name}.jsonl or "
            f".parquet with the columns of {benchmark.source} into a folder and add --data-dir FOLDER, or run where "
            f"the hub can be reached (or has been, with the same cache). {error}"
        ) from error


def _problem(
    benchmark: Benchmark,
    row: Mapping[str, Any],
    index: int,
    shuffle_seed: int,
    seen: Counter[str],
    kinds: Collection[str],
) -> Problem:
    place = f"{benchmark.name}, row {index}"
    columns = benchmark.columns
    column = columns.get("prompt", columns.get("problem"))
    asked = _cell(row, column, place)
    if not isinstance(asked, str) and not ("prompt" in columns and _is_chat(asked)):
        raise BenchmarkError(f"{place}: {column!r} must be a text, got {asked!r:.80}")
    identity = _identity(row, columns.get("id"), asked, seen, place)
    if "prompt" in columns:
        return Problem(identity, asked, True, *_gold(benchmark, row, place, kinds))
    parts = {"problem": asked.strip()}
    if not benchmark.has_options:
        return Problem(identity, _filled(benchmark.prompt, parts), False, *_gold(benchmark, row, place, kinds))
    options, right = _options(benchmark, row, place)
    order = list(range(len(options)))
    random.Random(f"{shuffle_seed}:{benchmark.name}:{identity}").shuffle(order)
    shuffled = [options[number] for number in order]
    parts["options"] = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, shuffled, strict=False))
    metadata = {"options": shuffled, "order": order}
    answer = LETTERS[order.index(right)]
    return Problem(identity, _filled(benchmark.prompt, parts), False, answer, benchmark.kind, metadata)


def _facts(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    """The columns of a row and, behind them, the keys of its metadata (which may be JSON) and of metadata therein."""
    facts = dict(row)
    metadata = row.get(column)
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError):  # a text of another kind, which is the grader's business
            metadata = None
    while isinstance(metadata, Mapping):
        facts = {**metadata, **facts}
        metadata = metadata.get("metadata")
    return facts


def _groups(facts: Mapping[str, Any], by: Sequence[str]) -> dict[str, str]:
    return {name: str(facts[name]) for name in by if facts.get(name) not in (None, "")}


def _filled(template: str, parts: Mapping[str, str]) -> str:
    """The template with its two places filled in one pass: braces in a problem (LaTeX is full of them) mean nothing."""
    return re.sub(r"\{(problem|options)\}", lambda place: parts.get(place[1], place[0]), template)


def _identity(row: Mapping[str, Any], column: str | None, asked: Any, seen: Counter[str], place: str) -> str:
    """The row's own id, or a hash of the prompt; a prompt that comes again is a problem of its own."""
    own = row.get(column) if column is not None else None
    identity = _hash(asked) if own in (None, "") else str(own)
    seen[identity] += 1
    if seen[identity] == 1:
        return identity
    if own not in (None, ""):
        raise BenchmarkError(f"{place} has the id {identity!r} of an earlier row: every problem is counted once")
    return f"{identity}-{seen[identity]}"


def _gold(benchmark: Benchmark, row: Mapping[str, Any], place: str, kinds: Collection[str]) -> tuple[str, str, Any]:
    """Answer, kind and metadata of a row without options."""
    kind = row.get(benchmark.columns.get("kind", "kind")) or benchmark.kind
    check_kinds_of_rows([str(kind)], (benchmark.kind, *kinds))
    load_kind(str(kind))  # an unknown one is an error now, not after hours of generation
    metadata = row.get(benchmark.columns.get("metadata", "metadata"))
    try:
        answer = answer_text(_cell(row, benchmark.columns["answer"], place)).strip()
    except AnswerError as error:
        raise BenchmarkError(f"{place}: {error}") from None
    return answer, str(kind), metadata


def _options(benchmark: Benchmark, row: Mapping[str, Any], place: str) -> tuple[list[str], int]:
    """The texts of the options in the order of the data, and the place of the right one."""
    columns = benchmark.columns
    if "correct" in columns:
        options = [_cell(row, name, place) for name in (columns["correct"], *columns["incorrect"])]
        labels, right = list(LETTERS[: len(options)]), LETTERS[0]
    else:
        cell = _cell(row, columns["options"], place)
        if isinstance(cell, Mapping):  # ARC: {"text": [...], "label": ["A", ...] or ["1", ...]}
            options, labels = list(cell.get("text", ())), [str(label) for label in cell.get("label", ())]
        elif isinstance(cell, Sequence) and not isinstance(cell, str):
            options, labels = list(cell), list(LETTERS[: len(cell)])
        else:
            raise BenchmarkError(f"{place}: {columns['options']!r} must be a list of options, got {cell!r:.80}")
        right = str(_cell(row, columns["answer"], place)).strip()
    if not 2 <= len(options) <= len(LETTERS) or len(labels) != len(options):
        raise BenchmarkError(f"{place}: {len(options)} options with {len(labels)} labels; 2 to {len(LETTERS)} can be")
    if right not in labels:
        raise BenchmarkError(f"{place}: the answer {right!r} is none of the labels {', '.join(labels)}")
    return [str(option).strip() for option in options], labels.index(right)


def _cell(row: Mapping[str, Any], column: str, place: str) -> Any:
    if row.get(column) is None or row[column] == "":
        what = "is empty" if column in row else f"is missing; there are {', '.join(map(str, row))}"
        raise BenchmarkError(f"{place}: the column {column!r} {what}")
    return row[column]


def _is_chat(prompt: Any) -> bool:
    return isinstance(prompt, list) and all(isinstance(entry, Mapping) and "role" in entry for entry in prompt)


def _hash(prompt: Any) -> str:
    text = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_ID_CHARACTERS // 2).hexdigest()

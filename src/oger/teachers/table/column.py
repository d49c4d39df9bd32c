"""The `teachers` column of a training set: what a user may write there, and the one form the trainer reads.

A cell is a list, possibly empty, of texts or of mappings {text, teacher, verdict, num_tokens, ...}. Only usable
trajectories pass: non-empty text that is one turn of the policy (see `oger.teachers.table.turn`), and at most
`max_tokens` tokens including the end of that turn. An over-long text is dropped and counted, never cut (a cut
trajectory teaches not to finish).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypedDict

from datasets import Dataset, Features, List, Value

from oger.teachers.table.schema import TEACHERS
from oger.teachers.table.turn import EndInsideError, NeverClosedError, PolicyTurn
from oger.words import one_of

COLUMN = TEACHERS
_FEATURE = List(
    {"text": Value("string"), "teacher": Value("string"), "verdict": Value("float32"), "num_tokens": Value("int64")}
)
_KEYS = ("text", "teacher", "verdict")
_VERDICTS = {"correct": 1.0, "wrong": 0.0, "undecided": math.nan}
_ROWS_COUNTED_AGAIN = 64  # at least; a whole set that is smaller


class TeacherTrajectory(TypedDict):
    """One trajectory of a prompt, from the reading of the column to the draw."""

    text: str
    teacher: str
    verdict: float | None
    """1.0 correct, 0.0 wrong, NaN undecided, None = its source states none."""
    num_tokens: int | None
    """Its end included: as the source states it, after `normalise_teachers` never None and of the policy's turn."""


@dataclass
class TeacherCounts:
    """What became of the trajectories of a training set. Conservation: `seen` = `kept` + sum of `dropped`."""

    prompts: int = 0
    prompts_without_teacher: int = 0
    seen: int = 0
    kept: int = 0
    kept_without_verdict: int = 0
    kept_by_teacher: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    adapted: int = 0
    """Texts without what the prompt has opened already, or the end that the turn gets anyway."""
    left_open: Counter[str] = field(default_factory=Counter)
    """Kept texts that never close what their prompt has opened, by its tag."""

    def describe(self) -> str:
        """One line for a log."""
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items())) or "none"
        adapted = f", {self.adapted} adapted to the policy's turn" if self.adapted else ""
        return (
            f"{self.kept} of {self.seen} teacher trajectories usable (dropped: {dropped}){adapted}; "
            f"{self.prompts_without_teacher} of {self.prompts} prompts have no teacher"
        )

    def warning(self) -> str | None:
        """What the kept texts teach that is probably not meant; None where nothing is."""
        if not self.left_open:
            return None
        tags = ", ".join(f"{count} never close {tag}" for tag, count in sorted(self.left_open.items()))
        return (
            f"of {self.kept} teacher trajectories, {tags}, which their prompts have opened: they teach the policy to "
            "end its turn inside its thoughts. Close the tag in the texts, or take a template that does not open it."
        )


def parse_verdict(value: Any) -> float | None:
    """Outcome that a table states: 1.0 correct, 0.0 wrong, NaN for "undecided", None = no verdict.

    Raises:
        ValueError: if the value is not a verdict.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None  # a table that passed through pandas holds NaN for what is missing
    if isinstance(value, str) and value in _VERDICTS:
        return _VERDICTS[value]
    if isinstance(value, bool | int | float):
        return float(value >= 1)
    raise ValueError(f"{value!r} is not a verdict: use correct, wrong, undecided, a number, true or false, or null.")


@lru_cache(maxsize=1024)
def _misspelt(key: str) -> str | None:
    """The key that was meant by one that is none of ours; None where it is like none."""
    return None if key in _KEYS else next(iter(get_close_matches(key, _KEYS, n=1, cutoff=0.85)), None)


def parse_trajectory(cell: Any, position: int) -> TeacherTrajectory:
    """One entry of the column; a trajectory without a name is `teacher<position>`.

    Raises:
        ValueError: if the entry is neither a text nor a mapping with a text, or misspells one of its keys.
    """
    entry = {"text": cell} if isinstance(cell, str) else cell
    if not isinstance(entry, Mapping) or not isinstance(entry.get("text"), str):
        raise ValueError(f"column '{COLUMN}': entry {cell!r} is neither a text nor a mapping with a key 'text'.")
    for key in entry:
        meant = _misspelt(str(key))
        if meant and meant not in entry:
            raise ValueError(f"column '{COLUMN}': a trajectory has the key {key!r}; did you mean {meant!r}?")
    return {
        "text": entry["text"],
        "teacher": entry.get("teacher") or f"teacher{position}",
        "verdict": parse_verdict(entry.get("verdict")),
        "num_tokens": _stated_length(entry),
    }


def parse_cell(cell: Any) -> list[TeacherTrajectory]:
    """The trajectories of one prompt; a missing cell has none.

    Raises:
        ValueError: if the cell is not a list, or one of its entries cannot be read.
    """
    return [parse_trajectory(entry, position) for position, entry in enumerate(_entries(cell))]


def only_teachers(rows: Sequence[Mapping[str, Any]], wanted: int | Sequence[str]) -> list[dict[str, Any]]:
    """The rows with trajectories of some teachers only, which are chosen by name and not read yet.

    Args:
        rows: with or without the column `teachers`.
        wanted: names, or how many of those with the most trajectories (by name among equals).

    Raises:
        ValueError: if a cell is not a list, a name occurs in no row, or there are fewer teachers than asked for.
    """
    cells = [[_named(entry, position) for position, entry in enumerate(_entries(row.get(COLUMN)))] for row in rows]
    counts = Counter(entry["teacher"] for cell in cells for entry in cell)
    if isinstance(wanted, int):
        if wanted > len(counts):
            raise ValueError(f"teachers: {wanted} asked for, and the training set has {len(counts)}")
        chosen = set(sorted(counts, key=lambda name: (-counts[name], name))[:wanted])
    else:
        chosen = {one_of(counts, name, "teacher") for name in wanted}
    return [
        {**row, COLUMN: [entry for entry in cell if entry["teacher"] in chosen]}
        for row, cell in zip(rows, cells, strict=True)
    ]


def count_trajectories(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """{"prompts", "without_teachers", "teachers": {name: trajectories}} of a training set, by falling number.

    >>> count_trajectories([{"prompt": "1 + 1?", "teachers": [{"teacher": "a", "text": "2"}]}, {"prompt": "2?"}])
    {'prompts': 2, 'without_teachers': 1, 'teachers': {'a': 1}}
    """
    counts: Counter[str] = Counter()
    prompts = without = 0
    for row in rows:
        entries = parse_cell(row.get(COLUMN))
        counts.update(entry["teacher"] or "unnamed" for entry in entries)
        prompts += 1
        without += not entries
    return {"prompts": prompts, "without_teachers": without, "teachers": dict(counts.most_common())}


def _entries(cell: Any) -> Sequence[Any]:
    if cell is None:
        return []
    if isinstance(cell, str | Mapping) or not isinstance(cell, Sequence):
        raise ValueError(f"column '{COLUMN}' must hold a list of trajectories, got {cell!r}: put it into a list.")
    return cell


def _named(entry: Any, position: int) -> dict[str, Any]:
    """The entry with its teacher's name written out, since another place would give another one."""
    fields = entry if isinstance(entry, Mapping) else {"text": entry}
    return {**fields, "teacher": fields.get("teacher") or f"teacher{position}"}


def _stated_length(entry: Mapping[str, Any]) -> int | None:
    length = entry.get("num_tokens")
    return length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None


def require_column(column_names: Sequence[str]) -> None:
    """Raises ValueError, with the column that was probably meant, if there is no `teachers` column."""
    if COLUMN not in column_names:
        near = get_close_matches(COLUMN, column_names, n=1, cutoff=0.5)
        hint = f"rename '{near[0]}' to '{COLUMN}'" if near else f"add a column '{COLUMN}' (a list of texts per prompt)"
        raise ValueError(f"the training set has no column '{COLUMN}': {hint}, or set teacher_rows=0.")


def normalise_teachers(dataset: Dataset, turn: PolicyTurn, max_tokens: int) -> tuple[Dataset, TeacherCounts]:
    """Reads the column `teachers`, once, brings each text into the policy's turn and drops what cannot be used.

    The lengths that a set states, such as a curated table, are taken for the policy's if those of a sample of its rows,
    spread over the set, are found again with the policy's tokenizer; otherwise every text is counted.

    Args:
        dataset: a training set with the columns `prompt` and `teachers`.
        turn: the policy's; lengths are counted with its tokenizer.
        max_tokens: longest usable trajectory, tokens, its end included.

    Returns:
        The dataset, whose column holds what `TeacherTrajectory` says, and the counts.

    Raises:
        ValueError: if a cell cannot be read; the message names the row.
    """
    counts = TeacherCounts()
    is_counted = _states_lengths_of(turn, dataset)

    def usable(prompt: Any, trajectory: TeacherTrajectory) -> bool:
        counts.seen += 1
        stated = trajectory["text"]
        try:
            text = trajectory["text"] = turn.text_after(prompt, stated)
        except EndInsideError:
            counts.dropped["ended inside"] += 1
            return False
        except NeverClosedError:
            counts.dropped["without </think>"] += 1
            return False
        if not text.strip():
            counts.dropped["empty"] += 1
            return False
        length = trajectory["num_tokens"] if is_counted and text == stated else None
        length = len(turn.token_ids(text)) if length is None else length + len(turn.end_ids) - 1
        trajectory["num_tokens"] = length
        if length > max_tokens:
            counts.dropped["over-long"] += 1
            return False
        counts.kept += 1
        counts.adapted += text != stated
        if (tag := turn.left_open(prompt, text)) is not None:
            counts.left_open[tag] += 1
        counts.kept_without_verdict += trajectory["verdict"] is None
        counts.kept_by_teacher[trajectory["teacher"]] += 1
        return True

    def normalise(batch: dict[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        column = []
        for index, prompt, cell in zip(indices, batch["prompt"], batch[COLUMN], strict=True):
            try:
                trajectories = parse_cell(cell)
            except ValueError as error:
                raise ValueError(f"training set, row {index}: {error}") from error
            column.append([trajectory for trajectory in trajectories if usable(prompt, trajectory)])
            counts.prompts += 1
            counts.prompts_without_teacher += not column[-1]
        return {COLUMN: column}

    normalised = dataset.map(
        normalise,
        batched=True,
        with_indices=True,
        features=Features({**dataset.features, COLUMN: _FEATURE}),
        load_from_cache_file=False,  # the counts are made by the pass itself
        desc="Reading teachers",
    )
    return normalised, counts


def _states_lengths_of(turn: PolicyTurn, dataset: Dataset) -> bool:
    """Whether the stated lengths are those of this tokenizer; a source counts one token for the end."""
    step = max(1, len(dataset) // _ROWS_COUNTED_AGAIN)
    cells = dataset.select_columns([COLUMN]).select(range(0, len(dataset), step))[COLUMN]
    stated = [
        (entry["text"], length)
        for cell in cells
        if isinstance(cell, list)
        for entry in cell
        if isinstance(entry, Mapping) and isinstance(entry.get("text"), str) and (length := _stated_length(entry))
    ]
    beside = 1 - len(turn.end_ids)
    return bool(stated) and all(len(turn.token_ids(text)) + beside == length for text, length in stated)

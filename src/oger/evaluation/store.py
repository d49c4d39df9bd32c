"""The responses of one policy to one benchmark, in a folder: stored as they come, graded when all are there.

responses.jsonl     one line per response that is not graded yet; appended to, a torn last line is cut off
responses.parquet   every graded response; replaced in one step, after which responses.jsonl is removed
settings.json       what they were drawn with; other settings are refused
summary.json        the numbers
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from oger.endpoint.reply import is_count
from oger.evaluation.backends.base import Generated
from oger.evaluation.problems import Prompt
from oger.evaluation.summary import Graded
from oger.io.lines import LineFile, read_lines
from oger.io.lock import HeldError, Lock
from oger.io.objects import read_object
from oger.io.rows import python_rows
from oger.io.whole import regular, remove_leftovers, write_json, write_table
from oger.terminal.errors import one_line

LINES, TABLE, SETTINGS, SUMMARY = "responses.jsonl", "responses.parquet", "settings.json", "summary.json"

Key = tuple[str, int]
"""Problem and sample number."""


class StoreError(ValueError):
    """A folder of responses that cannot be used; the message is one line that says what to do."""


@dataclass(frozen=True)
class StoredResponse:
    """One response, with the prompt's hash, and where it has been graded with all that a new verdict needs."""

    generated: Generated
    asked: str
    """`prompt_hash` of what was asked."""
    graded: Mapping[str, Any] | None = None
    """The row of responses.parquet."""

    @property
    def key(self) -> Key:
        """Problem and sample."""
        return self.generated.problem, self.generated.sample


def prompt_hash(prompt: Prompt) -> str:
    """Short hash of a prompt: a stored response answers this and no other."""
    text = json.dumps(prompt, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def schema() -> Any:
    """Arrow schema of responses.parquet."""
    import pyarrow as pa

    columns = ("problem", "prompt", "answer", "kind", "metadata", "text", "finish_reason", "extracted", "status")
    # prompt, metadata and groups are JSON
    texts = [(name, pa.string()) for name in (*columns, "reason", "rules", "asked", "groups")]
    return pa.schema([*texts, ("sample", pa.int32()), ("num_tokens", pa.int32())])


class Responses:
    """Responses by problem and sample, in memory alone."""

    def __init__(self) -> None:
        self.responses: dict[Key, StoredResponse] = {}
        self.last_line: Key | None = None
        """Last whole response of responses.jsonl: a kill may have cut off the writing of its batch behind it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def add(self, batch: Sequence[Generated], asked: Mapping[str, str]) -> None:
        """Take new responses.

        Args:
            asked: problem -> `prompt_hash` of its prompt.
        """
        new = [StoredResponse(generated, asked[generated.problem]) for generated in batch]
        for response in new:
            if response.key in self.responses:
                raise RuntimeError(f"the response {response.key} is stored already")
        self._keep(new)
        self.responses |= {response.key: response for response in new}

    def _keep(self, new: Sequence[StoredResponse]) -> None:
        """Nothing outlives this object."""


class ResponseStore(Responses):
    """Open a folder for adding responses; a context manager that locks it.

    Args:
        folder: made where it does not exist.
        settings: JSON-ready; must be those of the responses that are there.

    Raises:
        StoreError: other settings, another process at work, or files that are not ours.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.settings = json.loads(json.dumps(settings))
        check_settings(folder, settings)
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            held.enter_context(_locked(folder))
            remove_leftovers(folder)
            self._file = held.enter_context(LineFile(folder / LINES, ascii=True))
            write_json(folder / SETTINGS, self.settings)
            self.responses |= {response.key: response for response in _lines(folder, self._file)}
            self.last_line = next(reversed(self.responses), None)
            self.responses |= {response.key: response for response in read_table(folder)}
            self._held = held.pop_all()

    def __exit__(self, *_: object) -> None:
        with self._held:
            if not self._file.size:
                (self.folder / LINES).unlink(missing_ok=True)

    def _keep(self, new: Sequence[StoredResponse]) -> None:
        """Append responses by one write and wait until the disk has them."""
        try:
            self._file.append({**asdict(response.generated), "asked": response.asked} for response in new)
            self._file.sync()
        except OSError as error:
            raise StoreError(f"cannot write {self.folder / LINES}: {error.strerror}; what is in it is kept") from error

    def close_table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace responses.parquet by `rows`; lines are dropped once the table holds every stored response."""
        import pyarrow as pa

        ordered = sorted(rows, key=lambda row: (row["problem"], row["sample"]))
        write_table(self.folder / TABLE, pa.Table.from_pylist(ordered, schema=schema()))
        if self.responses.keys() <= {(row["problem"], row["sample"]) for row in rows}:
            self._file.cut(0)


def _locked(folder: Path) -> Lock:
    """The folder is locked rather than a file in it: the file of lines comes and goes."""
    try:
        return Lock(folder)
    except HeldError:
        raise StoreError(f"another process is evaluating into {folder}: wait for it") from None
    except OSError as error:
        raise StoreError(f"cannot lock {folder}: {error.strerror}") from error


def check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Whether a folder may take responses drawn with `settings`; writes nothing.

    Raises:
        StoreError: it holds responses drawn with others; the message names the first difference.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is not a folder")
    there = read_json(folder / SETTINGS)
    if there is None:
        return
    here = json.loads(json.dumps(settings))
    for name in sorted(here | there):
        if here.get(name) != there.get(name):
            raise StoreError(
                f"{folder} holds responses drawn with {name} {there.get(name)!r}, now it is {here.get(name)!r}: name "
                "another --out, or use the same settings"
            )


def stored_responses(folder: Path) -> dict[Key, StoredResponse]:
    """What a folder holds; nothing is changed."""
    return {response.key: response for response in (*_lines(folder), *read_table(folder))}


def read_table(folder: Path) -> Iterator[StoredResponse]:
    """The graded responses of a folder.

    Raises:
        StoreError: responses.parquet is not one of ours.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / TABLE
    if not os.path.lexists(path):
        return
    try:
        table = pq.read_table(regular(path), columns=schema().names, page_checksum_verification=True).cast(schema())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"{path} is no table of responses: {one_line(error, 200)}") from error
    for number, row in enumerate(python_rows(table)):
        if isinstance(row, ValueError) or not _is_graded(row):
            raise StoreError(f"{path} row {number} is no response of ours: move the file away, or remove it")
        yield StoredResponse(_generated(row), row["asked"], row)


def graded_row(row: Mapping[str, Any], unfinished: str) -> Graded:
    """A row of responses.parquet, as the statistics want it.

    Args:
        unfinished: see `job.UNFINISHED`.
    """
    graded = Graded(**{field.name: row[field.name] for field in fields(Graded)})
    return replace(graded, extracted=None) if unfinished == "wrong" and graded.truncated else graded


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None where there is no file.

    Raises:
        StoreError: not a JSON object.
    """
    if not os.path.lexists(path):
        return None
    try:
        return read_object(path)
    except ValueError as error:
        raise StoreError(str(error)) from error


def _lines(folder: Path, file: LineFile | None = None) -> Iterator[StoredResponse]:
    """The whole lines of responses.jsonl; what a kill left of another is cut off the open `file`."""
    path = folder / LINES
    for line in read_lines(path):
        if not line.is_whole:
            if file is not None:
                file.cut(line.start)
            return
        try:
            row = line.row()
            yield StoredResponse(_generated(row), row["asked"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} line {line.number} is no response of ours: move the file away") from error


def _generated(row: Mapping[str, Any]) -> Generated:
    """The response in a row; what no response can have as its number of tokens counts as not known.

    Raises:
        KeyError, TypeError: it holds none.
    """
    generated = Generated(**{field.name: row[field.name] for field in fields(Generated)})
    for text in (generated.problem, generated.text, generated.finish_reason, row["asked"]):
        if not isinstance(text, str):
            raise TypeError("no text")
    if not is_count(generated.sample):
        raise TypeError("no number of a sample")
    return generated if is_count(generated.num_tokens) else replace(generated, num_tokens=None)


def _is_graded(row: Mapping[str, Any]) -> bool:
    """Whether a row of the table holds a response, its verdict, and what a new verdict needs."""
    texts = ("problem", "text", "finish_reason", "asked", "prompt", "answer", "kind", "status", "rules")
    if any(row[name] is None for name in texts) or not is_count(row["sample"]):
        return False
    try:
        json.loads(row["metadata"] or "null")
        return isinstance(json.loads(row["groups"] or "{}"), dict)
    except (ValueError, RecursionError):
        return False

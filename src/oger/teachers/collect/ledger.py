"""The file of answers: appended to as answers come, locked, and read again by the next run.

One answer is one JSON line, written by one call and synced to the disk before it counts, so that a killed process
loses no answer it had received; a line that a kill or a full disk tore is cut off when the file is next opened.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oger.endpoint.reply import UNSAID, Answer
from oger.io.lines import Line, LineFile, read_lines
from oger.io.lock import HeldError, Lock
from oger.io.whole import sync
from oger.teachers.collect.plan import CollectError, Request, Settings, canonical

_LINE_START = b'{"id": "'
"""Every line of ours starts so; a file that does not is not ours, and stays as it is."""
_FAILURE_KEYS = {"id", "sample", "reason", "attempts", "prompt"}


@dataclass
class Answered:
    """What a file of answers holds."""

    ids: set[str] = field(default_factory=set)
    truncated: int = 0
    unsaid: int = 0
    """Of those: the server gave no finish reason."""
    counted: int = 0
    """Answers whose number of tokens is known."""
    tokens: int = 0
    """Of those."""
    end: int = 0
    """Bytes up to the end of the last whole line."""
    tail: bytes = b""
    """What follows it: a torn line."""

    @property
    def mean_tokens(self) -> float | None:
        """Of the answers whose number of tokens is known."""
        return self.tokens / self.counted if self.counted else None


def answer_line(request: Request, answer: Answer, settings: Settings) -> dict[str, Any]:
    """One line of the file."""
    return {
        "id": request.id,
        "prompt": request.row.prompt,
        "answer": request.row.answer,
        "kind": request.row.kind,
        "metadata": request.row.metadata,
        "teacher": settings.teacher,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "truncated": answer.truncated,
        "num_tokens": answer.num_tokens,
        "prompt_tokens": answer.prompt_tokens,
        "source": f"{settings.api}/{settings.model}",
        "model": settings.model,
        "sample": request.sample,
        "sampling": settings.sampling(),
        "reasoning_field": answer.reasoning_field,
        "left_out": list(answer.left_out),
        "seconds": round(answer.seconds, 3),
        "attempts": answer.attempts,
    }


def failures_path(path: Path) -> Path:
    """Where the failures of the last run lie: answers.jsonl -> answers.failures.jsonl."""
    return path.with_name(f"{path.stem}.failures{path.suffix}")


def read_answers(path: Path, settings: Settings) -> Answered:
    """Read a file of answers line by line; an absent one has none. Nothing is changed.

    Raises:
        CollectError: not a file of answers, or one made with other settings; the message names the difference.
    """
    if path.exists() and not path.is_file():
        raise CollectError(f"{path} is not a file")
    answered = Answered()
    for line in read_lines(path):
        if line.is_whole:
            _read_line(answered, line.content, settings, f"{path} line {line.number}")
            answered.end = line.end
        else:
            answered.tail = line.content
    if answered.tail and not _may_cut(answered):
        raise CollectError(f"{path} is not a file of collected answers: name another one")
    return answered


class Ledger:
    """The answers of one collection, open for appending and locked against a second process; a context manager.

    Raises:
        CollectError: see `read_answers`; or another process has the file; or it cannot be written.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.answered = Answered()
        self.repaired: str | None = None
        """What was done about a torn line, for the user."""
        self._failures: LineFile | None = None
        self._broken: CollectError | None = None
        try:
            self._file = LineFile(path)
        except OSError as error:
            raise CollectError(f"cannot write {path}: {error.strerror}") from error
        except ValueError as error:
            raise CollectError(f"cannot write: {error}") from error
        with ExitStack() as opened:
            opened.enter_context(self._file)
            opened.enter_context(self._locked())
            self._take_over()
            self._opened = opened.pop_all()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one answer. The system has it then: only a crash of the machine can lose it, until `sync`.

        Raises:
            CollectError: the disk refuses it; the file is left with whole lines only.
        """
        if line["id"] in self.answered.ids:
            raise RuntimeError(f"the answer {line['id']} is in {self.path} already")
        if self._broken is not None:
            raise self._broken
        try:
            self._file.append([line])
        except OSError as error:
            raise self._unwritable(error) from error
        _count_line(self.answered, line)

    async def sync(self) -> None:
        """Wait until the disk has every line written so far.

        Raises:
            CollectError: the disk refuses.
        """
        try:
            await asyncio.to_thread(self._file.sync)
        except OSError as error:
            raise self._unwritable(error) from error

    def note_failure(self, request: Request, reason: str, attempts: int) -> None:
        """Write down a request without an answer; the file beside the answers holds those of the last run."""
        line = {"id": request.id, "sample": request.sample, "reason": reason, "attempts": attempts}
        line["prompt"] = request.row.prompt
        try:
            if self._failures is None:
                self._failures = self._opened.enter_context(LineFile(failures_path(self.path)))
            self._failures.append([line])
        except OSError as error:
            raise CollectError(f"cannot write {failures_path(self.path)}: {error.strerror}") from error

    def _locked(self) -> Lock:
        try:
            return Lock(self.path)
        except HeldError:
            raise CollectError(
                f"another process is collecting into {self.path}: wait for it, or name another file"
            ) from None
        except OSError as error:
            raise CollectError(f"cannot lock {self.path}: {error.strerror}") from error

    def _take_over(self) -> None:
        failures = failures_path(self.path)
        if not all(map(_is_failure, read_lines(failures))):
            raise CollectError(f"{failures}, where failures go, is some other file: move it, or name another --out")
        self.answered = read_answers(self.path, self.settings)
        if tail := self.answered.tail:
            self._repair(tail)
        failures.unlink(missing_ok=True)
        sync(self.path.parent)  # a new file is safe only when its folder is

    def _repair(self, tail: bytes) -> None:
        """A torn line is cut off; one that lacks only its line break is whole and kept."""
        try:
            _read_line(self.answered, tail, self.settings, str(self.path))
        except CollectError:
            self._file.cut(self.answered.end)
            self.repaired = f"cut a torn last line ({len(tail)} bytes) off {self.path}"
        else:
            self._file.end_line()
        self.answered.tail = b""
        self._file.sync()

    def _unwritable(self, error: OSError) -> CollectError:
        """The first reason why the file takes nothing more."""
        self._broken = self._broken or CollectError(
            f"cannot write {self.path}: {error.strerror}; {len(self.answered.ids)} answers are in it: make room and "
            "run the same command again"
        )
        return self._broken


def _read_line(answered: Answered, line: bytes, settings: Settings, place: str) -> None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CollectError(f"{place} is not JSON ({error}): repair the file or name another one") from None
    ours = isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("sampling"), dict)
    if not ours or not line.startswith(_LINE_START):
        raise CollectError(f"{place} is not a collected answer: name another file")
    _check_settings(row, settings, place)
    if row["id"] in answered.ids:
        raise CollectError(f"{place} has the answer {row['id']} a second time: remove one of them")
    _count_line(answered, row)


def _check_settings(row: Mapping[str, Any], settings: Settings, place: str) -> None:
    here = {"model": settings.model, "teacher": settings.teacher, **settings.sampling()}
    there = {"model": row.get("model"), "teacher": row.get("teacher"), **row["sampling"]}
    for name in here | there:
        if canonical(here.get(name)) != canonical(there.get(name)):  # as identities are made: 20 is not 20.0
            raise CollectError(
                f"{place} was collected with {name} {there.get(name)!r}, this command says {here.get(name)!r}: "
                "use the same settings, or name another file"
            )


def _count_line(answered: Answered, row: Mapping[str, Any]) -> None:
    answered.ids.add(row["id"])
    answered.truncated += bool(row.get("truncated"))
    answered.unsaid += row.get("finish_reason") == UNSAID
    if isinstance(row.get("num_tokens"), int):
        answered.counted += 1
        answered.tokens += row["num_tokens"]


def _is_failure(line: Line) -> bool:
    """Whether a line is one of `Ledger.note_failure`, or a torn one; an answer, which begins alike, is none."""
    try:
        return line.row().keys() == _FAILURE_KEYS
    except ValueError:
        return not line.is_whole and line.content.startswith(_LINE_START[: len(line.content)])


def _may_cut(answered: Answered) -> bool:
    """Whether the tail can only be a torn line of ours: it follows one, begins like one, or is what a crash left."""
    tail = answered.tail
    return bool(answered.ids) or tail.startswith(_LINE_START[: len(tail)]) or not tail.strip(b"\0")

"""What worlds share: rows are what curation leaves of everything that the teachers wrote.

The rows of a whole split are kept in the cache, since 20,000 problems take most of a minute to solve and check; the
name of the file holds a digest of all the code that they come from.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any

import oger
from oger.io.cache import cache_folder
from oger.io.whole import write_text
from oger.teachers.curate.counts import CurateReport
from oger.teachers.curate.options import CurateOptions, Source
from oger.teachers.curate.run import curate_rows


class CuratedWorld(ABC):
    """A world whose teachers write short texts that repeat one another's calculations without being copies."""

    name: str
    max_completion_length: int

    @abstractmethod
    def raw_trajectories(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split with all that the teachers wrote, unverified."""

    @abstractmethod
    def base_policy(self) -> Path:
        """Folder of the base policy."""

    def max_completion_length_of(self, split: str) -> int:
        """Tokens that hold every right teacher trajectory of the split and its EOS."""
        return self.max_completion_length

    def rows(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split as curation leaves them (see `World.rows`)."""
        if limit is not None:
            return self.curated(split, limit=limit, seed=seed)[0]
        path = cache_folder() / "worlds" / f"{self.name}-{split}-{seed}-{_digest(self.base_policy())}.jsonl"
        rows = _stored(path)
        if rows is None:
            rows = self.curated(split, seed=seed)[0]
            _store(path, rows)
        return rows

    def curated(
        self, split: str, *, limit: int | None = None, seed: int = 0
    ) -> tuple[list[dict[str, Any]], CurateReport]:
        """Rows of a split and what curation dropped of each teacher, and why."""
        options = CurateOptions(
            sources=(Source(self.name, "world", ""),),
            tokenizer=str(self.base_policy()),
            max_tokens=self.max_completion_length_of(split),
            duplicates="prompt",
        )
        return curate_rows(self.raw_trajectories(split, limit=limit, seed=seed), options)


@cache
def _digest(policy: Path) -> str:
    """Of the code of all packages that rows come from, and of the tokenizer that counts their tokens."""
    package = Path(oger.__file__).parent
    code = [path for part in ("worlds", "teachers", "verification") for path in (package / part).rglob("*.py")]
    digest = hashlib.blake2b(oger.__version__.encode())
    for path in (*sorted(code), policy / "tokenizer.json"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _stored(path: Path) -> list[dict[str, Any]] | None:
    """The rows, None where there are none that can be read: they are made again then."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError):
        return None
    return rows if all(isinstance(row, dict) for row in rows) else None


def _store(path: Path, rows: list[dict[str, Any]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
    except OSError:
        pass  # a full or read-only disk costs the time of making them again, no more

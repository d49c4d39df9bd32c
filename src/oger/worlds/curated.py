"""What worlds share: rows are what curation leaves of everything that the teachers wrote."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

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
        return self.curated(split, limit=limit, seed=seed)[0]

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

"""What a world offers, and the registry of worlds by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from oger.io.rows import WORLD_PREFIX, SourceError
from oger.words import choose


class World(Protocol):
    """Problems in splits, curated teacher trajectories, and a base policy; everything derives from seeds."""

    name: str
    splits: tuple[str, ...]
    max_completion_length: int
    """Tokens that hold every teacher trajectory and its EOS; a good limit for rollouts."""

    def rows(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows with the columns prompt, answer, kind, family, metadata, teachers, as `oger.teachers.curate` makes them.

        The families alternate, so that the first `limit` rows hold all of them. Other seeds draw other problems of the
        same split: no problem lies in two splits, whatever the seeds.
        """
        ...

    def raw_trajectories(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """The same rows with all that the teachers wrote, unverified: what curation starts from."""
        ...

    def base_policy(self) -> Path:
        """Folder in transformers format with the model and the tokenizer."""
        ...


def _arithmetic() -> World:
    from oger.worlds.arithmetic.world import ArithmeticWorld

    return ArithmeticWorld()


def _word_problems() -> World:
    from oger.worlds.word_problems.world import WordProblemsWorld

    return WordProblemsWorld()


_WORLDS: Mapping[str, Callable[[], World]] = {"arithmetic": _arithmetic, "word_problems": _word_problems}


def world_names() -> list[str]:
    """Names that `load_world` accepts."""
    return sorted(_WORLDS)


def load_world(name: str) -> World:
    """The world of that name; an unknown name is a ValueError that says the nearest valid one."""
    return choose(_WORLDS, name, "world")()


def read_split(source: str, *, limit: int | None, raw: bool) -> list[dict[str, Any]]:
    """What `oger.io.rows` reads as "world:NAME/SPLIT", given NAME/SPLIT (see `World.rows`, `World.raw_trajectories`).

    Raises:
        SourceError: no split is named.
        ValueError: no such world or split.
    """
    name, _, split = source.partition("/")
    if not name or not split:
        raise SourceError(f"'{WORLD_PREFIX}{source}' names no split of a world; write {WORLD_PREFIX}NAME/SPLIT")
    world = load_world(name)
    return world.raw_trajectories(split, limit=limit) if raw else world.rows(split, limit=limit)

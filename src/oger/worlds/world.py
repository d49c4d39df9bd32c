"""What a world offers, and the registry of worlds by name."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from oger.io.rows import WORLD_PREFIX, SourceError, split_world, world_name
from oger.plugins import import_object, load_plugin


class World(Protocol):
    """Problems in splits, curated teacher trajectories, and a base policy; everything derives from seeds.

    A world may also have `strategy_of(row, text) -> str | None`, the name of the way in which a correct text solves a
    row: `oger compare` then shows what part of the accuracy each way has.
    """

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


ENTRY_POINT_GROUP = "oger.worlds"

_WORLDS: Mapping[str, str] = {
    "arithmetic": "oger.worlds.arithmetic.world:ArithmeticWorld",
    "numbers": "oger.worlds.numbers.world:NumbersWorld",
    "word_problems": "oger.worlds.word_problems.world:WordProblemsWorld",
}
"""Name to "module:class"."""


def world_names() -> list[str]:
    """Names of the embedded worlds."""
    return sorted(_WORLDS)


def load_world(name: str) -> World:
    """The world of that name.

    Args:
        name: An embedded world, an entry point of the group `oger.worlds`, "package.module:Class", or "file.py:Class"
            in the working folder.

    Raises:
        ValueError: There is none; says the nearest valid name.
    """
    found = load_plugin(name, table=_WORLDS, group=ENTRY_POINT_GROUP, what="world")
    return (import_object(found, what="world") if isinstance(found, str) else found)()


def strategy_rule(source: str) -> Callable[[Mapping[str, Any], str], str | None] | None:
    """`strategy_of` of the world that rows are of; None where it has none, or the rows are no world's."""
    name = world_name(source)
    return None if name is None else getattr(load_world(name), "strategy_of", None)


def read_split(source: str, *, limit: int | None, raw: bool) -> list[dict[str, Any]]:
    """What `oger.io.rows` reads as "world:NAME/SPLIT", given NAME/SPLIT (see `World.rows`, `World.raw_trajectories`).

    Raises:
        SourceError: no split is named.
        ValueError: no such world or split.
    """
    name, split = split_world(source)
    if not name or not split:
        raise SourceError(f"'{WORLD_PREFIX}{source}' names no split of a world; write {WORLD_PREFIX}NAME/SPLIT")
    world = load_world(name)
    return world.raw_trajectories(split, limit=limit) if raw else world.rows(split, limit=limit)

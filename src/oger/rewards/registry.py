"""Shaping rewards by name. A new one is one small file with the decorator, and one line in `_SHIPPED`."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch import Tensor

from oger.plugins import load_plugin
from oger.rewards.group import RewardGroup

ShapingReward = Callable[[RewardGroup], Tensor]

ENTRY_POINT_GROUP = "oger.shaping_rewards"

_SHIPPED = {
    "oger": "oger.rewards.oger:oger",
    "within_group_diversity": "oger.rewards.within_group_diversity:within_group_diversity",
    "distinct_quality": "oger.rewards.distinct_quality:distinct_quality",
    "elliptical_novelty": "oger.rewards.elliptical_novelty:elliptical_novelty",
    "novelty": "oger.rewards.novelty:novelty",
}
_registered: dict[str, ShapingReward] = {}


def shaping_reward(name: str) -> Callable[[ShapingReward], ShapingReward]:
    """Decorator that registers a function (group) -> (G,) as the shaping reward `name`; the last one of a name counts.

    Raises:
        ValueError: A shipped reward has this name, or it holds what a metric name cannot ("/", blanks).
    """
    if not name or any(character in "/ \t\n" for character in name):
        raise ValueError(f"a shaping reward's name has no blanks and no '/', got {name!r}")

    def register(function: ShapingReward) -> ShapingReward:
        if name in _SHIPPED and not _SHIPPED[name].startswith(f"{function.__module__}:"):
            raise ValueError(f"{name!r} is a shipped shaping reward: give {function.__qualname__} another name")
        _registered[name] = function
        function.shaping_name = name  # type: ignore[attr-defined]
        return function

    return register


def shaping_reward_names() -> list[str]:
    """Names of the shipped and the registered shaping rewards."""
    return sorted({*_SHIPPED, *_registered})


def load_shaping_reward(spec: str) -> tuple[str, ShapingReward]:
    """(name, function) of "name", "package.module:function", "file.py:function", or a file that defines one.

    The name is the one under which the reward is logged.

    Raises:
        ValueError: There is none, or the object found is not a function; the message says what to write.
    """
    references = {**dict.fromkeys(_registered), **_SHIPPED}
    found = _registered.get(spec)
    if found is None:
        reference = load_plugin(spec, table=references, group=ENTRY_POINT_GROUP, what="shaping reward")
        found = reference
        if isinstance(reference, str):  # one of the shipped, imported only now
            found = load_plugin(reference, table={}, group=ENTRY_POINT_GROUP, what="shaping reward")
    if isinstance(found, ModuleType):
        found = _only_reward_of(found, spec)
    if not callable(found):
        raise ValueError(f"shaping reward {spec!r} is no function of a group")
    return getattr(found, "shaping_name", spec.rpartition(":")[2]), found


def _only_reward_of(module: ModuleType, spec: str) -> Any:
    rewards = [value for value in vars(module).values() if hasattr(value, "shaping_name")]
    own = [reward for reward in rewards if reward.__module__ == module.__name__]
    if len(own) != 1:
        names = ", ".join(reward.__name__ for reward in own) or "none"
        raise ValueError(f"{spec} defines {len(own)} shaping rewards ({names}): write {spec}:FUNCTION")
    return own[0]

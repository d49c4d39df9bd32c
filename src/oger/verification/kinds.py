"""How an extracted answer is compared with the gold answer: one kind per sort of task, found by name.

A kind comes from the table `KINDS`, from an entry point of the group `oger.kinds` (a package's own kind, by a short
name), or from `package.module:function` (a function of the user's, anywhere on the path). A grader lets its exceptions
out; the pool is the boundary that turns them into "undecided". Heavy libraries are imported inside the graders, so
that importing this module costs nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from oger.plugins import load_plugin
from oger.verification.choice import grade_choice, instant_choice
from oger.verification.golds import GoldRule, read_gold
from oger.verification.gym_grader import grade_reasoning_gym
from oger.verification.math.grader import grade_math, instant_math
from oger.verification.verdict import Judgement

ENTRY_POINT_GROUP = "oger.kinds"


Grader = Callable[[str, str, Any], "bool | Judgement"]  # (gold, extracted, metadata); raising = undecided
Instant = Callable[[str, str, Any], "bool | None"]  # the same in linear time, or None = ask the grader


@dataclass(frozen=True)
class Kind:
    """A way of comparing answers."""

    name: str
    grade: Grader
    """Runs only inside worker processes: it may hang, crash or eat memory."""
    instant: Instant | None = None
    """Decides the easy pairs in the caller's process, in time linear in the answers; None = ask `grade`."""
    probe: tuple[str, str, str, Any] | None = None
    """(gold, a right answer, a wrong answer, metadata): what a run checks before it starts."""
    read_gold: GoldRule | None = None
    """Finds the gold answer in what a data set stores, in linear time; None from it = unreadable, hence undecided."""


def same_text(gold: str, extracted: str, metadata: Any = None) -> bool:
    """Equal up to surrounding white space: the grader of the kind "exact"."""
    return gold.strip() == extracted.strip()


_GYM_ENTRY = {"question": "12 + 7 =", "answer": "19", "metadata": {"source_dataset": "chain_sum"}}

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "math",
            grade_math,
            instant_math,
            probe=(r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}", r"\frac{1}{\sqrt{3}}", None),
            read_gold=read_gold,
        ),
        Kind(
            "choice",
            grade_choice,
            instant_choice,
            probe=("B", "(B)", "C", {"options": ["yes", "no", "perhaps"]}),
            read_gold=read_gold,
        ),
        Kind("exact", same_text, same_text, probe=("B", " B", "b", None)),
        Kind("reasoning_gym", grade_reasoning_gym, probe=("19", "19", "20", _GYM_ENTRY)),
    )
}


@cache
def load_kind(name: str) -> Kind:
    """The kind called `name`.

    Args:
        name: A key of `KINDS`; the name of an entry point of the group `oger.kinds`; or `package.module:function`.
            What the last two refer to is a grader `(gold, extracted, metadata) -> bool | Judgement`, which may carry
            the attributes `instant` and `probe` of a `Kind`, or is a `Kind` itself.

    Raises:
        ValueError: No such kind (the message names the nearest), the module or the function is missing, or what is
            found there cannot be called.
    """
    found = load_plugin(name, table=KINDS, group=ENTRY_POINT_GROUP, what="kind")
    if isinstance(found, Kind):
        return found
    if not callable(found):
        raise ValueError(f"kind {name!r} is a {type(found).__name__}, not a function (gold, extracted, metadata)")
    return Kind(name, found, getattr(found, "instant", None), getattr(found, "probe", None))


def check_kinds_of_rows(names: Iterable[str], allowed: Collection[str] = ()) -> None:
    """Data choose no code: what rows name is a kind of `KINDS`, of an installed package, or one that the user allowed.

    Args:
        names: Kinds as rows of a data set state them.
        allowed: Kinds of the form `package.module:function` or `file.py:function` that the user named.

    Raises:
        ValueError: Another kind of that form.

    >>> check_kinds_of_rows(["math", "mine:grade"], ["mine:grade"])
    """
    for name in names:
        if (":" in name or name.endswith(".py")) and name not in allowed:
            raise ValueError(
                f"a row names the code {name!r} as its kind, and rows alone load no code: list it under kinds in the "
                "recipe (oger evaluate: --kinds; in Python: kinds=...) if you trust it"
            )

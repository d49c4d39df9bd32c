"""What a task family consists of: a reasoning-gym generator, a short rendering, and one style per teacher."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oger.worlds.arithmetic.pen import Pen, Solution

Problem = tuple[int, ...]  # the numbers of one problem; each family says what they mean
Style = Callable[[Problem, Pen], Solution]


@dataclass(frozen=True)
class Range:
    """Problems out of the base policy's reach: generator options, and which of the generated problems count."""

    options: Mapping[str, Any]
    accepts: Callable[[Problem], bool] = lambda problem: True


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of problem. The generator and the scorer are reasoning-gym's; rendering and styles are ours."""

    name: str
    """The reasoning-gym data set, and the name in the `family` column."""
    in_distribution: Mapping[str, Any]
    """Generator options of pre-training, training, validation and test problems."""
    longer: Mapping[str, Any] | None = None
    """Generator options of problems with more steps; None where they are out of a small policy's reach."""
    larger: Mapping[str, Any] | None = None
    """Generator options of problems with larger numbers; None where they are out of a small policy's reach."""
    hard: Range | None = None
    """The problems of the hard regime; none of them can come from the options above."""
    hard_ood: Range
    """Problems still further out, for policies that were trained in the hard regime."""
    parse: Callable[[Mapping[str, Any]], Problem]
    """The numbers of a problem, from reasoning-gym's metadata."""
    render: Callable[[Problem], str]
    """The prompt that the policy reads."""
    accepts: Callable[[Problem], bool] = lambda problem: True
    """Problems on which the styles differ; the others are not drawn."""
    commutes: bool = False
    """Order of the numbers does not matter, so two orders are the same problem and stay in the same split."""
    styles: tuple[Style, Style, Style]
    """One way of reasoning per teacher, in the order of `oger.worlds.arithmetic.teachers.TEACHERS`."""

    def key(self, problem: Problem) -> str:
        """Identity of a problem: two problems with the same key never lie in different splits."""
        return f"{self.name}:{','.join(map(str, sorted(problem) if self.commutes else problem))}"

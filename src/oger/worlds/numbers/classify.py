"""In which strategy a solution is written, by rule: a teacher's, the policy's own, or a new one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oger.worlds.numbers.terms import Term, read_term

SORTS = ("products", "pairs", "backward", "own", "new")

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")


def strategy_of(text: str, numbers: Sequence[int], target: int) -> str | None:
    r"""One of SORTS for a right solution; None if the box holds no computation that is right.

    products, pairs, backward: the last attempt writes the subgoal of a teacher, and the expression has that form.
    new: a teacher's way of writing with a form that no teacher has, or a form that none has whichever way it is
    written: something is scaled in the middle, as in ((5-2)*7)+3.
    own: everything else; walks above all.

    >>> strategy_of(r"3*7=21 24-21=3 5-2=3 \boxed{(3*7)+(5-2)}", (3, 7, 2, 5), 24)
    'products'
    >>> strategy_of(r"3*7=21 5-2=3 21+3=24 \boxed{(3*7)+(5-2)}", (3, 7, 2, 5), 24)
    'own'
    """
    term = solution_in(text, numbers, target)
    if term is None:
        return None
    form = form_of(term)
    if form == "scaled":
        return "new"
    if not _writes_subgoal(text, term, target):
        return "own"
    return form if form in SORTS else "new"


def solution_in(text: str, numbers: Sequence[int], target: int) -> Term | None:
    """The boxed computation, if it reaches the target with exactly these numbers by the rules of the game."""
    boxes = _BOX.findall(text)
    term = read_term(boxes[-1]) if boxes else None
    right = term is not None and term.value == target and sorted(term.numbers) == sorted(numbers)
    return term if right else None


def form_of(term: Term) -> str:
    """The form of an expression of three numbers or more: products, pairs, backward, scaled or other.

    >>> [form_of(read_term(t)) for t in ("(3*7)+(5-2)", "(5+1)*(8-4)", "((9+5)-2)*2", "((5-2)*7)+3", "((9+5)-2)+12")]
    ['products', 'pairs', 'backward', 'scaled', 'other']
    """
    assert term.parts
    left, operator, right = term.parts
    if scales_in_the_middle(term):
        return "scaled"
    if operator in "+-":
        return "products" if _is_product_of_two(left) or _is_product_of_two(right) else "other"
    if left.parts and right.parts:
        return "pairs"
    return "backward"


def scales_in_the_middle(term: Term) -> bool:
    """Whether a computed term is multiplied or divided by a given number and the result is used further."""
    return term.parts is not None and any(
        _is_scaled(part) or scales_in_the_middle(part) for part in (term.parts[0], term.parts[2])
    )


def _is_scaled(term: Term) -> bool:
    if term.parts is None or term.parts[1] in "+-":
        return False
    return (term.parts[0].parts is None) != (term.parts[2].parts is None)


def _is_product_of_two(term: Term) -> bool:
    return term.parts is not None and term.parts[1] == "*" and len(term.numbers) == 2


def _writes_subgoal(text: str, term: Term, target: int) -> bool:
    """Whether the last attempt calculates with the target, beyond what the expression itself does."""
    attempt = text.split("\\boxed{")[0].split(" no ")[-1].split()
    return any(
        str(target) in re.split(r"[+*/-]", step.split("=")[0]) for step in attempt if step not in set(term.all_steps)
    )

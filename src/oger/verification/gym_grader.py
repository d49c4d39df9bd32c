"""Grader of the kind `reasoning_gym`: the task's own scorer, kept from running what it is given.

Some of reasoning-gym's scorers hand the answer, the gold answer or the metadata to `eval` or to sympy's `parse_expr`,
which is `eval` behind a tokenizer. All three come from models and data files. Here `eval` reads literals and arithmetic
alone, and what a scorer would parse must be a formula.
"""

import ast
import json
import operator
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_PARSED: Mapping[str, Callable[[Mapping[str, Any]], Any] | None] = {
    "countdown": None,
    "intermediate_integration": lambda entry: entry["metadata"]["integrand"],
    "polynomial_multiplication": lambda entry: entry["answer"],
    "puzzle24": None,
    "simple_integration": lambda entry: entry["metadata"]["integrand"],
}
"""Data sets whose scorer hands the answer to sympy -> what of the entry it hands over besides."""
_FOUR_OPERATIONS = ("countdown", "puzzle24")
"""Games with numbers, whose rules name four operations; their scorers also take powers and functions."""
_NO_SUCH_OPERATION = re.compile(r"\*\s*\*|/\s*/|[^\d\s.+\-*/()]")
_FUNCTIONS = "a?(?:sin|cos|tan|sec|csc|cot)h?|exp|log|ln|sqrt|Abs|pi"
_FORMULA = re.compile(rf"(?:[\d\s.,+\-*/^()]|(?<![A-Za-z])(?:{_FUNCTIONS}|[A-Za-z])(?![A-Za-z]))*")

_OPERATORS: Mapping[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.Invert: operator.invert,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def grade_reasoning_gym(gold: str, extracted: str, metadata: Any = None) -> bool:
    """reasoning-gym's own scorer of the task; its partial credit (anything below 1) counts as wrong.

    `metadata` is reasoning-gym's entry (question, answer, metadata with `source_dataset`), as a mapping or JSON text.
    """
    entry = json.loads(metadata) if isinstance(metadata, str) else metadata
    if not isinstance(entry, Mapping) or not isinstance(entry.get("metadata"), Mapping):
        raise ValueError("kind 'reasoning_gym' needs the reasoning-gym entry in `metadata`")
    entry = {"answer": gold, **entry}
    dataset = entry["metadata"]["source_dataset"]
    if dataset in _PARSED:
        besides = _PARSED[dataset]
        if besides is not None and not is_formula(besides(entry)):
            raise ValueError(f"the entry of the task {dataset!r} holds something other than a formula")
        if not is_formula(extracted) or (dataset in _FOUR_OPERATIONS and _NO_SUCH_OPERATION.search(extracted)):
            return False
    return reasoning_gym_scorer(dataset)(extracted, entry) >= 1


@cache
def reasoning_gym_scorer(dataset: str) -> Callable[[str, Mapping[str, Any]], float]:
    """The `score_answer` of one reasoning-gym data set; kept, because building the data set is the slow part."""
    from reasoning_gym import get_score_answer_fn

    score = get_score_answer_fn(dataset)
    # A name of its module stands before the builtin of the same name.
    vars(sys.modules[type(score.__self__).__module__])["eval"] = evaluate
    return score


def is_formula(text: Any) -> bool:
    """Whether a text holds numbers, letters, known functions, operators and parentheses alone.

    >>> is_formula("2*x**2 + sin(x)/3 + C"), is_formula("__import__('os')"), is_formula("x.diff()")
    (True, False, False)
    """
    return isinstance(text, str) and _FORMULA.fullmatch(text) is not None


def evaluate(text: str) -> Any:
    """What `eval` gives for literals, lists, tuples, sets, mappings and arithmetic.

    Raises:
        ValueError: anything else, names and calls among it. SyntaxError: no Python.

    >>> evaluate("[['Q', '_'], [1, 0x1f >> 2]]")
    [['Q', '_'], [1, 7]]
    """
    return _value(ast.parse(text.strip(), mode="eval").body)


def _value(node: ast.expr | None) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(operand))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
    raise ValueError("neither a literal nor arithmetic")

"""How an extracted answer is compared with the gold answer: one named function per kind of task.

A grader returns True or False and lets its exceptions out; `verify` is the boundary that turns them into "undecided".
Heavy libraries are imported inside the graders, so that importing this module costs nothing.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_MAX_MATH_CHARACTERS = 2000
_ENDLESS = re.compile(
    r"""(?:\^|\*\*)\s*(?:[{(][^{}]*(?:\^|\*\*)|[\w.]+\s*(?:\^|\*\*))  # a power in an exponent
    |(?:\^|\*\*)\s*[{(]?\s*-?\d{4,}                                  # an exponent of four digits
    |(?:[)}\]]|\d{3,})\s*!                                            # a factorial of an expression or of 100 and more
    """,
    re.VERBOSE,
)

Grader = Callable[[str, str, Any], bool]  # (gold, extracted, metadata)


def grade_exact(gold: str, extracted: str, metadata: Any = None) -> bool:
    """Equal up to surrounding white space."""
    return gold.strip() == extracted.strip()


def grade_math(gold: str, extracted: str, metadata: Any = None) -> bool:
    """Mathematically equal, as math-verify sees it.

    Both sides are parsed as one boxed expression, because the answer was located already. The library's timeouts use
    signals, which work only on the main thread, so they are off here. An answer whose evaluation could take forever
    (towers of powers, huge exponents and factorials, thousands of characters) is refused instead.
    """
    if len(extracted) > _MAX_MATH_CHARACTERS or _ENDLESS.search(extracted):
        raise ValueError("the answer is too long or too expensive to evaluate")
    from math_verify import parse
    from math_verify import verify as math_verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the missing timeouts in every run
    parsed_gold = parse(f"\\boxed{{{gold}}}", parsing_timeout=None, raise_on_error=True)
    if not parsed_gold:
        raise ValueError(f"math-verify reads nothing in the gold answer {gold!r}")
    parsed = parse(f"\\boxed{{{extracted}}}", parsing_timeout=None)
    return bool(parsed) and bool(math_verify(parsed_gold, parsed, timeout_seconds=None))


def grade_reasoning_gym(gold: str, extracted: str, metadata: Any = None) -> bool:
    """reasoning-gym's own scorer of the task; its partial credit (anything below 1) counts as wrong.

    `metadata` is reasoning-gym's entry (question, answer, metadata with `source_dataset`), as a mapping or JSON text.
    """
    entry = json.loads(metadata) if isinstance(metadata, str) else metadata
    if not isinstance(entry, Mapping) or "metadata" not in entry:
        raise ValueError("kind 'reasoning_gym' needs the reasoning-gym entry in `metadata`")
    score = reasoning_gym_scorer(entry["metadata"]["source_dataset"])
    return score(extracted, {"answer": gold, **entry}) >= 1


@cache
def reasoning_gym_scorer(dataset: str) -> Callable[[str, Mapping[str, Any]], float]:
    """The `score_answer` of one reasoning-gym data set; kept, because building the data set is the slow part."""
    from reasoning_gym import get_score_answer_fn

    return get_score_answer_fn(dataset)


KINDS: Mapping[str, Grader] = {
    "exact": grade_exact,
    "math": grade_math,
    "reasoning_gym": grade_reasoning_gym,
}

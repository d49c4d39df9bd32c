"""Before a run: one known-correct and one known-wrong answer must come out right, or the run must not start.

They take the whole path of training: the answer rules, the pool, a worker process, the grader. A verifier that cannot
work would otherwise give every rollout 0, or every rollout nothing, in silence.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from oger.verification.formats import DEFAULT_RULES
from oger.verification.golds import survey
from oger.verification.kinds import KINDS, check_kinds_of_rows, load_kind
from oger.verification.verdict import Verdict, VerifierError
from oger.verification.verifier import DEFAULT_KIND, DEFAULT_TIMEOUT_S, VerifierPool
from oger.verification.verify import shared_pool
from oger.words import choose

_NO_ANSWER_TO_ANYTHING = "no such answer 7919"
_WRITTEN = {  # the reverse of each answer rule
    "last_boxed": r"Therefore \boxed{{{}}}.",
    "boxed_or_said": r"Therefore \boxed{{{}}}.",
    "after_think": "<think>\nLet me see.\n</think>\n{}",
    "after_think_or_whole": "<think>\nLet me see.\n</think>\n{}",
    "hash_answer": "Therefore\n#### {}\n",
    "answer_phrase": "The answer is {}",
    "answer_tag": "<answer>{}</answer>",
    "whole": "{}",
}


def probe(
    kind: str = DEFAULT_KIND,
    *,
    gold: str | None = None,
    metadata: Any = None,
    rules: Sequence[str] = DEFAULT_RULES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    pool: VerifierPool | None = None,
) -> None:
    """Check that verification works, the way a run is going to use it.

    Args:
        kind: The kind; if it declares a probe, its right answer must be correct and its wrong answer wrong.
        gold: For a kind without a probe: a gold answer, which must be correct when compared with itself, while a
            made-up answer must not be.
        metadata: What the grader needs for `gold`.
        rules: The answer rules of the run.
        timeout_s: The deadline of the run, seconds.
        pool: The pool of the run; None = the one behind `verify_many`.

    Raises:
        VerifierError: a pair came out otherwise; the message says which, how and why.
        ValueError: an unknown kind or rule, or neither a probe nor `gold`.
    """
    example = load_kind(kind).probe
    if example is not None:
        gold, right, wrong, metadata = example
    elif gold is not None:
        right, wrong = gold, _NO_ANSWER_TO_ANYTHING
    else:
        raise ValueError(f"kind {kind!r} declares no probe: give a gold answer (and its metadata) to probe it with")
    responses = [_response(answer, rules) for answer in (right, wrong)]
    verdicts = (pool or shared_pool()).verify_many(
        [gold, gold], responses, kind=kind, metadata=[metadata, metadata], rules=rules, timeout_s=timeout_s
    )
    expectations = ("correct",), ("wrong",) if example is not None else ("wrong", "undecided")
    for answer, verdict, expected in zip((right, wrong), verdicts, expectations, strict=True):
        if verdict.status not in expected or verdict.extracted is None:
            raise VerifierError(_refusal(kind, rules, gold, answer, verdict, expected[0]))


def probe_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    rules: Sequence[str] = DEFAULT_RULES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    kinds: Collection[str] = (),
) -> None:
    """`probe` every kind of a data set, with the first row of each.

    Args:
        rows: Mappings with "answer" and, where known, "kind" and "metadata".
        rules: The answer rules of the run.
        timeout_s: The deadline of the run, seconds.
        kinds: Kinds of the user's own that rows may name; see `check_kinds_of_rows`.

    Raises:
        VerifierError: a pair came out wrongly.
        ValueError: an unknown kind or rule, or a row's kind is code that is not among `kinds`.
    """
    first: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        first.setdefault(row.get("kind") or DEFAULT_KIND, row)
    check_kinds_of_rows(first, kinds)
    for kind, row in first.items():
        probe(kind, gold=row["answer"], metadata=row.get("metadata"), rules=rules, timeout_s=timeout_s)


def gold_line(rows: Iterable[Mapping[str, Any]], kind: str = DEFAULT_KIND) -> str | None:
    """One line on how the gold answers of a source are written (`golds.survey`); None where no kind looks for them.

    Args:
        rows: Mappings with "answer" and, where known, "kind".
        kind: Of rows that name none.
    """
    places, golds = [], []
    for place, row in enumerate(rows):
        found = KINDS.get(row.get("kind") or kind)
        if found is not None and found.read_gold is not None:
            places.append(place)
            golds.append(row["answer"])
    if not golds:
        return None
    found_so = survey(golds)
    return replace(found_so, unreadable=tuple(places[index] for index in found_so.unreadable)).line


def _response(answer: str, rules: Sequence[str]) -> str:
    """A response in which `rules` find `answer`."""
    for rule in reversed(rules):
        answer = choose(_WRITTEN, rule, "answer rule").format(answer)
    return answer


def _refusal(kind: str, rules: Sequence[str], gold: str, answer: str, verdict: Verdict, expected: str) -> str:
    return (
        f"the verifier does not work, so nothing may start: kind {kind!r} with the rules {' > '.join(rules)} was asked "
        f"about the answer {answer!r} to the gold answer {gold!r}, which is {expected}, and said {verdict.status}: "
        f"{verdict.reason}"
    )

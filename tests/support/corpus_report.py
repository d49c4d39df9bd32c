"""How math-verify alone does on the corpus, beside the whole verifier: `python -m tests.support.corpus_report`.

Both get the same answers, found by the same rule. math-verify runs with its defaults, in a worker process of the pool.
"""

import logging
from collections import Counter
from typing import Any

from tests.support.corpus_cases import grade, load_cases


def math_verify_alone(gold: str, extracted: str, metadata: Any = None) -> bool:
    """The first grader by itself."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    parsed_gold = parse(f"\\boxed{{{gold}}}", parsing_timeout=None, raise_on_error=True)
    if not parsed_gold:
        raise ValueError("math-verify reads nothing in the gold answer")
    return bool(verify(parsed_gold, parse(f"\\boxed{{{extracted}}}", parsing_timeout=None), timeout_seconds=None))


def main() -> None:
    """Print the rates and a table of families."""
    cases = [case for case in load_cases() if case.kind == "math"]
    first = grade(cases, kind=f"{__spec__.name}:{math_verify_alone.__name__}")
    final = grade(cases)
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("cases", "accepts", "rejects", "undecided", "final")
    }
    for case, alone, ours in zip(cases, first, final, strict=True):
        counts["cases"][case.family] += 1
        if alone.status != case.expected:
            column = {"correct": "accepts", "wrong": "rejects", "undecided": "undecided"}[alone.status]
            counts[column][case.family] += 1
        counts["final"][case.family] += ours.status != case.expected
    disagree = sum(alone.status != ours.status for alone, ours in zip(first, final, strict=True))
    overruled = sum(verdict.overruled for verdict in final)
    totals = {name: counter.total() for name, counter in counts.items()}
    alone_wrong = totals["accepts"] + totals["rejects"] + totals["undecided"]
    print(f"{len(cases)} math cases")
    print(f"math-verify alone: {alone_wrong} verdicts differ from the expected ones ({alone_wrong / len(cases):.2%})")
    print(f"whole verifier: {totals['final']} differ ({totals['final'] / len(cases):.2%}), all of them known limits")
    print(f"the two disagree on {disagree} ({disagree / len(cases):.2%}); math-verify asked and overruled: {overruled}")
    print(f"\n{'family':<22}{'cases':>6}{'accepts wrong':>15}{'rejects right':>15}{'undecided':>11}{'verifier':>10}")
    for family, number in sorted(counts["cases"].items()):
        row = [counts[name][family] for name in ("accepts", "rejects", "undecided", "final")]
        print(f"{family:<22}{number:>6}{row[0]:>15}{row[1]:>15}{row[2]:>11}{row[3]:>10}")


if __name__ == "__main__":
    main()

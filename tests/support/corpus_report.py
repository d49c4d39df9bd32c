"""How the verifier does on labelled answers, beside math-verify alone: `python -m tests.support.corpus_report`.

Three sets: the corpus by hand; answers as people write them (`as_written`, `lookalikes`, `spellings`); and pairs that
sympy makes, half of them equal in another form, half different. Both graders get the same answers, found by the same
rules, in workers of the pool; math-verify runs with its defaults. A false positive is a wrong answer called correct, a
false negative a right one that is not; each share has its 95 % interval after Wilson.
"""

import argparse
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from oger.verification import Verdict
from tests.support.corpus_cases import Case, grade, load_cases
from tests.support.generated_pairs import equal, unequal

_Z = 1.959963984540054  # of 95 %, both sides


def math_verify_alone(gold: str, extracted: str, metadata: Any = None) -> bool:
    """The first grader by itself."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)
    parsed_gold = parse(f"\\boxed{{{gold}}}", parsing_timeout=None, raise_on_error=True)
    if not parsed_gold:
        raise ValueError("math-verify reads nothing in the gold answer")
    return bool(verify(parsed_gold, parse(f"\\boxed{{{extracted}}}", parsing_timeout=None), timeout_seconds=None))


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share, after Wilson; (0, 1) without trials.

    >>> [round(end, 4) for end in wilson(0, 100)]
    [0.0, 0.037]
    """
    if not trials:
        return 0.0, 1.0
    share, square = hits / trials, _Z**2 / trials
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * (share * (1 - share) / trials + square / (4 * trials)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def generated_cases(count: int, seed: int = 0) -> list[Case]:
    """So many pairs, half of them equal."""
    cases = []
    for index in range(count):
        generator = random.Random(f"{seed} {index}")
        gold, answer = equal(generator) if index % 2 else unequal(generator)
        expected = "correct" if index % 2 else "wrong"
        cases.append(Case(gold, f"\\boxed{{{answer}}}", expected, "generated"))
    return cases


def _share(hits: int, trials: int) -> str:
    low, high = wilson(hits, trials)
    return f"{hits}/{trials} = {hits / max(trials, 1):.2%} [{low:.2%}, {high:.2%}]"


def print_set(name: str, cases: Sequence[Case], verdicts: Sequence[tuple[str, Sequence[Verdict]]]) -> None:
    """False positives and negatives of each grader on one set."""
    wrong = sum(case.expected == "wrong" for case in cases)
    right = sum(case.expected == "correct" for case in cases)
    for grader, found in verdicts:
        pairs = list(zip(cases, found, strict=True))
        positives = sum(case.expected == "wrong" and verdict.status == "correct" for case, verdict in pairs)
        negatives = sum(case.expected == "correct" and verdict.status != "correct" for case, verdict in pairs)
        print(f"| {name} | {grader} | {_share(positives, wrong)} | {_share(negatives, right)} |", flush=True)


def print_families(cases: Sequence[Case], first: Sequence[Verdict], final: Sequence[Verdict]) -> None:
    """Where the two graders differ from the label, by family."""
    counts: dict[str, Counter[str]] = {"cases": Counter(), "math-verify": Counter(), "verifier": Counter()}
    for case, alone, ours in zip(cases, first, final, strict=True):
        counts["cases"][case.family] += 1
        counts["math-verify"][case.family] += alone.status != case.expected
        counts["verifier"][case.family] += ours.status != case.expected
    print(f"\n{'family':<22}{'cases':>7}{'math-verify':>13}{'verifier':>10}")
    for family, number in sorted(counts["cases"].items()):
        print(f"{family:<22}{number:>7}{counts['math-verify'][family]:>13}{counts['verifier'][family]:>10}")


def main() -> None:
    """Print the table of sets and the table of families."""
    parser = argparse.ArgumentParser(description="The verifier and math-verify alone on labelled answers.")
    parser.add_argument("--generated", type=int, default=3000, help="pairs that sympy makes")
    cases = [case for case in load_cases() if case.kind == "math"]
    new = ("as_written", "lookalikes", "spellings")
    sets = {
        "corpus by hand": [case for case in cases if case.family not in new],
        "as people write, look-alikes": [case for case in cases if case.family in new],
        "generated": generated_cases(parser.parse_args().generated),
    }
    print("| set | grader | false positives | false negatives |\n|---|---|---|---|")
    families: tuple[list[Case], list[Verdict], list[Verdict]] = ([], [], [])
    for name, chosen in sets.items():
        final = grade(chosen, timeout_s=20)
        first = grade(chosen, timeout_s=5, kind=f"{__spec__.name}:{math_verify_alone.__name__}")
        print_set(name, chosen, (("verifier", final), ("math-verify alone", first)))
        for column, found in zip(families, (chosen, first, final), strict=True):
            column.extend(found)  # type: ignore[arg-type]
    print_families(*families)


if __name__ == "__main__":
    main()

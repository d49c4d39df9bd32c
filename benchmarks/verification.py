r"""How fast are verdicts? The verifier with two workers beside the plain loop over math-verify, in one run.

    python -m benchmarks.verification            # about ten minutes on two cores
    python -m benchmarks.verification --quick    # under a minute

Two sets of responses of about 2,000 characters, every pair of gold answer and answer distinct, so that the verifier's
memory decides nothing: integers, and the mathematical cases of the test corpus (fractions, sets, intervals, units ...)
without towers of powers, on which math-verify alone waits for its timeout.
Four ways to grade the same set, in turn (A B C D A B C D ...), each repetition with a fresh pool whose workers are
started and warm before the clock starts:

- plain: math-verify's `parse` and `verify` in this process, one after the other, with its own timeouts;
- pool: `VerifierPool.verify_many` as a run uses it;
- workers only: the same pool with `instant=False`, so that every answer goes to a worker;
- same grader: the pool, but each worker does what the plain loop does: what processes alone bring.

Prints medians over the repetitions and, last, one line of JSON.
"""

import argparse
import gc
import json
import logging
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from oger.verification import VerifierPool, extract_answer

CORPUS = Path(__file__).parents[1] / "tests" / "verification" / "corpus"
NUM_WORKERS = 2
RESPONSE_CHARACTERS = 2000
_SENTENCES = (
    "Let us call the unknown number $n$ and write down what we know. ",
    "Substituting gives $2n + 3 = 7$, hence $n = 2$ in this step. ",
    "Wait, the second condition was not used yet, so check it again. ",
    r"By symmetry $\frac{a}{b} + \frac{b}{a} \ge 2$ for positive $a, b$. ",
    "Now add both equations and divide by the common factor. ",
)

_TOWER = re.compile(
    r"\^\{?\d+\^"
)  # the plain loop would spend its whole timeout on 10^{10^{10}}, and decide the result

Pairs = Sequence[tuple[str, str]]  # (gold answer, response)


def grade_plainly(gold: str, extracted: str, metadata: Any = None) -> bool:
    """What the plain loop does, as a grader: the kind "same grader"."""
    return plain_verdict(gold, f"\\boxed{{{extracted}}}")


def plain_verdict(gold: str, response: str) -> bool:
    """math-verify as its README shows it."""
    from math_verify import parse, verify

    return bool(verify(parse(f"\\boxed{{{gold}}}"), parse(response)))


def written_out(answer: str, generator: random.Random) -> str:
    """A response of about 2,000 characters that ends with `answer`, which holds its own box."""
    text = ""
    while len(text) < RESPONSE_CHARACTERS:
        text += generator.choice(_SENTENCES)
    return f"{text}\nTherefore the answer is {answer}."


def integer_pairs(count: int) -> Pairs:
    """Integers of up to nine digits, half of them answered wrongly."""
    generator = random.Random(0)
    golds = generator.sample(range(10**9), count)
    return [(str(gold), written_out(f"\\boxed{{{gold + index % 2}}}", generator)) for index, gold in enumerate(golds)]


def mixed_pairs(count: int) -> Pairs:
    """Cases of the corpus, each pair of gold answer and answer once, in random order, as whole responses."""
    generator = random.Random(0)
    lines = [line for path in sorted(CORPUS.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    cases = [json.loads(line) for line in lines]
    asked = [
        (case["gold"], written_out(case["answer"], generator))
        for case in cases
        if case.get("kind", "math") == "math"
        and extract_answer(case["answer"]) is not None
        and not _TOWER.search(case["gold"] + case["answer"])
    ]
    pairs = list({(gold, extract_answer(response)): (gold, response) for gold, response in asked}.values())
    generator.shuffle(pairs)
    return pairs[:count]


def time_plain(pairs: Pairs) -> float:
    """Seconds of the plain loop."""
    started = time.perf_counter()
    for gold, response in pairs:
        plain_verdict(gold, response)
    return time.perf_counter() - started


def time_pool(pairs: Pairs, *, kind: str = "math", instant: bool = True) -> float:
    """Seconds of one `verify_many` by a fresh pool with warm workers."""
    golds, responses = [gold for gold, _ in pairs], [response for _, response in pairs]
    with VerifierPool(workers=NUM_WORKERS, instant=instant) as pool:
        pool.warm_up(kind)
        warm = [f"\\boxed{{\\sqrt{{{n}}}+x}}" for n in range(8)]  # both workers import what the grader needs
        pool.verify_many([r"\sqrt{0}"] * 8, warm, kind=kind, timeout_s=60)
        started = time.perf_counter()
        pool.verify_many(golds, responses, kind=kind, timeout_s=60)
        seconds = time.perf_counter() - started
        assert pool.statistics.cached < len(golds) / 100  # answers that are one once they are cleaned
    return seconds


WAYS: dict[str, Callable[[Pairs], float]] = {
    "plain": time_plain,
    "pool": time_pool,
    "workers only": lambda pairs: time_pool(pairs, instant=False),
    "same grader": lambda pairs: time_pool(pairs, kind="benchmarks.verification:grade_plainly"),
}


def measure(pairs: Pairs, repetitions: int) -> dict[str, list[float]]:
    """Milliseconds per answer, by way, one number per repetition."""
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(repetitions):
        for name, way in WAYS.items():
            gc.collect()
            times[name].append(1000 * way(pairs) / len(pairs))
    return times


def main() -> None:
    """Measure, print the table and the line of JSON."""
    parser = argparse.ArgumentParser(description="Throughput of verification.")
    parser.add_argument("--quick", action="store_true", help="fewer answers, two repetitions")
    quick = parser.parse_args().quick
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    repetitions = 2 if quick else 5
    sets = {"integers": integer_pairs(400 if quick else 2000), "mix": mixed_pairs(300 if quick else 2000)}
    plain_verdict("1", r"\boxed{2}")  # the imports, before any clock starts

    table = Table("set", "answers", "way", "ms per answer", "least to most", "times plain")
    result: dict[str, Any] = {"workers": NUM_WORKERS, "cores": len(os.sched_getaffinity(0)), "repetitions": repetitions}
    for name, pairs in sets.items():
        times = measure(pairs, repetitions)
        medians = {way: statistics.median(values) for way, values in times.items()}
        for way, values in times.items():
            speed = medians["plain"] / medians[way]
            table.add_row(
                name,
                str(len(pairs)),
                way,
                f"{medians[way]:.3f}",
                f"{min(values):.3f} to {max(values):.3f}",
                f"{speed:.2f}",
            )
            key = f"{name.removesuffix('s')}_{way.replace(' ', '_')}"
            result[f"{key}_ms"] = round(medians[way], 4)
            if way != "plain":
                result[f"{key}_ratio"] = round(speed, 3)
    result |= {"integer_ms": result["integer_pool_ms"], "mix_ratio": result["mix_pool_ratio"]}
    result["load_average"] = os.getloadavg()[0]
    Console(width=100).print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Every case of the corpus comes out as a mathematician decides."""

from collections import Counter

import pytest

from oger.verification import Verdict
from tests.support.corpus_cases import CORPUS, Case, grade, load_cases

_DEADLINE_S = 20.0  # of machines under load; nothing in the corpus should come near it


@pytest.fixture(scope="module")
def graded() -> list[tuple[Case, Verdict]]:
    cases = load_cases()
    verdicts = grade(cases, timeout_s=_DEADLINE_S, workers=2)
    return list(zip(cases, verdicts, strict=True))


def test_every_case_comes_out_as_expected(graded: list[tuple[Case, Verdict]]) -> None:
    differing = [
        f"{case.family}: gold {case.gold!r}, {case.answer!r} is {verdict.status}, expected {case.expected}"
        for case, verdict in graded
        if verdict.status != case.expected and not case.known_limit
    ]
    assert not differing, "\n".join(differing)


def test_known_limits_are_few_and_still_there(graded: list[tuple[Case, Verdict]]) -> None:
    limits = [(case, verdict) for case, verdict in graded if case.known_limit]
    assert len(limits) < 0.01 * len(graded)
    settled = [case for case, verdict in limits if verdict.status == case.expected]
    assert not settled, f"no limit any more, remove the mark: {settled}"


def test_the_corpus_is_large_mixed_and_free_of_repeats() -> None:
    cases = load_cases()
    assert len(cases) >= 1000
    assert len({(case.gold, case.answer, case.kind, str(case.metadata)) for case in cases}) == len(cases)
    assert sum(path.stat().st_size for path in CORPUS.glob("*.jsonl")) < 400_000
    expected: dict[str, Counter[str]] = {}
    for case in cases:
        expected.setdefault(case.family, Counter())[case.expected] += 1
    one_sided = {name for name, counts in expected.items() if not (counts["correct"] and counts["wrong"])}
    assert one_sided == {"undecided"}
    assert len(expected) >= 25

"""A run may start only if its verifier tells a right answer from a wrong one."""

import pytest

from oger.verification import ANSWER_RULES, KINDS, VerifierError, VerifierPool, probe

_GRADERS = "tests.support.fault_graders"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_passes_its_own_probe(kind: str) -> None:
    probe(kind)


@pytest.mark.parametrize("rule", sorted(ANSWER_RULES))
def test_every_answer_rule_can_be_probed(rule: str) -> None:
    probe("exact", rules=[rule])
    if rule != "after_think":
        probe("exact", rules=["after_think", rule])


def test_a_kind_without_an_example_is_probed_with_the_callers_gold_answer() -> None:
    probe(f"{_GRADERS}:misbehave", gold="the answer")
    with pytest.raises(ValueError, match="declares no probe: give a gold answer"):
        probe(f"{_GRADERS}:misbehave")


def test_a_grader_that_says_yes_to_everything_is_refused() -> None:
    with pytest.raises(
        VerifierError, match=r"nothing may start.*'2' to the gold answer '1', which is wrong, and said correct"
    ):
        probe(f"{_GRADERS}:lenient")
    with pytest.raises(VerifierError, match="which is wrong, and said correct"):
        probe(f"{_GRADERS}:always", gold="5")


def test_a_grader_that_says_no_to_everything_is_refused() -> None:
    with pytest.raises(VerifierError, match="'5' to the gold answer '5', which is correct, and said wrong"):
        probe(f"{_GRADERS}:never", gold="5")


def test_a_grader_that_raises_is_refused_with_its_reason() -> None:
    with pytest.raises(VerifierError, match=r"said undecided.*RuntimeError: out of order"):
        probe(f"{_GRADERS}:misbehave", gold="raise")


def test_a_grader_that_hangs_is_refused_at_the_deadline() -> None:
    with pytest.raises(VerifierError, match=r"deadline of 0\.5 s passed"):
        probe(f"{_GRADERS}:misbehave", gold="hang", timeout_s=0.5)


def test_rules_that_find_no_answer_are_refused() -> None:
    with pytest.raises(VerifierError, match="said wrong: no answer found"):
        probe("exact", rules=["after_think", "after_think"])  # nothing is left behind the last </think>


def test_the_pool_of_the_run_is_the_one_that_is_probed() -> None:
    with VerifierPool(workers=1) as pool:
        probe("math", pool=pool)
        assert pool.statistics.graded == 2

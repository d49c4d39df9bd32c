"""Gold answers as data sets store them: worked solutions, tags, lists of one; the unreadable are never wrong."""

import pytest

from oger.verification import VerifierPool
from oger.verification.golds import GOLD_RULES, read_gold, rule_of_gold, survey

_SOLUTION = "Tom has three apples and buys nine more on each of the seven days of the week, so that " * 3


@pytest.mark.parametrize(
    ("text", "rule", "answer"),
    [
        ("72", "as_it_is", "72"),
        ("#### 1,072", "hash_answer", "1,072"),
        ("48/2=24\n48+24=72\n#### 72", "hash_answer", "72"),
        ("<answer> 72 </answer>", "answer_tag", "72"),
        (r"Hence $\boxed{\frac{1}{2}}$.", "last_boxed", r"\frac{1}{2}"),
        ("['72']", "single_entry", "72"),
        ('["x = 3"]', "single_entry", "x = 3"),
        (r"['\\frac{1}{2}']", "single_entry", r"\frac{1}{2}"),
        (r"['\frac{1}{2}']", "single_entry", r"\frac{1}{2}"),
        ("[72]", "as_it_is", "[72]"),
        ("['1', '2']", "as_it_is", "['1', '2']"),
        ("#### \n", "hash_answer", None),
        (r"\boxed{7", "last_boxed", None),
        ("  ", "as_it_is", None),
        (_SOLUTION, "as_it_is", None),
    ],
)
def test_a_gold_answer_is_read_by_the_rule_of_its_mark(text: str, rule: str, answer: str | None) -> None:
    assert rule_of_gold(text) == rule
    assert rule in GOLD_RULES
    assert read_gold(text) == answer


def test_a_survey_names_the_rule_of_a_source_and_counts_what_none_reads() -> None:
    found = survey(["so\n#### 3", "#### 4", "5", _SOLUTION])
    assert (found.rule, found.num_golds, found.num_other, found.unreadable) == ("hash_answer", 3, 1, (3,))
    assert found.line == (
        "gold answers: 3 read by the rule hash_answer, 1 of them by others; "
        "1 unreadable (the first in row 3), never wrong"
    )
    assert survey([]).line == "gold answers: 0 read by the rule as_it_is"


def test_an_unreadable_gold_answer_is_undecided_and_counted() -> None:
    with VerifierPool(workers=1) as pool:
        verdicts = pool.verify_many([_SOLUTION, "#### 3", "#### 3"], [r"\boxed{3}", r"\boxed{3}", r"\boxed{4}"])
        assert [verdict.status for verdict in verdicts] == ["undecided", "correct", "wrong"]
        assert "unreadable" in verdicts[0].reason
        assert pool.statistics.unreadable == 1
        assert pool.statistics.undecided == {"gold": 1}


def test_an_exact_gold_answer_is_the_text_as_it_stands() -> None:
    with VerifierPool(workers=1) as pool:
        assert pool.verify_many(["#### 3"], [r"\boxed{3}"], kind="exact")[0].status == "wrong"

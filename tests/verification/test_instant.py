"""What runs in the caller's process takes time linear in what it is given, and never raises for it."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from oger.verification import KINDS, VerifierPool
from oger.verification.golds import read_gold

_KINDS = {name: kind for name, kind in KINDS.items() if kind.instant is not None}
_UNITS = {
    "blanks": " ",
    "digits": "7",
    "groups": ",777",
    "dollars": "$",
    "signs": "-",
    "letters": "B",
    "letters in brackets": "(B) ",
    "commas": "A, ",
    "leads": "the answer is ",
    "leavings": "leaving ",
    "reasons": ", not ",
    "colours": "\\color{red}",
    "hashes": "####\n",
    "hashes and blanks": "#### ",
    "tags": "<answer>",
    "boxes": "\\boxed{",
    "quotes": "['",
    "backslashes": "\\",
    "words": "so ",
}


def _grows_linearly(function: Callable[[str], Any], unit: str) -> bool:
    def seconds(size: int) -> float:
        text = "5" + unit * (size // len(unit)) + "5"
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            function(text)
            best = min(best, time.process_time() - started)
        return best

    # Ten times the text: a quadratic path needs a hundred times as long. 10 ms are noise.
    return seconds(200_000) < 30 * seconds(20_000) + 0.01


@pytest.mark.parametrize("unit", _UNITS.values(), ids=_UNITS.keys())
@pytest.mark.parametrize("name", _KINDS)
def test_an_instant_kind_takes_time_linear_in_gold_and_answer(name: str, unit: str) -> None:
    instant = _KINDS[name].instant
    assert instant is not None
    assert _grows_linearly(lambda text: instant(text, "5", None), unit)
    assert _grows_linearly(lambda text: instant("B", text, None), unit)


@pytest.mark.parametrize("unit", _UNITS.values(), ids=_UNITS.keys())
def test_a_gold_answer_is_read_in_linear_time(unit: str) -> None:
    assert _grows_linearly(read_gold, unit)


@pytest.mark.parametrize("unit", ["[", '{"options":', '["a"],'], ids=["nested lists", "nested mappings", "long"])
def test_metadata_of_a_choice_are_read_in_linear_time_and_never_recurse_here(unit: str) -> None:
    assert _grows_linearly(lambda text: _KINDS["choice"].instant("B", "B", text), unit)  # type: ignore[misc]
    assert _KINDS["choice"].instant("B", "B", unit * 3000) is None  # type: ignore[misc]


def test_a_gold_of_a_number_and_32000_blanks_is_decided_at_once() -> None:
    started = time.process_time()
    with VerifierPool(workers=1) as pool:
        verdicts = pool.verify_many(["5" + " " * 32_000 + "$", "5" + " " * 32_000 + "$"], [r"\boxed{5}", r"\boxed{6}"])
        assert pool.statistics.instant == 2
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong"]
    assert time.process_time() - started < 1

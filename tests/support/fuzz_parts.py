"""What the fuzz tests share: values of every kind, and one way to run a property."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


class Many(int):
    """A number of examples that are other ones every time."""


def examples(quick: int, many: int) -> Any:
    """Parameters `number`: a few fixed examples in every run, many random ones in a soak."""
    return pytest.mark.parametrize("number", [quick, pytest.param(Many(many), marks=pytest.mark.soak)])


def holds(number: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], object]) -> None:
    """Check a property of so many examples; the few of an ordinary run are the same every time."""
    quiet = settings(
        max_examples=number,
        deadline=None,
        database=None,
        derandomize=not isinstance(number, Many),
        suppress_health_check=list(HealthCheck),
    )

    def each(value: Any) -> None:
        check(value)

    quiet(given(strategy)(each))()


def refused_in_one_line(act: Callable[[], object], errors: tuple[type[Exception], ...] = (ValueError,)) -> str | None:
    """What `act` was refused with, None where it came through; any other exception is a failure of the test."""
    try:
        act()
    except errors as error:
        message = str(error)
        assert message.strip()
        assert "Traceback" not in message
        return message
    return None


_ODD_TEXTS = ["", " ", "\x00", "\x1b[2J", "../../x", "=1+1", "{", "<script>", "\ud800", "nan", "1e999", "١٣", "a" * 300]
_ODD_NUMBERS = [10**400, -(2**63), 2**64, 1e308, float("nan"), float("inf")]
texts = st.one_of(
    st.text(max_size=30),
    st.text(st.characters(), max_size=10),  # half surrogate pairs and control characters too
    st.sampled_from(_ODD_TEXTS),
)
numbers = st.one_of(st.integers(), st.integers(-3, 3), st.floats(), st.sampled_from(_ODD_NUMBERS))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)

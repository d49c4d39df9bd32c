"""Numbers as tables show them; - where there is none."""

from __future__ import annotations

from collections.abc import Sequence


def shown(value: float | None, form: str = ".1f", factor: float = 1.0) -> str:
    """A number by a format, after it is multiplied.

    >>> shown(0.318, factor=100), shown(1234.5, ",.0f"), shown(None)
    ('31.8', '1,234', '-')
    """
    return "-" if value is None else format(factor * value, form)


def with_interval(value: float | None, bounds: Sequence[float] | None, form: str = ".1f", factor: float = 100.0) -> str:
    """A number with its interval, where that is known; in percent, or points, unless another factor is given.

    >>> with_interval(0.318, (0.281, 0.3544)), with_interval(0.021, (-0.003, 0.045), "+.1f"), with_interval(0.5, None)
    ('31.8 [28.1, 35.4]', '+2.1 [-0.3, +4.5]', '50.0')
    """
    if value is None or not bounds:
        return shown(value, form, factor)
    low, high = (shown(bound, form, factor) for bound in bounds)
    return f"{shown(value, form, factor)} [{low}, {high}]"

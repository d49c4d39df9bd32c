"""Small number theory that the gcd and lcm styles share, written through a pen."""

from oger.worlds.arithmetic.pen import Pen


def smallest_factor(n: int) -> int:
    """Smallest prime factor of n >= 2."""
    factor = 2
    while factor * factor <= n:
        if n % factor == 0:
            return factor
        factor += 1
    return n


def prime_factors(n: int, pen: Pen) -> list[int]:
    """Prime factors in ascending order of discovery; every cofactor is written with the pen."""
    factors = []
    while n > 1:
        factor = smallest_factor(n)
        factors.append(factor)
        n = pen(n // factor)
    return factors or [1]


def common_factors(left: list[int], right: list[int]) -> list[int]:
    """The multiset intersection of two factor lists."""
    rest, common = list(right), []
    for factor in left:
        if factor in rest:
            rest.remove(factor)
            common.append(factor)
    return common


def euclid(a: int, b: int, pen: Pen, steps: list[str]) -> int:
    """Greatest common divisor by remainders; appends 48%36=12 36%12=0."""
    while b:
        remainder = pen(a % b)
        steps.append(f"{a}%{b}={remainder}")
        a, b = b, remainder
    return a

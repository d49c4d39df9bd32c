r"""Units of measure and of money: which names mean the same, and what converts into what.

A unit is its dimension (a name and its power, for a quotient also those of the divisor) and its factor to the base unit
of that dimension. Only exact factors are listed.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

_TABLE = {
    "length": "mm millimeter millimetre=1/1000; cm centimeter centimetre=1/100; dm decimeter decimetre=1/10; "
    "m meter metre=1; km kilometer kilometre=1000; in inch inches=127/5000; ft foot feet=381/1250; yd yard=1143/1250; "
    "mi mile=201168/125",
    "mass": "mg milligram=1/1000; g gram gm=1; kg kilogram kilo=1000; ton tonne=1000000",
    "pound": "lb pound=1; oz ounce=1/16",
    "time": "ms millisecond=1/1000; s sec second=1; min minute=60; h hr hour=3600; day=86400; week wk=604800",
    "month": "month=1; year yr=12",
    "volume": "ml milliliter millilitre cc=1/1000; l liter litre=1",
    "gallon": "gallon gal=1; quart=1/4; pint=1/8; cup=1/16",
    "dollar": "dollar usd $ bucks=1; cent ¢=1/100",
    "euro": "euro eur €=1",
    "sterling": "£ gbp=1",
    "rupee": "rupee rs inr ₹=1",
    "yen": "yen ¥=1",
    "degree": r"degree deg ^\circ=1",
    "radian": "radian rad=1",
    "celsius": r"^\circC celsius=1",
    "fahrenheit": r"^\circF fahrenheit=1",
    "speed": "mph=201168/450000; kmh kph kmph=5/18; fps=381/1250",
    "force": "n newton=1",
    "energy": "j joule=1; kj kilojoule=1000",
    "power": "w watt=1; kw kilowatt=1000",
    "voltage": "v volt=1",
    "frequency": "hz hertz=1",
    "prime": "'=1",
    "none": "unit=1",
}
_NAMES: dict[str, tuple[str, Fraction]] = {
    name: (dimension, Fraction(factor))
    for dimension, entries in _TABLE.items()
    for names, _, factor in (entry.strip().partition("=") for entry in entries.split(";"))
    for name in names.split()
}
_POWER_WORDS = {"square": 2, "sq": 2, "sq.": 2, "squared": 2, "cubic": 3, "cu": 3, "cu.": 3, "cubed": 3}
_POWER = re.compile(r"^(.*?)\s*(?:\^\s*\{?\s*([23])\s*\}?)?$")


@dataclass(frozen=True)
class Unit:
    """What a number is counted in."""

    dimension: tuple[tuple[str, int], ...]
    factor: Fraction
    """How many base units one of it is."""

    def differs_from(self, other: "Unit") -> bool:
        """Do the two measure different things? A bare "units" measures anything."""
        return self.dimension != other.dimension and bool(self.dimension) and bool(other.dimension)

    def ratio_to(self, other: "Unit") -> Fraction:
        """How many of `other` one of this is; 1 for a bare "units"."""
        return self.factor / other.factor if self.dimension and other.dimension else Fraction(1)


def read_unit(text: str) -> Unit | None:
    """The unit called `text`, or None when it is none.

    >>> read_unit("cm^2") == read_unit("square centimeters")
    True
    """
    top, *rest = re.split(r"\s*/\s*|\s+per\s+|^per\s+", text.strip())
    if len(rest) > 1:
        return None
    unit = _read_simple(top)
    if unit is None or not rest:
        return unit
    divisor = _read_simple(rest[0])
    if divisor is None:
        return None
    if (unit.dimension, divisor.dimension) == ((("length", 1),), (("time", 1),)):
        return Unit((("speed", 1),), unit.factor / divisor.factor)
    return Unit((*unit.dimension, *((name, -power) for name, power in divisor.dimension)), unit.factor / divisor.factor)


def _read_simple(text: str) -> Unit | None:
    match = _POWER.match(text.strip())
    if match is None:
        return None
    power = int(match[2] or 1)
    words = match[1].split()
    if words and (words[0] in _POWER_WORDS or words[-1] in _POWER_WORDS):
        index = 0 if words[0] in _POWER_WORDS else -1
        power = _POWER_WORDS[words.pop(index)]
    entry = _lookup("".join(words) if words and words[0] == r"^\circ" else " ".join(words))
    if entry is None:
        return None
    dimension, factor = entry
    if dimension == "none":
        return Unit((), Fraction(1))
    if dimension == "length" and power == 3:
        return Unit((("volume", 1),), factor**3 * 1000)
    return Unit(((dimension, power),), factor**power)


def _lookup(name: str) -> tuple[str, Fraction] | None:
    lower = name.rstrip(".").casefold() if not name.startswith("^") else name
    for candidate in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if candidate in _NAMES and (len(candidate) > 1 or candidate == lower):
            return _NAMES[candidate]
    return None

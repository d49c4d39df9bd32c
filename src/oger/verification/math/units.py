r"""Units of measure and of money: which names mean the same, and what converts into what.

A unit is its dimension (base dimensions and their powers) and its factor to the base unit of that dimension: metre,
kilogram, second, dollar. Everyday names stand in a table here; every other unit is asked of `pint`, loaded
with the first such unit. Which names are units at all is said here, so that no other word becomes one.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

_TABLE = {
    "length": "mm millimeter millimetre=1/1000; cm centimeter centimetre=1/100; dm decimeter decimetre=1/10; "
    "m meter metre=1; km kilometer kilometre=1000; in inch inches=127/5000; ft foot feet=381/1250; yd yard=1143/1250; "
    "mi mile=201168/125",
    "mass": "mg milligram=1/1000000; g gram gm=1/1000; kg kilogram kilo=1; ton tonne=1000; "
    "lb pound=45359237/100000000; oz ounce=45359237/1600000000",
    "time": "ms millisecond=1/1000; s sec second=1; min minute=60; h hr hour=3600; day=86400; week wk=604800",
    "month": "month=1; year yr=12",
    "length3": "ml milliliter millilitre cc=1/1000000; l liter litre=1/1000; gallon gal=473176473/125000000000; "
    "quart=473176473/500000000000; pint=473176473/1000000000000; cup=473176473/2000000000000",
    "dollar": "dollar usd $ bucks=1; cent ¢=1/100",
    "euro": "euro eur €=1",
    "sterling": "£ gbp=1",
    "rupee": "rupee rs inr ₹=1",
    "yen": "yen ¥=1",
    "degree": r"degree deg ^\circ=1; arcmin arcminute=1/60; arcsec arcsecond=1/3600",
    "radian": "radian rad=1",
    "celsius": r"^\circC degc celsius=1",
    "fahrenheit": r"^\circF degf fahrenheit=1",
    "length time-1": "mph=201168/450000; kmh kph kmph=5/18; fps=381/1250",
    "mass length time-2": "n newton=1",
    "mass length2 time-2": "j joule=1; kj kilojoule=1000",
    "mass length2 time-3": "w watt=1; kw kilowatt=1000",
    "mass length2 time-3 current-1": "v volt=1",
    "time-1": "hz hertz=1",
    "decibel": "db decibel=1",
    "sun": "msun=1",
    "light of the sun": "lsun=1",
    "radius of the sun": "rsun=1",
    "earth": "mearth=1",
    "prime": "'=1",
    "parts per million": "ppm=1; ppb=1/1000",
    "none": "unit=1",
}
_PREFIXES = "Y|Z|E|P|T|G|M|k|h|da|d|c|m|µ|n|p|f|a"
_SYMBOL = re.compile(
    rf"(?:{_PREFIXES})?(?:m|g|s|A|K|mol|cd|Hz|N|Pa|J|W|C|V|F|Ω|ohm|S|Wb|T|H|lm|lx|Bq|Gy|Sv|kat|L|l|eV|bar|cal|Wh|pc|M|B)"
    r"|ly|AU|au|Da|u|dyn|erg|Ci|atm|mmHg|torr|psi|lbf|hp|BTU|Btu|rpm|kcal|Å|sr|mAh|Ah|kn|ha|bps|kbps|Mbps|gal|qt|fl oz"
)
_WORD_PREFIXES = "yotta|zetta|exa|peta|tera|giga|mega|kilo|hecto|deca|deci|centi|milli|micro|nano|pico|femto|atto"
_WORD = re.compile(
    rf"(?:{_WORD_PREFIXES})?(?:met(?:er|re)|gram|second|ampere|amp|kelvin|mole|candela|hertz|newton|pascal|joule|watt|coulomb"
    r"|volt|farad|ohm|siemens|weber|tesla|henry|henrie|lumen|lux|becquerel|gray|sievert|lit(?:er|re)|bar|electron_?volt"
    r"|parsec|calorie|byte|bit)"
    r"|acre|hectare|furlong|fathom|league|fortnight|knot|angstrom|light_year|nautical_mile|atmosphere|torr|erg|dyne|gauss"
    r"|horsepower|decade|century|centurie|millennium|micron|astronomical_unit|tablespoon|teaspoon|fluid_ounce|stone|steradian"
    r"|pound_force|dalton|molar|british_thermal_unit|revolution"
)
_POWER_OF_A_LETTER = re.compile(r"[a-ln-zA-Z]\s*\^\s*\{?\s*\+?\s*\d\s*\}?")
"""Alone, and not of metres: a variable, as in 2n^2, 4 s^2."""
_UPPER_CASE = frozenset("njvw")
"""Symbols of units that are capitals; small, these letters are variables."""
_POWER_WORDS = {"square": 2, "sq": 2, "sq.": 2, "squared": 2, "cubic": 3, "cu": 3, "cu.": 3, "cubed": 3}
_SPELLINGS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:mu|micro)(?![a-zA-Z])\s*|μ", "µ"),
        (r"\\(?:Omega|ohm)(?![a-zA-Z])|Ω", "Ω"),
        (r"\\(?:AA|angstrom)(?![a-zA-Z])|Å", "Å"),
        (r"\bsolar (?:mass(?:es)?)\b", "Msun"),
        (r"\bsolar luminosit(?:y|ies)\b", "Lsun"),
        (r"(?<![A-Za-z])(?:(k?N|J|T)(m)|(N|J|V|Pa)(s)|([kM]?V)(A)|(kg)(m))(?![A-Za-z])", r"\1\3\5\7 \2\4\6\8"),
        (r"\b([MLR])\s*_\s*\{?\s*(?:\\odot|\\sun|⊙)\s*\}?", r"\1sun"),
        (r"\bM\s*_\s*\{?\s*(?:\\oplus|⊕)\s*\}?", "Mearth"),
        (r"\^\s*\{?\s*\\circ\s*\}?\s*([CF])(?![a-zA-Z])", r"deg\1"),
        (r"\bdegrees?\s+(Celsius|Fahrenheit)\b", r"\1"),
        (r"\\(?:cdot|times|,|;|:)(?![a-zA-Z])|\*|~", " "),
        (r"\b(light|nautical|astronomical|fluid|electron)[ -](?=[a-z])", r"\1_"),
        (r"(?<=[A-Za-z])-(?=[A-Za-z])", " "),
        (r"\s+per\s+|^per\s+", "/"),
        (r"\\(?:frac)\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1/\2"),
        (r"(?<![\^{])\{([^{}]*)\}", r"\1"),
    )
]
_FACTOR = re.compile(r"(\^\\circ|[A-Za-zµΩÅ$¢€£¥₹'_.]+)\s*(?:\^\s*\{?\s*([+-]?\d)\s*\}?|\^\s*\{\s*([+-]\s*\d)\s*\})?")


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

    @property
    def angle(self) -> str:
        """ "degree" or "radian" for an angle, else nothing."""
        return self.dimension[0][0] if self.dimension in ((("degree", 1),), (("radian", 1),)) else ""


def _dimension(text: str) -> tuple[tuple[str, int], ...]:
    parts = [re.fullmatch(r"([a-z ]+?)(-?\d)?", part) for part in (text.split() if re.search(r"\d", text) else [text])]
    return tuple(sorted((part[1], int(part[2] or 1)) for part in parts if part is not None))


_NAMES: dict[str, Unit] = {
    name: Unit(_dimension(dimension) if dimension != "none" else (), Fraction(factor))
    for dimension, entries in _TABLE.items()
    for names, _, factor in (entry.strip().partition("=") for entry in entries.split(";"))
    for name in names.split()
}


def read_unit(text: str) -> Unit | None:
    r"""The unit called `text`, or None when it is none.

    >>> read_unit("cm^2") == read_unit("square centimeters")
    True
    >>> read_unit("km/h") == read_unit("km h^{-1}")
    True
    """
    text = text.strip()
    if not text or len(text) > 60:
        return None
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    if _POWER_OF_A_LETTER.fullmatch(text.strip()):
        return None
    top, *divisors = text.strip().split("/")
    if len(divisors) > 2:
        return None
    dimension: Counter[str] = Counter()
    factor = Fraction(1)
    for sign, part in ((1, top), *((-1, divisor) for divisor in divisors)):
        part = part.strip()
        power_of_all = 1
        if raised := re.fullmatch(r"\((.*)\)(?:\s*\^\s*\{?\s*([23])\s*\}?)?", part):
            part, power_of_all = raised[1], int(raised[2] or 1)
        if part == "" and sign > 0 and divisors:
            continue
        factors = list(_factors(part))
        if not factors:
            return None
        for unit, power in factors:
            if unit is None:
                return None
            for name, own in unit.dimension:
                dimension[name] += sign * power * power_of_all * own
            factor *= unit.factor ** (sign * power * power_of_all)
    return Unit(tuple(sorted((name, power) for name, power in dimension.items() if power)), factor)


def _factors(text: str) -> Iterator[tuple[Unit | None, int]]:
    """(unit, power) of each word of a product; an unknown word is None."""
    words = text.split()
    power = None
    position = 0
    text = " ".join(words)
    while position < len(text):
        match = _FACTOR.match(text, position)
        if match is None:
            yield None, 1
            return
        position = match.end()
        while position < len(text) and text[position] == " ":
            position += 1
        word = match[1]
        if word in _POWER_WORDS and not word.endswith("ed"):
            power = _POWER_WORDS[word]
            continue
        own = int((match[2] or match[3] or "1").replace(" ", ""))
        behind = re.match(r"(squared|cubed)(?:\s+|$)", text[position:])
        if behind:
            own = _POWER_WORDS[behind[1]]
            position += behind.end()
        yield _lookup(word), own if power is None else power
        power = None
    if power is not None:
        yield None, 1


def _lookup(name: str) -> Unit | None:
    if name in _UPPER_CASE:
        return None
    lower = name.rstrip(".").casefold() if not name.startswith("^") else name
    known = _SYMBOL.fullmatch(name)
    if not (known and len(name) == 1 and name.isupper() and name not in "NJWV"):  # S is siemens and s a second
        for candidate in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
            if candidate in _NAMES and (len(candidate) > 1 or candidate == lower):
                return _NAMES[candidate]
    if known:
        return _ask_pint(name)
    for candidate in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if _WORD.fullmatch(candidate):
            return _ask_pint(
                {"centurie": "century", "henrie": "henry", "electronvolt": "electron_volt"}.get(candidate, candidate)
            )
    return None


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(non_int_type=Fraction)


@cache
def _ask_pint(name: str) -> Unit | None:
    """The unit in pint's registry, in terms of our base dimensions."""
    import pint

    registry = _registry()
    try:
        factor, _ = registry.get_base_units(name)
        dimensions = registry.get_dimensionality(name)
    except (pint.UndefinedUnitError, pint.DefinitionSyntaxError):
        return None
    own = {dimension.strip("[]"): int(power) for dimension, power in dimensions.items()}
    return Unit(tuple(sorted(own.items())) or ((name, 1),), Fraction(factor))

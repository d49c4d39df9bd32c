"""The task families of the arithmetic world: one file per family, one entry here."""

from oger.worlds.arithmetic.families.base_conversion import BASE_CONVERSION
from oger.worlds.arithmetic.families.chain_sum import CHAIN_SUM
from oger.worlds.arithmetic.families.family import Family, Problem, Range, Style
from oger.worlds.arithmetic.families.gcd import GCD
from oger.worlds.arithmetic.families.lcm import LCM
from oger.worlds.arithmetic.families.products import PRODUCTS

TRAINED_FAMILIES: tuple[Family, ...] = (CHAIN_SUM, PRODUCTS, BASE_CONVERSION, GCD)
HELD_OUT_FAMILIES: tuple[Family, ...] = (LCM,)  # the base policy has seen a little of it; RL never trains on it
FAMILIES: dict[str, Family] = {family.name: family for family in (*TRAINED_FAMILIES, *HELD_OUT_FAMILIES)}

__all__ = ["FAMILIES", "HELD_OUT_FAMILIES", "TRAINED_FAMILIES", "Family", "Problem", "Range", "Style"]

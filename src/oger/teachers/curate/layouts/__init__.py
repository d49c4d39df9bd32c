"""Layouts of source rows: a new one is one small file and one line in LAYOUTS."""

from __future__ import annotations

from collections.abc import Mapping

from oger.teachers.curate.layouts.champ import ChampLayout
from oger.teachers.curate.layouts.layout import Layout
from oger.teachers.curate.layouts.luffy import LuffyLayout
from oger.teachers.curate.layouts.openr1 import OpenR1Layout
from oger.teachers.curate.layouts.plain import PlainLayout
from oger.teachers.curate.layouts.table import TableLayout
from oger.words import choose

LAYOUTS: Mapping[str, Layout] = {
    "openr1": OpenR1Layout(),
    "luffy": LuffyLayout(),
    "plain": PlainLayout(),
    "table": TableLayout(),
    "world": TableLayout(),
    "champ": ChampLayout(),
}


def load_layout(name: str) -> Layout:
    """The layout of that name; an unknown name is a ValueError that says the nearest valid one."""
    return choose(LAYOUTS, name, "layout")


__all__ = ["LAYOUTS", "Layout", "load_layout"]

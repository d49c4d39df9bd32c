"""Whether somebody defines a metric that was logged."""

from __future__ import annotations

from fnmatch import fnmatchcase

from oger.reporting.glossary import GLOSSARY, INHERITED, canonical


def is_listed(name: str) -> bool:
    """Whether the glossary or `INHERITED` defines `name`; `eval/x` is defined where `x` is."""
    name = canonical(name)
    patterns = (*GLOSSARY, *INHERITED)
    return any(fnmatchcase(form, pattern) for form in (name, name.removeprefix("eval/")) for pattern in patterns)

"""One HTML file that needs nothing else: the data, the page's own scripts and styles, and the plotting library.

The data is JSON inside a script element, with every "<" escaped; the page builds all text through the DOM. A content
security policy lets only the two scripts run that the page was made with, and lets nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from oger.io.whole import write_text

GENERATOR = '<meta name="generator" content="oger report">'
"""Marks a file as a report, among its first bytes."""

LIBRARY = "plotly-basic.min.js"
STYLE = "page.css"
_PARTS = "core plots answer headline curves browser spread map facts follow start"
SCRIPTS = tuple(f"{name}.js" for name in _PARTS.split())

_SIGNIFICANT, _EXACT = 5, 17
_ROUNDED_LATER = "headline"
"""What the page rounds to what the terminal says, for which it must start from the same number."""


def render_page(data: Mapping[str, Any], title: str) -> str:
    """The page of `data`, which build.py makes and the scripts of assets/ read.

    A page that is followed (`data["watched"]`, see watch.py) may ask the server that it came from, and no other.
    """
    library = asset(LIBRARY)
    scripts = '(function () {\n"use strict";\n' + "\n".join(asset(name) for name in SCRIPTS) + "\n})();\n"
    connect = "connect-src 'self'; " if data.get("watched") else ""
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; {connect}"
        f"script-src {_hash(library)} {_hash(scripts)}; base-uri 'none'; form-action 'none'"
    )
    return fill("page.html", policy=policy, title=title, data=data_json(data), library=library, scripts=scripts)


def fill(template: str, *, policy: str, title: str, **parts: str) -> str:
    """A page of assets/ with its parts in their places.

    Args:
        template: name of the page.
        policy: what it may load and run, as a content security policy.
        title: in the browser's frame.
        parts: further ones, as HTML.
    """
    parts |= {"policy": html.escape(policy, quote=False), "title": html.escape(title)}
    parts |= {"generator": GENERATOR, "styles": asset(STYLE)}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match.group(1)], asset(template))


def write_page(page: str, out: Path) -> None:
    """Whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)


def is_report(path: Path) -> bool:
    """Whether `oger report` made this file."""
    with open(path, "rb") as file:
        return GENERATOR.encode() in file.read(600)


def asset(name: str) -> str:
    """A file of assets/."""
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def data_json(data: Any) -> str:
    """The data as the scripts read it, inside the page or by themselves."""
    text = json.dumps(_strict(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.encode("utf-8", "replace").decode()  # lone surrogates, which JSON can hold and UTF-8 cannot
    return (
        text.replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
        .replace("\x7f", "\\u007f")
    )


def _strict(value: Any, digits: int = _SIGNIFICANT) -> Any:
    """Numbers with so many significant digits; what is not finite becomes null."""
    if isinstance(value, float):
        return _rounded(value, digits) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(entry, _EXACT if key == _ROUNDED_LATER else digits) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry, digits) for entry in value]
    return value


def _rounded(value: float, digits: int) -> float | int:
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded

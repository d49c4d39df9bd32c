"""The page on encoders says what is so, and its example runs."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

from oger.encoders import PARTS, create_encoder, encoder_names
from oger.encoders.parts import equations
from oger.encoders.registry import _checked

TEXTS = ["3 + 4 = 7", "", "no digit"]
PAGE = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")


def test_the_example_of_an_own_encoder_runs_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [code] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "EncoderIdentity(" in block]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    (tmp_path / "my_encoder.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    encoder = create_encoder("my_encoder:make", scale=2.0)
    sys.modules.pop("my_encoder")
    assert encoder.encode(TEXTS).shape == (len(TEXTS), 10)
    assert encoder.encode([]).shape == (0, 10)
    assert encoder.encode(["77 1"])[0].tolist() == pytest.approx([0, 1 / 17**0.5, 0, 0, 0, 0, 0, 4 / 17**0.5, 0, 0])


def test_every_shipped_encoder_option_and_part_is_on_the_page() -> None:
    for name in ("ngram", "policy-init:x", "sentence-transformers:x", "static:x"):
        factory, _ = _checked(name, "full", {})
        assert name.partition(":")[0] in encoder_names()
        assert f"`{name.partition(':')[0]}" in PAGE
        for parameter in inspect.signature(factory).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert re.search(rf"^\|[^|]*`{parameter.name}`", PAGE, re.MULTILINE), parameter.name
    for part in PARTS:
        assert f"| `{part}` |" in PAGE


def test_the_example_of_equations_is_what_comes_out() -> None:
    text, expected = re.search(r"`(Tom's .*?)` has the equations `(.*?)`", PAGE).groups()  # type: ignore[union-attr]
    assert equations(text) == expected

"""The YAML of recipes reads numbers as people mean them and refuses ambiguity."""

import math
import time
from pathlib import Path

import pytest

from oger.io.yaml import MAX_BYTES, dump, load, read_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E5", 1e5), ("-3e-06", -3e-6), ("1.5e3", 1500.0), (".5", 0.5), ("1.", 1.0), ("+2e+2", 200.0),
        ("3", 3), ("-7", -7), ("1_000", 1000), (".inf", math.inf), ("-.inf", -math.inf),
        ("true", True), ("no", "no"), ("false", False), ("null", None), ("~", None), ("", None),
        ("e5", "e5"), ("1e", "1e"), ("1e-4x", "1e-4x"), ("'1e-4'", "1e-4"), ("2026-04-01", "2026-04-01"),
        ("12:30", "12:30"), ("012", "012"), ("world:arithmetic/test", "world:arithmetic/test"),
        ("[1e-4, 2]", [1e-4, 2]), ("{a: 1e-4}", {"a": 1e-4}),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    result = load(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1e-4, "b": 1e-6, "c": 3, "d": True, "e": None, "f": ["x", 2], "g": {"h": 0.1}},
        {"a": "1e-4", "b": "2026-04-01", "c": "12:30", "d": "true", "e": "null", "f": "", "g": "012", "h": "1_0"},
        {"a": "Größe", "b": "two\nlines", "c": "x: y", "d": "# no comment", "e": math.inf, "\x85": "\u2028 \u2029"},
    ],
)
def test_what_is_dumped_is_loaded_unchanged(document: dict) -> None:
    assert load(dump(document)) == document
    assert list(load(dump(document))) == list(document)


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    shared = [1, 2]
    assert "&" not in dump({"a": shared, "b": shared})


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "x:\n  a: 1\n  a: 1"])
def test_a_key_given_twice_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"line 3, column \d: the key 'a' is given twice"):
        load(text)


@pytest.mark.parametrize("text", ["a: [1", "!!python/object/apply:os.getcwd []", "a: b: c", "{[1]: 2}"])
def test_what_is_not_safe_yaml_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="line 1, column") as caught:
        load(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!timestamp 2026-01-01", "has no place here"), ("a: !!binary aGk=", "has no place here"),
        ("!!set {a}", "has no place here"), ("a: !word 3", "has no place here"), ("!!map x", "not a mapping"),
        ("a: !!int abc", "abc is not a whole number"), ("a: !!int ''", "is not a whole number"),
        ("a: !!float x", "x is not a number"), ("a: !!bool perhaps", "perhaps is not true or false"),
        ("a: 9223372036854775808", "more than 64 bits"), ("a: " + "9" * 5000, "more than 64 bits"),
        ('a: "\\ud800"', "half a surrogate pair"), ("a: &x [*x]", "contains itself"),
        ("[" * 60 + "]" * 60, "nested more than 50 deep"), ("[" * 5000, "nested more than 50 deep"),
        ("x" * (MAX_BYTES + 1), "longer than"), ("a: \x07", "special characters are not allowed"),
    ],
)  # fmt: skip
def test_what_only_a_hostile_file_holds_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(text)
    assert "\n" not in str(caught.value)


def test_aliases_are_read_and_a_bomb_of_them_is_refused_before_it_goes_off() -> None:
    assert load("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    started = time.monotonic()
    with pytest.raises(ValueError, match="more than 100,000 values"):
        load("\n".join(lines))  # 3.5 thousand million texts
    assert time.monotonic() - started < 5


def test_a_file_too_large_to_be_a_recipe_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a terabyte of zeros, none of it on the disk
    with pytest.raises(ValueError, match="larger than 1,000,000 bytes"):
        read_text(path)

"""The YAML of recipes reads numbers as people mean them and refuses ambiguity."""

import math

import pytest

from oger.recipes.yaml_dialect import dump, load


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
        {"a": "Größe", "b": "two\nlines", "c": "x: y", "d": "# no comment", "e": math.inf},
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

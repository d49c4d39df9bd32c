"""Whatever stands in a recipe or a study: it is read, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from oger.io.yaml import dump, load
from oger.recipes import Recipe, dump_recipe, load_recipe
from oger.recipes.recipe import OWN_KEYS, make_recipe
from oger.study.plan import Study, load_study, make_study
from oger.training.run.options import check_training, training_keys
from tests.support.fuzz_parts import examples, holds, refused_in_one_line, scalars, texts, values

_PIECES = [
    "model",
    "train",
    "method",
    ": ",
    "- ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!int ",
    "!!map ",
    "? ",
    "|\n",
]
_PIECES += ["'", '"', "#", "%", "---\n", "1e-4", "null", "true", "<<", "=", ",", "\t", "x", "\ud800", "\x85", "\x00"]
yaml_texts = st.one_of(st.lists(st.sampled_from(_PIECES), max_size=25).map("".join), texts)
KEYS = [*OWN_KEYS, *training_keys()]
VALID = {"model": "world:arithmetic", "train": "world:arithmetic/train", "output_dir": "runs/x"}


def documents(keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A valid recipe with a few of its keys set to anything."""
    return st.dictionaries(st.one_of(st.sampled_from(keys), st.sampled_from(keys), scalars), values, max_size=4).map(
        lambda changed: {**VALID, **changed}
    )


@examples(150, 3_000)
def test_a_text_is_yaml_or_refused(number: int) -> None:
    def check(text: str) -> None:
        message = refused_in_one_line(lambda: load(text))
        assert message is None or "\n" not in message

    holds(number, yaml_texts, check)


@examples(60, 2_000)
def test_a_recipe_file_is_loaded_or_refused(number: int, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        refused_in_one_line(lambda: check_training(load_recipe(path)))

    encoded = yaml_texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    holds(number, st.one_of(st.binary(max_size=60), encoded), check)


@examples(150, 3_000)
def test_a_recipe_of_any_values_is_made_and_read_back_or_refused(number: int, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"

    def check(document: dict[Any, Any]) -> None:
        made: list[Recipe] = []
        if refused_in_one_line(lambda: made.append(check_training(make_recipe(document, name="recipe")))) is None:
            message = refused_in_one_line(lambda: dump_recipe(made[0], path))
            if message is None and refused_in_one_line(lambda: load_recipe(path)) is None:
                assert repr(load_recipe(path)) == repr(made[0])

    holds(number, documents(KEYS), check)


@examples(60, 2_000)
def test_an_override_is_taken_or_refused(number: int) -> None:
    overrides = st.one_of(yaml_texts, st.builds(lambda key, value: f"{key}={value}", st.sampled_from(KEYS), yaml_texts))
    holds(
        number,
        st.lists(overrides, min_size=1, max_size=3),
        lambda given: refused_in_one_line(lambda: check_training(load_recipe("smoke", given))),
    )


PARTS = ["name", "recipe", "reference", "budget", "regimes", "methods", "seeds", "set", "grid", "tuning", "evaluation"]
STUDY: dict[str, Any] = {
    "name": "tiny",
    "recipe": "smoke",
    "reference": "grpo",
    "budget": {"steps": 2},
    "seeds": [0],
    "regimes": {"easy": {"train": "a.jsonl", "validation": "b.jsonl", "test": {"id": "c.jsonl"}}},
    "methods": {"grpo": {}, "other": {"like": "grpo", "set": {"max_steps": 1}, "budget": {"steps": 1}}},
    "tuning": {"key": "learning_rate", "values": [1, 2], "seeds": [1]},
    "evaluation": {"samples": 4, "wide": {"samples": 8, "methods": ["grpo"]}},
}


def _with(path: list[str], value: Any) -> dict[str, Any]:
    """The study with one part, however deep, set to a value."""
    study = json.loads(json.dumps(STUDY))
    place = study
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return study


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[list[str]]:
    found = [list(path)] if path else []
    if isinstance(value, dict):
        found += [deeper for key, inner in value.items() for deeper in _paths(inner, (*path, key))]
    return found


@examples(200, 3_000)
def test_a_study_with_any_value_in_any_place_is_made_or_refused(number: int) -> None:
    def check(study: dict[str, Any]) -> None:
        made: list[Study] = []
        refused_in_one_line(lambda: made.append(make_study(study)))

    holds(number, st.builds(_with, st.sampled_from(_paths(STUDY) + [[part] for part in PARTS]), values), check)


@examples(40, 2_000)
def test_a_study_file_is_loaded_or_refused(number: int, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    lines = dump(STUDY).splitlines(keepends=True)

    def check(content: bytes) -> None:
        path.write_bytes(content)
        refused_in_one_line(lambda: load_study(path))

    mixed = st.lists(st.one_of(st.sampled_from(lines), yaml_texts), max_size=12).map(
        lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")
    )
    holds(number, st.one_of(mixed, st.binary(max_size=60)), check)

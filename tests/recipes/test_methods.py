"""Methods: every one loads, validates and says what it is; which keys win over which."""

from __future__ import annotations

from pathlib import Path

import pytest

from oger.recipes import RecipeError, load_recipe
from oger.recipes.methods import all_methods, load_method, method_keys
from oger.recipes.methods.page import markdown
from oger.teachers.table.column import only_teachers
from oger.training.run.build import run_options

REQUIRED = {
    "grpo", "dr_grpo", "sft", "sft_then_rl", "rl_sft", "luffy", "luffy_multi", "ampo", "oger", "oger_paper_text",
    "oger_plus", "sft_one", "sft_one_then_rl",
}  # fmt: skip


def test_the_methods_of_the_paper_and_its_field_are_there() -> None:
    assert all_methods().keys() >= REQUIRED


@pytest.mark.parametrize("name", all_methods())
def test_a_method_validates_on_every_shipped_recipe_and_states_what_it_is(name: str) -> None:
    method = load_method(name)
    assert all((method.line, method.equation, method.source, method.deviations, method.options))
    for recipe in ("quickstart", "paper_7b"):
        loaded = load_recipe(recipe, [f"method={name}", "bf16=false"])
        options = run_options(loaded)
        for key, value in method.options.items():
            found = getattr(options, key) if hasattr(options, key) else getattr(loaded, key)
            assert found == (tuple(value) if isinstance(found, tuple) else value)


def test_methods_differ_from_quickstart_in_their_own_keys_alone() -> None:
    quickstart, baseline = load_recipe("quickstart"), load_recipe("dr_grpo")
    keys = quickstart.document.keys() | baseline.document.keys()
    different = {key for key in keys if quickstart.document.get(key) != baseline.document.get(key)}
    assert different == {"method", "output_dir", "teacher_rows", "exploration_weight", "replacement", "clip"}


def test_a_name_of_a_method_is_quickstart_with_it_in_a_folder_of_its_own() -> None:
    loaded = load_recipe("luffy", ["seed=3"])
    assert (loaded.method, loaded.teachers, loaded.training["seed"]) == ("luffy", 1, 3)
    assert loaded.output_dir == Path("runs/luffy")


def recipe_file(folder: Path, *lines: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text("\n".join(["model: m", "train: t.jsonl", "num_generations: 4", *lines]))
    return path


def test_keys_of_a_recipe_stand_above_its_own_method(tmp_path: Path) -> None:
    loaded = load_recipe(recipe_file(tmp_path, "method: oger", "exploration_weight: 0.5"))
    assert loaded.training["exploration_weight"] == 0.5
    assert loaded.training["replacement"] == "argmin_divergence"


def test_another_method_on_the_command_line_forgets_the_method_of_the_file_and_no_other_key(tmp_path: Path) -> None:
    lines = ("method: oger_plus", "exploration_weight: 0.5", "exploration_schedule: linear", "learning_rate: 1e-5")
    loaded = load_recipe(recipe_file(tmp_path, *lines), ["method=dr_grpo", "entropy_coef=0.01"])
    assert loaded.training == {
        "num_generations": 4, "learning_rate": 1e-5, "preset": "luffy_code", "clip": 0.2, "teacher_rows": 0,
        "exploration_weight": 0, "entropy_coef": 0.01, "output_dir": "runs/mine",
    }  # fmt: skip


def test_keys_that_belong_to_a_method_do_not_include_optimiser_or_data() -> None:
    assert not method_keys() & {"learning_rate", "max_steps", "train", "model", "num_generations", "seed", "encoder"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("method=lufy", "did you mean 'luffy'"),
        ("teachers=0", "a list of teachers' names or how many"),
        ("teachers=[]", "a list of teachers' names or how many"),
        ("first=sft", "must map recipe keys to values"),
        ("first={}", "must map recipe keys to values"),
        ("first_above=0.5", "has no effect without a first stage"),
        ("first_above=1", "must be a share"),
    ],
)
def test_a_bad_value_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load_recipe("quickstart", [override])
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_recipes_and_methods() -> None:
    with pytest.raises(RecipeError, match=r"quickstart.*sft_then_rl"):
        load_recipe("quickstrat")


def test_the_page_is_what_its_module_prints() -> None:
    page = Path(__file__).parents[2] / "docs" / "methods.md"
    assert page.read_text() == markdown(), "run: python -m oger.recipes.methods.page > docs/methods.md"


ROWS = [
    {"prompt": "a", "teachers": [{"teacher": "x", "text": "1"}, {"teacher": "y", "text": "2"}]},
    {"prompt": "b", "teachers": [{"teacher": "y", "text": "3"}, "4"]},
    {"prompt": "c", "teachers": None},
]


def texts(rows: list[dict[str, object]]) -> list[list[str]]:
    return [[entry["text"] for entry in row["teachers"]] for row in rows]  # type: ignore[attr-defined]


def test_teachers_are_chosen_by_name_or_by_their_number_of_trajectories() -> None:
    assert texts(only_teachers(ROWS, ("x",))) == [["1"], [], []]
    assert texts(only_teachers(ROWS, 1)) == [["2"], ["3"], []]
    assert texts(only_teachers(ROWS, ["y", "teacher1"])) == [["2"], ["3", "4"], []]


@pytest.mark.parametrize(("wanted", "message"), [(("z",), "unknown teacher 'z'"), (4, "4 asked for")])
def test_teachers_that_are_not_there_are_refused(wanted: int | tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        only_teachers(ROWS, wanted)

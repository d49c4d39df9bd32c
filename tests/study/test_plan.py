"""STUDY.yaml: what it may say, and the one line for what it may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from oger.io import yaml as yaml_dialect
from oger.study.cells import check_unchanged, choose_values, main_cells, tuning_cells
from oger.study.fields import StudyError
from oger.study.plan import Study, load_study, make_study
from tests.support.tiny_study import document, write_study

TUNED = {"tuning": {"key": "learning_rate", "values": [1e-4, 1e-3], "seeds": [100, 101]}, "seeds": [3, 4]}


def study(**changes: Any) -> Study:
    return make_study(document(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budgets": {}}, "did you mean 'budget'"),
        ({"reference": "grop"}, "did you mean 'grpo'"),
        ({"budget": {"tokens": 5}}, "generated_tokens"),
        ({"budget": {"steps": 5, "wall_seconds": 5}}, "must name one of"),
        ({"budget": {"steps": 0}}, "at least 1"),
        ({"seeds": [1, 1]}, "different whole numbers"),
        ({"methods": {"base": {}}}, "untrained policy"),
        ({"methods": {"a/b": {}}}, "is no name"),
        ({"methods": {"grpo": {}, "x": {"like": "y"}}}, "above it"),
        ({"methods": {"grpo": {"sets": {}}}}, "did you mean 'set'"),
        ({"regimes": {"easy": {"train": "t", "validation": "v"}}}, "lacks test"),
        ({"grid": [{"methods": ["grpo", "ogre"]}]}, "did you mean 'oger'"),
        ({"tuning": {"key": "learning_rate", "values": [1], "seeds": [9]}}, "at least two"),
        ({"contrasts": [["oger", "grop"]]}, "contrasts.*did you mean 'grpo'"),
        ({"contrasts": [["oger", "oger"]]}, "pairs of different methods"),
        ({"contrasts": ["oger", "grpo"]}, "pairs of different methods"),
        ({"contrasts": 3}, "pairs of different methods"),
        ({"claims": 3}, "claims must be a list"),
        ({"claims": [{"contrast": ["oger", "grpo"], "direction": "before"}]}, "claim 1, direction.*behind"),
        ({"claims": [{"contrast": ["oger", "grop"], "direction": "ahead"}]}, "claim 1, contrast.*did you mean 'grpo'"),
        ({"claims": [{"contrast": ["base", "grpo"], "direction": "ahead"}]}, "may only be the second"),
        (
            {"claims": [{"contrast": ["oger", "grpo"], "direction": "ahead", "places": ["easy/idd"]}]},
            "did you mean 'easy/id'",
        ),
        (
            {"claims": [{"contrast": ["oger", "grpo"], "direction": "ahead", "metric": "pass@64"}]},
            "pass@64 needs evaluation.wide",
        ),
        (
            {"claims": [{"contrast": ["oger", "grpo"], "direction": "ahead", "metric": "acuracy"}]},
            "did you mean 'accuracy'",
        ),
        ({"evaluation": {"limit": 1}}, "evaluation.limit must be at least 2"),
        ({"evaluation": {"wide": {"samples": 64, "methods": ["ampo"]}}}, "unknown evaluation.wide.methods"),
    ],
)
def test_a_wrong_study_is_one_line_that_says_what_to_do(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(StudyError, match=words) as raised:
        study(**changes)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"set": {"learning_rat": 1e-3}}, "learning_rate"),
        ({"methods": {"grpo": {}, "ogre": {}}}, "oger"),
        ({"methods": {"grpo": {}, "oger": {"set": {"replacement": "argmin"}}}}, "oger: .*argmin_divergence"),
        ({"budget": {"generated_tokens": 100}, "set": {"lr_scheduler_type": "linear"}}, "constant"),
        ({"budget": {"generated_tokens": 100}, "methods": {"grpo": {}, "sft": {}}}, "generates nothing"),
        ({"budget": {"generated_tokens": 100}, "methods": {"grpo": {}, "sft_then_rl": {}}}, "set max_steps in `first`"),
        ({"budget": {"wall_seconds": 100}, "methods": {"grpo": {}, "sft_then_rl": {}}}, "set max_steps in `first`"),
        ({"budget": {"wall_seconds": 9}, "methods": {"grpo": {}, "chord_mu": {}}}, "imitation_schedule: constant"),
        (
            {
                "methods": {"grpo": {}, "oger": {"set": {"replacement": "argmin"}}},
                "grid": [{"methods": ["grpo"]}, {"methods": ["oger"], "seeds": [7]}],
            },
            "oger: .*argmin_divergence",
        ),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_before_anything_runs(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        main_cells(study(**changes), {})
    assert "\n" not in str(raised.value)


def test_every_method_gets_the_first_seed_first() -> None:
    names = [cell.name for cell in main_cells(study(seeds=[5, 2]), {})]
    assert names == [
        "easy/base", "easy/grpo/seed-5", "easy/oger/seed-5", "easy/grpo/seed-2", "easy/oger/seed-2",
    ]  # fmt: skip


def test_grid_blocks_are_merged() -> None:
    grid = [{"methods": ["grpo"], "seeds": [0, 1]}, {"methods": "all", "seeds": [0]}]
    names = [cell.name for cell in main_cells(study(grid=grid), {})]
    assert sorted(names) == ["easy/base", "easy/grpo/seed-0", "easy/grpo/seed-1", "easy/oger/seed-0"]


def test_a_method_like_another_takes_its_keys_budget_and_tuned_value() -> None:
    methods = {
        "grpo": {},
        "oger": {"set": {"exploration_weight": 2.0}, "budget": {"steps": 3}},
        "flat": {"like": "oger", "set": {"encoder": "ngram:word"}},
    }
    plan = study(methods=methods, **TUNED)
    assert plan.tuning is not None
    assert plan.tuning.methods == ("grpo", "oger")
    cells = {cell.name: cell for cell in main_cells(plan, {("easy", "oger"): 1e-3})}
    recipe = cells["easy/flat/seed-3"].settings["recipe"]
    assert recipe["method"] == "oger"
    assert (recipe["exploration_weight"], recipe["max_steps"], recipe["learning_rate"]) == (2.0, 3, 1e-3)
    assert recipe["encoder"] == "ngram:word"
    assert cells["easy/flat/seed-3"].encoder["encoder"] == cells["easy/base"].encoder["encoder"] != "ngram:word"
    assert not any(name.startswith("easy/grpo") for name in cells)  # its value is still to be chosen


def test_tuning_reads_the_validation_split_alone_and_takes_the_best_mean() -> None:
    plan = study(**TUNED)
    cells = tuning_cells(plan)
    assert len(cells) == 2 * 2 * 2
    for cell in cells:
        [measure] = cell.measures
        assert measure["splits"] == {"validation": "validation.jsonl"}
        assert "test={}" in cell.overrides
        assert "test.jsonl" not in str(cell.settings)
    scores = {cell.name: 0.5 for cell in cells}
    scores["easy/oger/learning_rate=0.001/seed-100"] = 0.7
    scores["easy/oger/learning_rate=0.0001/seed-101"] = 0.6
    assert choose_values(plan, cells, scores) == {("easy", "grpo"): 1e-4, ("easy", "oger"): 1e-3}
    del scores["easy/oger/learning_rate=0.0001/seed-100"]
    assert choose_values(plan, cells, scores) == {("easy", "grpo"): 1e-4}  # not all of them are there


def test_identity_follows_what_is_trained_and_measured_and_nothing_else() -> None:
    def identities(**changes: Any) -> list[str]:
        return [cell.identity for cell in main_cells(study(**changes), {})]

    same = identities()
    assert identities(description="other words", name="other") == same
    assert identities(set={**document()["set"], "learning_rate": 1e-5})[1:] != same[1:]
    assert identities(evaluation={"samples": 5}) != same
    changed = identities(methods={"grpo": {}, "oger": {"set": {"exploration_weight": 2}}})
    assert changed[:2] == same[:2]
    assert changed[2] != same[2]
    own = main_cells(study(), {})[1].settings["recipe"]
    assert own["validation"] == "validation.jsonl"
    assert "keep_last" not in own  # its default: a key that a later version brings is no change


def test_a_changed_cell_is_refused_with_what_differs() -> None:
    stored = {cell.name: (cell.identity, cell.settings) for cell in main_cells(study(), {})}
    changed = main_cells(study(budget={"steps": 9}), {})
    with pytest.raises(StudyError, match=r"easy/grpo/seed-0.*max_steps: 2 -> 9.*1 other cells.*another label"):
        check_unchanged(changed, stored, "studies/tiny")
    check_unchanged(main_cells(study(seeds=[0, 1]), {}), stored, "studies/tiny")  # more seeds are no change


def test_a_recipe_beside_the_study_is_found_and_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: world:arithmetic\n")
    assert load_study(write_study(tmp_path, recipe="mine.yaml")).recipe == str(tmp_path / "mine.yaml")
    with pytest.raises(StudyError, match=r"study\.yaml.*reference"):
        load_study(write_study(tmp_path, reference="nothing"))
    with pytest.raises(FileNotFoundError):
        load_study(tmp_path / "none.yaml")


def test_the_study_of_the_page_works() -> None:
    page = Path(__file__).parents[2] / "docs" / "compare.md"
    [text] = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    plan = make_study(yaml_dialect.load(text))
    pairs = {("reachable", method): 3e-4 for method in ("grpo", "oger", "sft", "luffy_two")}
    cells = main_cells(plan, pairs)
    assert len(cells) == 1 + 4 * 5 + 3
    assert {cell.tuned for cell in cells if cell.method == "oger_no_std"} == {"learning_rate=0.0003"}

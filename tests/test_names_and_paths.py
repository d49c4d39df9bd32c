"""Names from files become folders, cells of tables and pages: none leaves its folder, its cell or its place."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from oger.evaluation.benchmark import BenchmarkError, find_benchmarks
from oger.evaluation.job import folder_name
from oger.recipes import load_recipe
from oger.study.cells import tuning_cells
from oger.study.fields import StudyError
from oger.study.plan import make_study
from oger.training.run.warm_start import first_recipe
from tests.support.planted import good_text, plain_row, prompt_of, run, write_jsonl

STUDY: dict[str, Any] = {
    "name": "tiny",
    "recipe": "smoke",
    "reference": "grpo",
    "budget": {"steps": 2},
    "seeds": [0],
    "regimes": {
        "easy": {"train": "world:arithmetic/train", "validation": "world:arithmetic/validation",
                 "test": {"id": "world:arithmetic/test"}}
    },
    "methods": {"grpo": {}},
}  # fmt: skip
NO_NAMES = [
    "../out",
    "..",
    ".",
    "/etc",
    "a/b",
    "a\\b",
    "",
    "x\n",
    "~",
    "a\x00b",
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\tx",
    "a b",
]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("where", ["name", "regimes", "methods", "test"])
def test_a_name_in_a_study_is_no_path_and_no_formula(where: str, name: str) -> None:
    study = copy.deepcopy(STUDY)
    if where == "name":
        study["name"] = name
    else:
        entries = study["regimes"]["easy"]["test"] if where == "test" else study[where]
        entries[name] = next(iter(entries.values()))
    with pytest.raises(StudyError, match="is no name"):
        make_study(study)


def test_a_tuned_value_that_is_a_path_stays_one_folder() -> None:
    values = ["../../../out", "..%2F..%2Fout", "/etc/out"]
    study = make_study({**STUDY, "tuning": {"key": "run_name", "values": values, "seeds": [1]}})
    names = [cell.name for cell in tuning_cells(study)]
    assert len(set(names)) == 3
    assert all(len(Path(name).parts) == 4 and ".." not in Path(name).parts for name in names)


@pytest.mark.parametrize("label", ["../../out", "/etc/out", "..", "a/../../b", "\x00"])
def test_the_label_of_a_policy_names_one_folder(label: str) -> None:
    name = folder_name(label)
    assert Path(name).name == name
    assert name != ".."


@pytest.mark.parametrize("name", ["...yaml", "world:arithmetic/../../out"])
def test_a_benchmark_whose_name_is_a_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("...yaml").write_text("source: world:arithmetic/test\ncolumns: {prompt: prompt, answer: answer}\n")
    with pytest.raises(BenchmarkError, match="cannot name a benchmark"):
        find_benchmarks([name])


def test_the_first_stage_stays_in_the_run_folder_whatever_its_keys_say(tmp_path: Path) -> None:
    first = "first={method: sft, output_dir: /tmp/elsewhere, max_steps: 1}"
    recipe = load_recipe("smoke", [first, f"output_dir={tmp_path / 'run'}"])
    assert first_recipe(recipe).output_dir == tmp_path / "run" / "first"


def test_a_method_is_a_name_and_no_file() -> None:
    with pytest.raises(ValueError, match="unknown method"):
        load_recipe("smoke", ["method=../../recipes/methods/grpo"])


def test_a_teachers_name_stays_in_its_cell_of_the_card(tmp_path: Path) -> None:
    name = "a | b <script>alert(1)</script> ![](http://host/seen) \x1b[31m"
    write_jsonl(tmp_path / "rows.jsonl", [plain_row(prompt_of(1), "3", good_text(1, "a"), name)])
    run(tmp_path / "table", f"mine=plain:{tmp_path / 'rows.jsonl'}")
    card = (tmp_path / "table" / "card.md").read_text()
    assert "a \\| b &lt;script>" in card
    for harmful in ("<script", "![](", "\x1b"):
        assert harmful not in card

"""The study that is committed: its cells can be made, its results are theirs, and its tables come from them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from oger.study.analysis import Analysis
from oger.study.cells import Cell, check_unchanged, choose_values, main_cells, tuning_cells
from oger.study.numbers import Place
from oger.study.plan import Study, load_study
from oger.study.report import write_tables
from oger.study.store import ResultStore
from oger.study.tables import SAID

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "studies" / "arithmetic"
RESULTS = FOLDER / "results"


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study(FOLDER.with_suffix(".yaml"))


@pytest.fixture(scope="module")
def cells(study: Study) -> list[Cell]:
    tuning = tuning_cells(study)
    chosen = choose_values(study, tuning, ResultStore(RESULTS).tuning_accuracies())
    return [*tuning, *main_cells(study, chosen)]


@pytest.fixture(scope="module")
def analysis(study: Study) -> Analysis:
    return Analysis(study, ResultStore(RESULTS))


def test_every_stored_cell_is_one_of_the_study_as_it_stands(cells: list[Cell]) -> None:
    stored = ResultStore(RESULTS).cells()
    assert stored.keys() <= {cell.name for cell in cells}
    check_unchanged(cells, stored, str(FOLDER))


def test_the_core_methods_have_all_seeds_in_both_regimes(study: Study, analysis: Analysis) -> None:
    core = study.blocks[0]
    for regime in study.regimes:
        for split in study.regimes[regime].test:
            seeds = {row.method: row.seeds for row in analysis.standings(Place(regime, split, "last"))}
            assert {method: seeds[method] for method in core.methods} == dict.fromkeys(core.methods, core.seeds)


def test_tables_and_figures_are_those_of_the_stored_results(study: Study, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for path in RESULTS.glob("*.parquet"):
        shutil.copy(path, tmp_path / "results" / path.name)
    for path in write_tables(study, tmp_path):
        assert path.read_bytes() == (RESULTS / path.name).read_bytes(), path.name


@pytest.mark.parametrize("page", ["README.md", "docs/study.md"])
def test_rows_of_the_study_that_a_page_shows_stand_in_its_leaderboard(study: Study, page: str) -> None:
    table = set((RESULTS / "leaderboard.md").read_text().splitlines())
    shown = [
        line
        for line in (ROOT / page).read_text().splitlines()
        if re.match(rf"\| ({'|'.join(['base', *study.methods])}) \|", line)
    ]
    assert len(shown) >= len(study.blocks[0].methods)
    assert [line for line in shown if line not in table] == []


def test_the_claims_that_the_page_quotes_are_what_the_results_say(study: Study, analysis: Analysis) -> None:
    found = analysis.findings
    by_line: dict[tuple[str, str], dict[str, str]] = {}
    for one in found:
        said = f"{one.claim.method} {SAID[one.claim.direction]} {one.claim.other}"
        by_line.setdefault((said, one.claim.metric), {})[f"{one.place.regime}, {one.place.split}"] = one.verdict
    table = (ROOT / "docs" / "study.md").read_text().split("## Claims\n")[1].split("\n## ")[0]
    header, _, *lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]
    shown = {(claim, metric): dict(zip(header[2:], cells, strict=True)) for claim, metric, *cells in lines}
    assert {key: {p: v for p, v in cells.items() if v != "-"} for key, cells in shown.items()} == by_line
    assert sum(len(claim.places) for claim in study.claims) == len(found), "each claim has results in all its places"

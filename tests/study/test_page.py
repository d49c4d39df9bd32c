"""`oger report STUDY`: one page of the tables that oger compare made."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from oger.cli.main import main
from oger.study.page import build_study_page
from oger.terminal.errors import UserError

STUDY = Path(__file__).parents[2] / "studies" / "arithmetic"


class Text(HTMLParser):
    """What a page says, and what it would load."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.loads: list[str] = []
        self.scripts = 0

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]


def read(page: Path) -> Text:
    text = Text()
    text.feed(page.read_text(encoding="utf-8"))
    return text


@pytest.mark.parametrize("target", [STUDY, STUDY.with_suffix(".yaml")])
def test_the_page_says_who_is_ahead_and_holds_every_table_and_figure(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a study's folder lies beside its file, too
    out = tmp_path / "study.html"
    with pytest.raises(SystemExit) as caught:
        main(["report", str(target), "-o", str(out)])
    assert not caught.value.code
    text = read(out)
    said = " ".join(" ".join(text.said).split())
    assert re.search(r"reachable, in distribution base .* dr_grpo 52\.3 .* ▲ ahead sft_one \+13\.3 \[", said)
    leaderboard = (STUDY / "results" / "leaderboard.md").read_text(encoding="utf-8")
    cells = {cell.strip() for line in leaderboard.splitlines() if line.startswith("| ") for cell in line.split("|")}
    lost = [cell for cell in cells if re.sub(r"(?<![\w.])-(?=\d)", "−", " ".join(cell.split())) not in said]
    assert lost == []
    assert not re.search(r"[ \[(]-\d", said.rpartition("@media print")[2]), "one minus sign"
    assert "<sub>" not in said
    assert "`" not in said.partition("wall time")[0].rpartition("oger compare")[2]
    assert len(text.loads) == 6  # three of each regime
    assert all(source.startswith("data:image/svg+xml") for source in text.loads)
    assert text.scripts == 0


def test_what_stands_in_the_tables_stays_text(tmp_path: Path) -> None:
    shutil.copytree(STUDY, tmp_path / "study")
    for name in ("leaderboard.md", "leaderboard.csv"):
        path = tmp_path / "study" / "results" / name
        path.write_text(path.read_text(encoding="utf-8").replace("luffy", "<script>x</script>"), encoding="utf-8")
    build_study_page(tmp_path / "study", tmp_path / "study.html")
    text = read(tmp_path / "study.html")
    assert text.scripts == 0
    assert any("<script>x</script>" in said for said in text.said)


def test_a_study_without_tables_says_what_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(STUDY.with_suffix(".yaml"), tmp_path / "mine.yaml")
    with pytest.raises(UserError, match=r"oger compare mine\.yaml makes them"):
        build_study_page(Path("mine.yaml"), tmp_path / "study.html")
    assert not (tmp_path / "study.html").exists()


def test_a_study_and_runs_have_pages_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["report", str(STUDY), str(tmp_path), "-o", str(tmp_path / "page.html")])
    assert caught.value.code == 2
    assert "has a page of its own" in capsys.readouterr().err

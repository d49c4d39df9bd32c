"""Every citation names the paper's authors, in their order."""

from __future__ import annotations

from pathlib import Path

import yaml

from oger import OGERTrainer
from oger.runs import card

ROOT = Path(__file__).parents[1]
AUTHORS = ["Xinyu Ma", "Mingzhou Xu", "Xuebo Liu", "Chang Jin", "Qiang Wang", "Derek F. Wong", "Min Zhang"]
BIBTEX = " and ".join(f"{name.split()[-1]}, {' '.join(name.split()[:-1])}" for name in AUTHORS)


def test_the_citation_file_prefers_the_paper_with_its_authors() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["preferred-citation"]
    assert [f"{author['given-names']} {author['family-names']}" for author in cited["authors"]] == AUTHORS


def test_readme_and_model_cards_name_the_authors() -> None:
    assert BIBTEX in (ROOT / "README.md").read_text()
    assert BIBTEX in OGERTrainer._paper["citation"]
    assert BIBTEX in card.CITATION

"""`make docs`: the site builds strictly, shows every page and the API, and asks no network for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr  # --strict: a broken link or reference ends it
    return folder


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")]
    start = (site / "index.html").read_text()
    for page in pages:
        assert (site / page).is_file(), page
        assert f'href="{page}"' in start, page


def test_formulas_are_mathml_and_none_is_left_as_it_was_typed(site: Path) -> None:
    assert 'display="block"><mrow><msub><mi>D</mi><mi>i</mi></msub>' in (site / "method.html").read_text()
    for path in site.rglob("*.html"):
        assert 'class="arithmatex"' not in path.read_text(), path


def test_the_site_loads_nothing_from_a_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]* src="?([^">\s]+)', path.read_text())
        loaded += re.findall(r'<link[^>]* rel="?(?:stylesheet|preload|preconnect|icon)"?[^>]*>', path.read_text())
        assert loaded
        assert not [address for address in loaded if re.search(r"https?:|=\"?//|^//", address)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", path.read_text()), path


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("oger", ["OGERTrainer", "OGERConfig", "load_recipe", "train_recipe", "exploration_weight"]),
        ("method", ["teacher_divergence", "exploration_reward", "mixed_policy_loss", "group_advantage"]),
        ("rewards", ["RewardGroup", "shaping_reward"]),
        ("verification", ["verify_many", "Verdict", "accuracy_reward"]),
        ("encoders", ["create_encoder", "EncoderIdentity"]),
        ("teachers", ["curate", "curate_rows", "CurateOptions"]),
        ("evaluation", ["Job", "run_job", "pass_at_k", "bootstrap_interval"]),
    ],
)
def test_the_api_shows_the_names_with_what_their_docstrings_say(site: Path, page: str, names: list[str]) -> None:
    text = (site / "api" / f"{page}.html").read_text()
    shown = set(re.findall(r'id="(?:\w+\.)*(\w+)"', text))
    assert set(names) <= shown
    assert "Raises:" in text

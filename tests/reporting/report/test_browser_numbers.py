"""Numbers of the page in a real browser, and what one run alone needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oger.reporting.report import build_report
from oger.reporting.report.page import asset
from tests.support.browser import until
from tests.support.run_folders import make_run


def test_one_run_has_no_bar_that_stays_and_no_noise_as_a_change(browser: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "one", steps=12, rollouts_every=6)
    metrics = run / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    changed = [{**row, "confidence/mean": 0.99999 + 1e-6 * (row["step"] % 3)} for row in rows]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in changed))
    summary = json.loads((run / "summary.json").read_text())
    del summary["after"]["id"]["pass@8"], summary["before"]["id"]["pass@8"]
    (run / "summary.json").write_text(json.dumps(summary))
    build_report([run], tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    unknown = "return [...document.querySelectorAll('.change tbody td')].at(-1).textContent"
    assert browser.execute_script(unknown) == "not measured"
    controls = "return getComputedStyle(document.getElementById('controls')).position"
    assert browser.execute_script(controls) == "static"
    axis = (
        "return [...document.querySelectorAll('.curve')]"
        ".find((box) => box.getAttribute('aria-label').startsWith('Confidence')).layout.yaxis.range"
    )
    low, high = browser.execute_script(axis)
    assert high - low > 0.05
    assert low < 0.96
    assert high > 1
    assert browser.get_log("browser") == []


def test_numbers_are_rounded_and_signed_as_on_the_terminal(browser: Any, tmp_path: Path) -> None:
    values = [0.3125, 0.3175, -0.0625, 0.12345678, 0.9999, -0.00001, 0.5, 0.28749999999]
    page = tmp_path / "page.html"
    script = asset("core.js").partition("function fixed")[0].partition("// A number with")[2]
    page.write_text(f"<meta charset=utf-8><script>// {script}; window.decimals = decimals;</script>", encoding="utf-8")
    browser.get(page.as_uri())
    shown = browser.execute_script("return arguments[0].map((value) => decimals(100 * value, 1))", values)
    expected = [f"{100 * value:.1f}".replace("-", "−") for value in values]
    assert shown == ["0.0" if text == "−0.0" else text for text in expected]

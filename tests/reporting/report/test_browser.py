"""The page in a real browser: Debian's chromium, headless, from file://.

Where there is no chromium the tests are skipped; with OGER_REQUIRE_BROWSER=1 (continuous integration) they fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oger.reporting.report import build_report
from oger.reporting.report.watch import address_of
from oger.runs.metrics_log import MetricsLog
from tests.reporting.report.test_watch import served
from tests.support.browser import until
from tests.support.run_folders import make_run

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> <b>6*7</b>=42"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of one run and another run, with texts that try to become markup, alarms and a missing file."""
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        make_run(folder / "first", steps=12, rollouts_every=3, seed=0, text=HOSTILE, alarms={7: {"undecided": "look"}}),
        make_run(folder / "second", steps=12, rollouts_every=3, seed=1, probes=2),
        make_run(folder / "other", steps=8, rollouts_every=4, seed=2, config={"teacher_rows": 0}, finished=False),
    ]
    (runs[2] / "environment.json").unlink()
    build_report(runs, folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The page freshly loaded; afterwards the console must hold nothing and the page must have loaded nothing."""
    browser.set_window_size(1200, 900)
    browser.get("about:blank")
    browser.get(report.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    yield browser
    assert browser.get_log("browser") == []
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded == []
    assert browser.title == "first, second, other - OGER report", "no text of a run was executed"


def curve_names(page: Any) -> list[list[str]]:
    """Names of the traces in each learning curve."""
    return page.execute_script(
        "return [...document.querySelectorAll('.curve')]"
        ".map((box) => box.data.map((trace) => trace.name).filter((name) => name !== 'alarms'))"
    )


def press(page: Any, label: str) -> None:
    [button] = [each for each in page.find_elements("css selector", "#legend button") if each.text == label]
    button.click()


def choose(page: Any, identifier: str, value: str) -> None:
    page.execute_script(
        "const box = document.getElementById(arguments[0]); box.value = arguments[1];"
        "for (const kind of ['input', 'change']) box.dispatchEvent(new Event(kind, { bubbles: true }));",
        identifier, value,
    )  # fmt: skip


def test_the_page_draws_every_section_and_says_what_is_missing(page: Any) -> None:
    sections = [each.get_attribute("id") for each in page.find_elements("css selector", "main > section")]
    assert sections == ["headline", "curves", "map", "groups", "histograms", "bonus", "alarms", "cost", "setup"]
    assert page.execute_script("return document.querySelectorAll('.plot .main-svg').length") >= 20
    notes = [each.text for each in page.find_elements("css selector", ".note")]
    assert any("other is not finished: step 8 of 8" in note for note in notes)
    assert "other: environment.json is missing." in notes
    assert "undecided" in page.find_element("id", "alarms").text
    heading = page.find_element("css selector", "main > section").text
    assert heading.startswith("What changed")
    assert "teacher_rows" in page.find_element("id", "setup").text


def test_the_legend_hides_a_run_in_every_plot(page: Any) -> None:
    before = curve_names(page)
    assert all(any(name == "mean of 2 seeds: first, second" for name in names) for names in before)
    assert all("other" in names for names in before)
    press(page, "other")
    assert all("other" not in names for names in curve_names(page))
    press(page, "second")
    after = curve_names(page)
    assert all(names == ["first"] for names in after), "one seed alone has no band"
    bonus = page.find_element("css selector", "#bonus .plot")
    assert page.execute_script("return arguments[0].data.map((trace) => trace.name)", bonus) == ["first"]
    cost = page.find_element("css selector", "#cost .plot")
    assert page.execute_script("return arguments[0].data.map((trace) => [...trace.y])", cost) == [["first"]] * 5
    options = [each.text for each in page.find_elements("css selector", "#map-run option")]
    assert options == ["first"]
    assert "8 of 20 groups" in page.find_element("id", "group-count").text
    press(page, "second")
    press(page, "other")
    assert curve_names(page) == before


def test_a_zoom_holds_in_all_curves_and_can_be_typed(page: Any) -> None:
    ranges = "return [...document.querySelectorAll('.curve')].map((box) => box.layout.xaxis.range)"
    page.execute_script("Plotly.relayout(document.querySelector('.curve'), {'xaxis.range[0]': 3, 'xaxis.range[1]': 6})")
    until(lambda: page.execute_script(ranges) == [[3, 6]] * len(curve_names(page)))
    assert page.find_element("id", "zoom-from").get_property("value") == "3"
    page.find_element("id", "zoom-all").click()
    until(lambda: all(each is None or each[1] > 10 for each in page.execute_script(ranges)))
    box = page.find_element("id", "zoom-from")
    box.send_keys("5\t")
    until(lambda: page.execute_script(ranges) == [[5, 12]] * len(curve_names(page)))


def test_search_and_filters_find_groups(page: Any) -> None:
    count = page.find_element("id", "group-count")
    assert count.text.startswith("20 of 20 groups")
    page.find_element("id", "search").send_keys("[6.1.0]")
    until(lambda: count.text.startswith("2 of 20 groups, 2 rows"))  # of the first and the second run
    marks = [each.text for each in page.find_elements("css selector", "#group-list mark")]
    assert marks == ["[6.1.0]"]
    page.find_element("id", "search").clear()
    page.find_element("id", "search").send_keys("nothing like it")
    until(lambda: count.text.startswith("0 of 20"))
    page.find_element("id", "search").clear()
    choose(page, "search", "")
    for kind, rows in (("wrong", 20), ("correct", 60), ("replaced", 20), ("replaced-correct", 20), ("teacher", 20)):
        choose(page, "group-rows", kind)
        until(lambda rows=rows: count.text == f"20 of 20 groups, {rows} rows match.")
    choose(page, "group-rows", "any")
    choose(page, "group-teacher", "calm")
    until(lambda: count.text.startswith("10 of 20 groups"))


def test_texts_show_as_they_are(page: Any) -> None:
    text = page.find_element("css selector", "#group-list .trajectory .text").text
    assert text.startswith(HOSTILE)
    assert page.execute_script("return document.querySelectorAll('#group-list img, #group-list b').length") == 0


def test_the_sliders_move_the_map_and_the_histograms(page: Any) -> None:
    points = (
        "return document.querySelector('#map .plot').data.filter((t) => / rollouts$/.test(t.name)).map((t) => [...t.x])"
    )
    before = page.execute_script(points)
    said = page.find_element("id", "map-said")
    assert said.text.startswith("step 3:")
    slider = page.find_element("id", "map-step")
    slider.send_keys("\ue014")  # the right arrow key
    until(lambda: said.text.startswith("step 6:"))
    assert page.execute_script(points) != before
    assert slider.get_attribute("aria-valuetext") == said.text
    bars = "return [...document.querySelector('#histograms .plot').data[0].customdata]"
    last = page.execute_script(bars)
    choose(page, "histogram-step", "0")
    until(lambda: page.execute_script(bars) != last)
    assert page.find_element("id", "histogram-said").text.startswith("step 1:")
    choose(page, "map-view", "1")
    assert page.execute_script("return document.querySelector('#map .faint').textContent").count("1 prompt.") == 1


def test_the_map_of_probes_also_says_in_numbers_how_far_the_policy_is(page: Any) -> None:
    choose(page, "map-run", "1")
    choose(page, "map-view", "1")
    said = page.find_element("id", "map-said")
    assert said.text.startswith("step 0: 2 correct, 1 wrong, 1 undecided; mean divergence from the teachers 0.0")
    ranges = "const { xaxis, yaxis } = document.querySelector('#map .plot').layout; return [xaxis.range, yaxis.range]"
    before = page.execute_script(ranges)
    page.find_element("id", "map-step").send_keys("\ue014\ue014")  # the right arrow key, twice
    until(lambda: said.text.startswith("step 6:"))
    assert said.text.endswith(" at step 0)")
    assert page.execute_script(ranges) == before, "the plane is the same at every step"
    beside = page.execute_script("return document.querySelector('#map .plot').data.flatMap((trace) => trace.text)")
    assert beside.count(" ×2") == 1, "equal answers are one marker that says so"
    names = page.find_elements("css selector", "#map .annotation")
    assert [each.text for each in names] == ["step 0", "step 6"]
    boxes = [each.find_element("css selector", ".bg").rect for each in names]
    marks = [each.rect for each in page.find_elements("css selector", "#map .point")]
    covered = [
        mark for mark in marks for box in boxes
        if box["x"] < mark["x"] + mark["width"] / 2 < box["x"] + box["width"]
        and box["y"] < mark["y"] + mark["height"] / 2 < box["y"] + box["height"]
    ]  # fmt: skip
    assert covered == [], "no mark lies behind a name"
    page.find_element("css selector", "#map-numbers summary").send_keys(" ")
    rows = [each.text for each in page.find_elements("css selector", "#map-numbers tbody tr")]
    assert rows == [f"{step} {(step + 1.5) / 100:.3f} 2 4" for step in (0, 3, 6, 9, 12)]
    shown = [each.text for each in page.find_elements("css selector", "#map > .faint")]
    assert shown[0].startswith("Probes: 2 training prompts")
    choose(page, "map-run", "0")
    until(lambda: page.find_element("css selector", "#map > .faint").text.startswith("No probes are stored"))


def test_the_keyboard_reaches_every_control(page: Any) -> None:
    wanted = {"theme", "smoothing", "across",
              "zoom-from", "zoom-to", "zoom-all", "map-run", "map-view", "map-step", "search", "group-rows",
              "group-teacher", "group-run", "histogram-run", "histogram-step"}  # fmt: skip
    seen: set[str] = set()
    legend = 0
    page.execute_script("document.body.focus()")
    for _ in range(150):
        page.switch_to.active_element.send_keys("\t")
        active = page.switch_to.active_element
        seen.add(active.get_attribute("id") or "")
        legend += active.get_attribute("data-run") is not None
        if wanted <= seen:
            break
    assert wanted <= seen
    assert legend == 3
    button = page.find_element("css selector", "#legend button")
    button.send_keys(" ")
    assert button.get_attribute("aria-pressed") == "false"


def test_dark_mode_follows_the_system_and_the_button(page: Any) -> None:
    def colours() -> tuple[str, str]:
        script = "return getComputedStyle(document.body).backgroundColor"
        return page.execute_script(script), page.execute_script(
            "return document.querySelector('.curve').layout.paper_bgcolor"
        )

    assert colours() == ("rgb(255, 255, 255)", "#ffffff")
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    until(lambda: colours() == ("rgb(18, 22, 27)", "#12161b"))
    button = page.find_element("id", "theme")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert colours() == ("rgb(255, 255, 255)", "#ffffff")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_telephone_shows_it_without_scrolling_sideways(page: Any) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        until(lambda: page.execute_script("return innerWidth") == 390)
        wide = "return document.documentElement.scrollWidth"
        until(lambda: page.execute_script(wide) <= 390)
        plots = "return Math.max(...[...document.querySelectorAll('.plot .main-svg')].map((svg) => svg.clientWidth))"
        until(lambda: page.execute_script(plots) <= 390)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_strip_says_what_changed_and_what_it_cost(page: Any) -> None:
    first, _, other = (each.text for each in page.find_elements("css selector", ".answer"))
    assert "finished" in first
    assert "luffy_code · tiny · 12 steps · seed 0" in first
    assert "▲ +25.0\n[+7.3, +42.7] *\n25.0 → 50.0 %" in first, "each side contributes the half of its own interval"
    assert "pass@8\n" in first
    assert "1 alarm: undecided" in first
    assert "30 s of training · 61 s in all" in first
    assert "not finished" in other
    assert "held-out accuracy 25.0 % at step 2, 100.0 % at step 8" in other
    top = "return document.querySelector('.answer').getBoundingClientRect().top"
    assert page.execute_script(top) < 350, "before anything is scrolled"


def test_alarms_stand_on_the_curves_and_say_themselves(page: Any) -> None:
    marks = page.execute_script(
        "return document.querySelector('.curve').data.filter((trace) => trace.name === 'alarms')"
        ".map((trace) => [[...trace.x], [...trace.text]])"
    )
    assert marks == [[[7], ["first, step 7: undecided<br>look"]]]
    press(page, "first")
    assert page.execute_script("return document.querySelector('.curve').data.some((t) => t.name === 'alarms')") is False


def test_curves_go_by_step_tokens_or_time(page: Any) -> None:
    title = "return document.querySelector('.curve').layout.xaxis.title.text"
    places = "return [...document.querySelector('.curve').data.find((t) => t.name === 'other').x]"
    assert page.execute_script(title) == "step"
    assert page.execute_script(places) == [2, 4, 6, 8]
    choose(page, "across", "tokens")
    assert page.execute_script(title) == "tokens generated"
    assert page.execute_script(places) == [320, 640, 960, 1280], "8 rows of 20 tokens in each step"
    choose(page, "across", "hours")
    assert page.execute_script(title) == "minutes of training"
    assert page.execute_script(places) == pytest.approx([5 / 60, 10 / 60, 15 / 60, 20 / 60], rel=1e-3)
    choose(page, "across", "step")


def test_smoothing_keeps_the_values_pale_behind(browser: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "long", steps=40, rollouts_every=20)
    build_report([run], tmp_path / "report.html")
    browser.get((tmp_path / "report.html").as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    lines = "return document.querySelectorAll('.curve')[1].data.map((t) => [t.name, [...t.y]])"
    (behind, raw), (name, smooth) = browser.execute_script(lines)
    assert (behind, name) == ("long: not smoothed", "long")
    assert len(raw) == len(smooth) == 40
    assert smooth[20] == pytest.approx(sum(raw[19:22]) / 3, rel=1e-4), "light: three of forty points"
    choose(browser, "smoothing", "none")
    assert browser.execute_script(lines) == [["long", raw]]
    steps = "return [...document.getElementById('tests-plot').data[0].x]"
    assert browser.execute_script(steps) == [0, 40], "the test set before training stands at step 0"


def test_a_watched_page_refreshes_in_place(browser: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=4, finished=False)
    with served(run) as server:
        browser.get(address_of(server))
        until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
        choose(browser, "across", "hours")
        choose(browser, "group-rows", "correct")
        browser.find_element("css selector", "#all-numbers summary").click()
        browser.execute_script("window.scrollTo(0, 900)")
        MetricsLog(run / "metrics.jsonl").log(5, {"reward/total": 0.5, "time/step": 2.5})
        # read in one go: an element that was found may be replaced before its text is asked for
        until(lambda: "step 5" in browser.execute_script("return document.querySelector('.answer').textContent"))
        assert browser.execute_script("return window.scrollY") == 900
        assert browser.find_element("id", "across").get_property("value") == "hours"
        assert browser.find_element("id", "group-rows").get_property("value") == "correct"
        assert browser.execute_script("return document.getElementById('all-numbers').open")
    until(
        lambda: (
            "no longer followed" in browser.execute_script("return document.getElementById('following').textContent")
        )
    )
    failed = [entry for entry in browser.get_log("browser") if "ERR_CONNECTION" not in entry["message"]]
    assert failed == []


def test_runs_are_told_apart_without_colour(page: Any) -> None:
    looks = page.execute_script(
        "return document.querySelector('.curve').data.filter((trace) => trace.mode === 'lines+markers')"
        ".map((trace) => [trace.line.dash, trace.marker.symbol])"
    )
    assert len(looks) == 2
    assert all(len(set(kinds)) == 2 for kinds in zip(*looks, strict=True)), "dashes differ, and symbols differ"


def test_the_other_metrics_open_on_demand(browser: Any, report: Path) -> None:
    browser.get(report.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    browser.find_element("css selector", "#other-metrics summary").click()
    until(lambda: browser.execute_script("return document.querySelectorAll('#other-metrics .main-svg').length"))
    press(browser, "other")
    assert all("other" not in names for names in curve_names(browser))
    assert browser.get_log("browser") == []

"""Bars where somebody sees them, lines where nobody does."""

from __future__ import annotations

import io

from oger.terminal import bar as bar_module
from oger.terminal.bar import Bars, clock
from oger.terminal.console import Terminal


def console(*, terminal: bool) -> Terminal:
    return Terminal(file=io.StringIO(), force_terminal=terminal, color_system=None, width=80)


def written(of: Terminal) -> str:
    return of.file.getvalue()


def test_a_terminal_sees_title_count_and_note_and_no_plain_lines() -> None:
    screen = console(terminal=True)
    with Bars("title", "bar", "count", "note", console=screen) as bars:
        assert bars.shown
        bar = bars.add("draw [x]", total=8, note="no rate yet")
        bar.advance(2)
        bar.update(completed=3, note="2 per second")
        bars.tell("a line for logs")
        bars.say("stays [above] \x1b]0;title\x07")
    text = written(screen)
    assert "draw [x]" in text
    assert "3/8 2 per second" in text
    assert "stays [above] ]0;title" in text
    assert "a line for logs" not in text


def test_elsewhere_there_are_lines_and_no_bar(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(bar_module.time, "monotonic", lambda: now[0])
    log = console(terminal=False)
    with Bars("title", "bar", "percent", console=log) as bars:
        assert not bars.shown
        bar = bars.add("check", total=3)
        for passed in (10.0, 25.0, 5.0, 30.0):
            now[0] += passed
            bars.tell(f"at {now[0]:g} " + "x" * 100, every_s=30.0)
        assert list(bar.follow("ab")) == ["a", "b"]
        bars.tell("always")
    assert written(log).splitlines() == ["at 135 " + "x" * 100, "at 170 " + "x" * 100, "always"]


def test_what_nobody_wants_is_silent() -> None:
    for terminal in (True, False):
        silent = console(terminal=terminal)
        with Bars("bar", console=silent, wanted=False) as bars:
            bars.add("check", total=3).advance()
            bars.tell("nothing")
        assert written(silent) == ""


def test_clock() -> None:
    assert (clock(0), clock(59.9), clock(3600), clock(360000)) == ("0:00:00", "0:00:59", "1:00:00", "100:00:00")

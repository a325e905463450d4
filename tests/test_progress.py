"""Progress: quiet at first, then plain lines with the time left, or a bar on a terminal."""

import io

import pytest

from pyro_ssvae.system import progress
from pyro_ssvae.system.progress import Progress, duration, say


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_what_ends_within_two_seconds_says_nothing(clock, capsys) -> None:
    with Progress("training", 4, "updates") as bar:
        for _ in range(4):
            clock[0] += 0.4
            bar.advance()
    assert capsys.readouterr() == ("", "")


def test_plain_lines_tell_the_time_left(clock, capsys) -> None:
    with Progress("training m2", 100, "updates", done=20) as bar:
        for _ in range(8):
            clock[0] += 3.0
            bar.note(accuracy=0.5)
            bar.advance(10)
    assert capsys.readouterr().err.splitlines() == [
        "training m2: 30 of 100 updates, 21 s left; accuracy 0.5",  # after the first 2 s
        "training m2: 70 of 100 updates, 9 s left; accuracy 0.5",  # after 10 s more
    ]


def test_nothing_is_said_where_nothing_is_to_be_shown(clock, capsys) -> None:
    with Progress("training", 100, "updates", show=False) as bar:
        clock[0] += 60.0
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_goes_away(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setattr(progress, "QUIET", 0.0)
    with Progress("training m2", 3, "updates") as bar:
        bar.note(accuracy=0.5)
        bar.advance(3)
    shown = terminal.getvalue()
    assert "training m2" in shown and "accuracy 0.5" in shown
    assert shown.rsplit("\r", 1)[1] == ""  # cleared


def test_a_line_is_said_on_standard_output(capsys) -> None:
    say("m2, seed 0: done")
    assert capsys.readouterr() == ("m2, seed 0: done\n", "")


@pytest.mark.parametrize("seconds, text", [
    (0.2, "1 s"), (59.4, "59 s"), (60, "1 min 0 s"), (200, "3 min 20 s"), (7_500, "2 h 5 min"),
])
def test_durations_are_for_people(seconds, text) -> None:
    assert duration(seconds) == text

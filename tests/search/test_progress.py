"""The view tells how many trials ended, what runs, what is best and how long it takes."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from pipeline import library_messages
from pipeline.search import progress
from pipeline.search.progress import (
    LiveView,
    PlainView,
    Running,
    Snapshot,
    drawing,
    open_view,
)

SNAPSHOT = Snapshot(
    total=30,
    ended=12,
    pruned=3,
    failed=1,
    running=(
        Running("trial 12 (searched)", 4, 30, 0.31249),
        Running("cohort 5 (8 trials)", 0, 30, None),
    ),
    best="trial 7, val CE 0.2013, gap 0.051 +- 0.012, 3 as good as the best",
    seconds=80.0,
    seconds_left=720.0,
)


@pytest.fixture
def piped():
    return Console(file=io.StringIO(), width=60)


@pytest.fixture
def terminal():
    return Console(
        file=io.StringIO(), width=100, force_terminal=True, color_system=None, legacy_windows=False
    )


def drawn(snapshot):
    console = Console(file=io.StringIO(), width=100)
    console.print(drawing(snapshot))
    return console.file.getvalue()


LONG = "finalist 3 seed 2244700824 (8/12): val CE 1.9951, gap -0.0024 of an extraordinary length"


def test_a_terminals_lines_break_between_words_and_a_files_do_not_break():
    narrow = Console(file=io.StringIO(), width=30, force_terminal=True, color_system=None)
    PlainView(narrow).note(LONG)
    lines = narrow.file.getvalue().splitlines()
    assert " ".join(map(str.strip, lines)) == LONG and max(map(len, lines)) <= 30 and lines[1:]
    file = Console(file=io.StringIO(), width=30)
    PlainView(file).note(LONG)
    assert file.file.getvalue() == f"{LONG}\n"


def test_counts_leave_out_what_did_not_happen():
    assert SNAPSHOT.counts == "12/30 trials, 3 pruned, 1 failed"
    assert replace(SNAPSHOT, pruned=0, failed=0).counts == "12/30 trials"


def test_time_left_is_told_once_it_is_known():
    assert SNAPSHOT.time == "80 s, at most 12 min left"
    assert replace(SNAPSHOT, seconds_left=None).time == "80 s"


def test_the_drawing_shows_counts_time_what_runs_and_the_best():
    text = drawn(SNAPSHOT)
    for part in (
        "12/30 trials, 3 pruned, 1 failed",
        "80 s, at most 12 min left",
        "trial 12 (searched): epoch 4/30, val CE 0.312",
        "cohort 5 (8 trials): starting",
        "best so far: trial 7, val CE 0.2013, gap 0.051 +- 0.012, 3 as good as the best",
    ):
        assert part in text


def test_the_drawing_of_a_beginning():
    text = drawn(Snapshot(0, 0, 0, 0, (), "", 0.0, None))
    assert "0/0 trials" in text
    assert "best so far: none yet" in text


def test_the_drawing_stays_small_with_many_workers():
    many = replace(SNAPSHOT, running=(SNAPSHOT.running[0],) * 20)
    assert drawn(many).count("trial 12") == 8


def test_markup_in_a_name_is_shown_as_it_is():
    row = Running("trial 1 ([bold]x[/bold])", 1, 2, None)
    assert "trial 1 ([bold]x[/bold]): epoch 1/2" in drawn(replace(SNAPSHOT, running=(row,)))


def test_a_pipe_gets_plain_lines_that_are_not_wrapped(piped):
    long = "trial 0 ([red]baseline[/red]): " + "val accuracy 0.9 " * 10
    with open_view(piped) as view:
        assert isinstance(view, PlainView)
        view.note(long)
        view.show(SNAPSHOT)
    assert piped.file.getvalue() == long + "\n"


def test_a_pipe_is_told_now_and_then_what_is_running(piped, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    view = PlainView(piped)
    view.show(SNAPSHOT)
    assert piped.file.getvalue() == ""
    now[0] += progress.PLAIN_SECONDS + 1
    view.show(SNAPSHOT)
    view.show(SNAPSHOT)
    assert piped.file.getvalue() == (
        "12/30 trials, 3 pruned, 1 failed, 80 s, at most 12 min left; running: trial 12 "
        "(searched): epoch 4/30, val CE 0.312; cohort 5 (8 trials): starting\n"
    )
    now[0] += progress.PLAIN_SECONDS + 1
    view.show(replace(SNAPSHOT, running=()))
    assert piped.file.getvalue().endswith("running: nothing\n")


def test_a_terminal_gets_a_live_view_with_notes_above_it(terminal):
    with open_view(terminal) as view:
        assert isinstance(view, LiveView)
        view.show(SNAPSHOT)
        view.note("trial 11 [pruned] after 12 epochs")
    text = terminal.file.getvalue()
    assert "trial 11 [pruned] after 12 epochs" in text
    assert "12/30 trials, 3 pruned, 1 failed" in text
    assert "trial 11" not in text.split("\n")[-1]


@pytest.mark.parametrize("variable", [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(monkeypatch, variable):
    monkeypatch.setenv(*variable)
    written = io.StringIO()
    with open_view(Console(file=written, force_terminal=True, width=60)) as view:
        assert isinstance(view, PlainView)
        view.note("trial 1: l2(0.01) -> healthy")
        view.show(SNAPSHOT)
    assert written.getvalue() == "trial 1: l2(0.01) -> healthy\n"


def test_quiet_leaves_warnings_and_verbose_adds_details_and_the_time(piped):
    for level, expected in (
        (library_messages.QUIET, ["warning"]),
        (library_messages.NORMAL, ["note", "warning"]),
        (library_messages.VERBOSE, ["detail", "note", "warning"]),
    ):
        console = Console(file=io.StringIO(), width=60)
        with open_view(console, level) as view:
            view.detail("detail")
            view.note("note")
            view.warn("warning")
        lines = console.file.getvalue().splitlines()
        assert [line.rpartition(" ")[2] for line in lines] == expected
        assert all(line.startswith("[") for line in lines) is (level == library_messages.VERBOSE)

"""The text page: within its columns, whatever the names; the table sorted, marked and cut."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from pipeline.records import TrialConfig
from pipeline.report.content import Column, Table
from pipeline.report.render.text import NARROWEST, WIDTH, _fits, _stacked, as_text
from pipeline.report.sections.trials import NUM_ROWS


def flat(text):
    return re.sub(r"\s+", " ", text)


def table_lines(text):
    lines = text.splitlines()
    return lines[1 + lines.index("Trials") :]


def test_text_table_is_sorted_marked_and_cut(every_state):
    lines = table_lines(as_text(every_state))
    rows = [line for line in lines if re.match(r"^(>b?|b)? +\d+  ?\S", line)]
    assert [int(re.search(r"\d+", row).group()) for row in rows] == [1, 0, *range(7, 20)]
    assert len(rows) == NUM_ROWS
    assert rows[0].startswith(">")
    assert rows[1].startswith("b")
    assert "baseline" in rows[1]
    assert re.search(
        r"healthy +0\.0457 \(0\.0261 to 0\.0653\) +0\.9000 +0\.3012 +0\.2556$", rows[0]
    )
    assert "; ... 15 more" in as_text(every_state)


def test_text_table_is_aligned(every_state):
    lines = table_lines(as_text(every_state))
    rows = [line for line in lines if re.search(r" to -?\d\.\d{4}\) ", line)][:NUM_ROWS]
    assert {len(row) for row in rows} == {len(lines[0])}


@pytest.mark.parametrize("color", [False, True])
def test_text_fits_the_columns_whatever_the_names(make_trial, report_on, color):
    long = TrialConfig(regularizer="l2", lambda_l2=1.23456e-4, dropout_rate=0.123, max_norm=3.25)
    report = report_on(
        make_trial(12345, config=long, gap_ce=-0.5),
        make_trial(1, name="a_reference_with_an_extraordinarily_long_name", val_ce=0.9),
        make_trial(2, val_ce=123.4567, accuracy=0.5, gap_ce=11.5),
        make_trial(3, state="FAIL", measurement=None, cause="x" * 300),
    )
    report = replace(report, study=replace(report.study, dataset="folder/of/" + "d" * 80))
    text = as_text(report, color=color)
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()) <= WIDTH
    assert ("\x1b[" in text) is color


def test_the_winner_stands_out_in_color(every_state):
    colored = as_text(every_state, color=True).splitlines()
    bold_green = [line for line in colored if "\x1b[1;32m" in line]
    side_by_side, trials = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in bold_green)
    assert re.search(r"winner\D+ 1\D", side_by_side)
    assert re.search(r">\D+ 1\D", trials)


def test_text_is_plain_ascii_and_shows_brackets_as_they_are(make_trial, report_on):
    failed = make_trial(0, state="FAIL", measurement=None, cause="no memory [bold] [OOM]")
    text = as_text(report_on(failed, make_trial(1)))
    assert text.isascii()
    assert "failed: no memory [bold] [OOM]." in flat(text)


def test_text_has_finalists_and_techniques_within_the_columns(with_finalists):
    text = as_text(with_finalists)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert re.search(
        r"^ *> 2 +3 +0\.0500 \(0\.0259 to 0\.0741\) +0\.9000 +0\.3050 +0\.3090, 0\.3020, ",
        text,
        re.M,
    )
    change = r"^dropout +2 +\d+ +-0\.1500 \(-0\.1792 to -0\.1208\) +\+0\.0050 "
    assert re.search(change, text, re.M)


@pytest.mark.parametrize("width", [40, 60, 80, 140])
def test_text_follows_the_width_of_the_terminal_and_keeps_every_number(with_finalists, width):
    page = as_text(with_finalists, width=width)
    assert max(map(len, page.splitlines())) <= max(width, NARROWEST)
    numbers = set(re.findall(r"\d\.\d{4}", as_text(with_finalists)))
    assert numbers - set(re.findall(r"\d\.\d{4}", page)) == set()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_word_and_no_interval_of_a_table_is_broken(with_finalists, width):
    page = as_text(with_finalists, width=width)
    assert "\N{HORIZONTAL ELLIPSIS}" not in page and "\ue000" not in page
    intervals = set(re.findall(r"\([-+\d.]+ to [-+\d.]+\)", as_text(with_finalists, width=140)))
    # Paragraphs of rows that do not fit wrap as sentences do.
    assert any(found in page for found in intervals)
    finalists = page[page.index("\nFinalists\n") :].partition("\nFinalists (")[0]
    assert finalists.count(" to ") == 3 == len(re.findall(r"\(\S+ to \S+\)", finalists))
    words = set(re.findall(r"[a-z_]{6,}", as_text(with_finalists, width=140)))
    assert words - set(re.findall(r"[a-z_]{6,}", page)) == set()


def test_a_mark_stands_before_the_row_of_a_table_that_does_not_fit():
    columns = (Column("", str), Column("trial", str), Column("words", str))
    table = Table("", columns, ((">", "1", "x"), ("", "2", "y")))
    console = Console(width=60, file=io.StringIO())
    console.print(_stacked(table))
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert lines == ["> trial 1; words x", "trial 2; words y"]


def test_a_table_that_does_not_fit_is_a_paragraph_per_row():
    columns = tuple(Column(f"heading{place}", str) for place in range(9))
    row = tuple(f"{place}.123456789" for place in range(9))
    table = Table("", columns, (row,))
    assert not _fits(table, 60)
    assert _fits(table, 140)
    console = Console(width=60, file=io.StringIO())
    console.print(_stacked(table))
    shown = " ".join(console.file.getvalue().split())
    assert shown.startswith("heading0 0.123456789; heading1 1.123456789; ")

"""The Markdown page: the table of the text page, escaped."""

import re

from pipeline.report.render.markdown import as_markdown
from pipeline.report.render.text import as_text
from pipeline.report.sections.trials import NUM_ROWS


def test_markdown_has_the_same_table_as_the_text(every_state):
    part = as_markdown(every_state).split("## Trials")[1].split("## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    assert len(rows) == NUM_ROWS + 2
    assert {row.count("|") for row in rows} == {9}
    assert len({len(row) for row in rows}) == 1
    cells = [cell.strip() for cell in rows[2].strip("|").split("|")]
    text_row = next(line for line in as_text(every_state).splitlines() if re.match(r"> +\d", line))
    assert cells[0] == r"\>"
    assert cells[3:] == re.split(r" {2,}", text_row)[3:]


def test_markdown_begins_with_title_and_winner(every_state):
    title, _, winner, *_ = as_markdown(every_state).splitlines()
    assert title == "# digits: study digits-a1"
    assert winner.startswith("**Trial 1 ")


def test_markdown_escapes_what_would_break_a_table(make_trial, report_on):
    page = as_markdown(report_on(make_trial(0, name="a|b*c")))
    assert r"| a\|b\*c " in page

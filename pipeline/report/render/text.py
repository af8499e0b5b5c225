"""The report as text for a terminal, within 100 columns.

A :class:`Report` in, a string out. Sentences come from ``wording`` and ``claims``, the table of
trials from ``rows``; this module only lays them out. The one door to rich among the pages.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.errors import printable
from pipeline.records import TrialRecord
from pipeline.report.configurations import varying_keys
from pipeline.report.report import COLUMNS, Report, cells, listed
from pipeline.report.sections import claims, wording
from pipeline.report.sections.layout import legend, more, sections, summary, tables

WIDTH = 100
"""Columns of the text page."""

GAP = 2
"""Blanks between two columns of the table."""

CONFIGURATION = COLUMNS.index("configuration")
"""The one column of the table that is cut, to what the others leave."""

# A terminal of any encoding shows it: a line under the head, one between sections, nothing else.
_PLAIN_BOX = Box("    \n    \n -- \n    \n -- \n    \n    \n    \n", ascii=True)


def as_text(report: Report, color: bool = False) -> str:
    """Returns the page for a terminal, at most 100 columns wide, with a newline at its end.

    Args:
        report: What to show.
        color: Whether to use bold type and colors (a terminal that can).
    """
    console = Console(
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        for part in _parts(report):
            console.print(part)
    lines = (line.rstrip() for line in captured.get().splitlines())
    return "\n".join(lines).rstrip() + "\n"


def _parts(report: Report) -> Iterable[RenderableType]:
    yield _said(wording.headline(report), style="bold")
    for line in wording.status_lines(report):
        yield _said(line, style="yellow")
    for line in summary(report):
        yield Padding(_said(line), (0, 0, 0, 2))
    trials = listed(report)
    if trials:
        yield Padding(_trials(report, trials), (1, 0, 0, 0))
        yield _said(legend(report) + more(report, trials), style="dim")
    for table in tables(report):
        yield _said(f"\n{table.title}", style="bold")
        yield _plain_table(table)
        if table.note:
            yield _said(table.note, style="dim")
    for title, lines in sections(report):
        yield _said(f"\n{title}", style="bold")
        for line in lines:
            item = Table.grid(padding=(0, 1))
            item.add_row(_said("-"), _said(line))
            yield item


def _said(words: str, style: str = "") -> Text:
    """Returns words as rich shows them: no markup, and no escape code out of anybody's store."""
    return Text("\n".join(map(printable, words.split("\n"))), style)


def _empty_table() -> Table:
    return Table(box=_PLAIN_BOX, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _plain_table(shown: claims.Table) -> Table:
    table = _empty_table()
    for place, column in enumerate(shown.columns):
        table.add_column(column, justify="right" if place else "left")
    for row in shown.rows:
        table.add_row(*map(_said, row))
    return table


def _trials(report: Report, trials: Sequence[TrialRecord]) -> Table:
    keys, eligible = varying_keys(report.study), set(report.selection.eligible)
    table = _empty_table()
    for place, column in enumerate(COLUMNS):
        words = place in (0, 2, 3)
        table.add_column(column, justify="left" if words else "right", no_wrap=True)
    rows = [list(cells(report, trial, keys)) for trial in trials]
    others = [place for place in range(len(COLUMNS)) if place != CONFIGURATION]
    taken = sum(max(len(row[place]) + GAP for row in (COLUMNS, *rows)) for place in others)
    for place, (trial, row) in enumerate(zip(trials, rows, strict=True)):
        row[CONFIGURATION] = _cut(row[CONFIGURATION], WIDTH - taken)
        following = trials[place + 1].number if place + 1 < len(trials) else None
        last = trial.number in eligible and following is not None and following not in eligible
        won = trial.number == report.selection.winner
        table.add_row(*map(_said, row), end_section=last, style="bold green" if won else None)
    return table


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip(" ,") + "..."

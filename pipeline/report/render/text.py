"""Lays a report out as text, as wide as the terminal is; the one door to rich here."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from rich.box import Box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text as RichText

from pipeline.errors import printable
from pipeline.report.content import Content, Figure, Numbers, Table, Text
from pipeline.report.report import Report
from pipeline.report.sections.order import HEAD, page_of

WIDTH = 100
"""Columns of the text page where it goes to no terminal."""
NARROWEST = 60
"""Columns below which tables of numbers could not be read: a narrower terminal wraps lines."""
WIDEST = 140
"""Columns above which sentences would be too long to read."""

GAP = 2
"""Blanks between two columns of a table."""

SHORTEST = 12
"""Columns that a shortened column keeps at least."""

_INTERVAL = re.compile(r"\([^() ]+ to [^() ]+\)")
_JOINED = "\ue000"
"""Stands for the blanks of an interval while lines are broken: none of its numbers goes alone."""

_INDENTED = (0, 0, 0, 2)
_BELOW_A_BLANK_LINE = (1, 0, 0, 0)

# A terminal of any encoding shows it: a line under the head, one between sections, nothing else.
_PLAIN_BOX = Box("    \n    \n -- \n    \n -- \n    \n    \n    \n", ascii=True)


def as_text(report: Report, color: bool = False, width: int = WIDTH) -> str:
    """Returns the page for a terminal, with a newline at its end.

    Args:
        report: What to show.
        color: Whether to use bold type and colors (a terminal that can).
        width: Columns of the terminal; used are :data:`NARROWEST` to :data:`WIDEST`.
    """
    width = min(max(width, NARROWEST), WIDEST)
    console = Console(
        force_jupyter=False,  # in a notebook it would show itself instead of writing here
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        for part, content in page_of(report, "text"):
            for block in _blocks(content, width, titled=part is not HEAD):
                console.print(block)
    lines = (line.rstrip() for line in captured.get().replace(_JOINED, " ").splitlines())
    return "\n".join(lines).rstrip() + "\n"


def _blocks(content: Content, width: int, titled: bool) -> Iterator[RenderableType]:
    """Yields a section's title, unless it stands in the head of the page, and what follows it."""
    if titled and not content.title:
        yield _printable("")
    titled = titled and bool(content.title)
    if titled:
        yield _printable(f"\n{content.title}", style="bold")
    match content:
        case Text():
            yield from _lines(content, titled)
        case Numbers():
            yield Padding(_numbers(content), _INDENTED)
            yield Padding(_printable(content.note), _INDENTED)
        case Table():
            table = _rich_table(content, width) if _fits(content, width) else _stacked(content)
            yield table if titled else Padding(table, _BELOW_A_BLANK_LINE)
            if content.note:
                yield _printable(content.note, style="dim")
        case Figure():
            yield _printable(content.caption)


def _lines(text: Text, titled: bool) -> Iterator[RenderableType]:
    styles = {"headline": "bold", "warning": "yellow"}
    for line in text.lines:
        shown = _printable(line, style=styles.get(text.style, ""))
        if text.style == "list" and titled:
            item = RichTable.grid(padding=(0, 1))
            item.add_row(_printable("-"), shown)
            yield item
        elif text.style in ("list", "commands"):
            yield Padding(shown, _INDENTED)
        else:
            yield shown


def _numbers(numbers: Numbers) -> RenderableType:
    """Returns a line per number: its label, itself, its interval and the remark."""
    grid = RichTable.grid(padding=(0, GAP))
    for justify in ("left", "right", "left", "left"):
        grid.add_column(justify=justify, no_wrap=justify == "right")
    for entry in numbers.entries:
        interval = f"95% {entry.interval}" if entry.interval else ""
        grid.add_row(*map(_printable, (entry.label, entry.value, interval, entry.remark)))
    return grid


def _printable(words: str, style: str = "") -> RichText:
    """Returns words as rich shows them: no markup, and no escape code out of anybody's store."""
    return RichText("\n".join(map(printable, words.split("\n"))), style)


def _rich_table(table: Table, width: int) -> RichTable:
    """Returns a table as rich shows it; one with a shortened column does not wrap its cells."""
    # Rich would give a column that may wrap less room than its numbers need.
    shortened = any(column.shortened for column in table.columns)
    shown = RichTable(
        box=_PLAIN_BOX,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_header=any(table.headings),
    )
    rows = _shortened(table, width)
    widths = [None] * len(table.columns) if shortened else _widths(table, width)
    for column, wide in zip(table.columns, widths, strict=True):
        shown.add_column(column.heading, justify=column.align, no_wrap=shortened, width=wide)
    for place, row in enumerate(rows):
        style = "bold green" if place == table.winner else None
        cells = (RichText(_joined(_printable(cell).plain)) for cell in row)
        shown.add_row(*cells, end_section=place == table.line_after, style=style)
    return shown


def _widths(table: Table, width: int) -> list[int | None]:
    """Returns how wide each column is, its longest word at least; None where all fit as they are.

    Rich shares out what is missing instead, and cuts a word of one column for blanks of another.
    """
    places = range(len(table.columns))
    least = [_longest_word(table, place) for place in places]
    whole = [max(map(len, _cells(table, place)), default=0) for place in places]
    room = width - GAP * (len(least) - 1) - sum(least)
    if sum(whole) - sum(least) <= room:
        return [None] * len(least)
    # Those that want little get it, so that only the widest break their lines.
    widths: list[int | None] = [None] * len(least)
    for left, place in enumerate(sorted(places, key=lambda p: whole[p] - least[p])):
        share = min(whole[place] - least[place], room // (len(least) - left))
        widths[place] = least[place] + share
        room -= share
    return widths


def _fits(table: Table, width: int) -> bool:
    """Whether a table can be shown without tearing its numbers and words apart."""
    needed = 0
    for place, column in enumerate(table.columns):
        cells = _cells(table, place)
        if column.shortened:
            needed += SHORTEST + GAP
        elif any(other.shortened for other in table.columns):
            needed += max(map(len, cells)) + GAP
        else:
            needed += _longest_word(table, place) + GAP
    return needed - GAP <= width


def _longest_word(table: Table, place: int) -> int:
    """Returns the columns that the longest word of a table's column takes; an interval is one."""
    words = (word for cell in _cells(table, place) for word in _joined(cell).split())
    return max(map(len, words), default=0)


def _cells(table: Table, place: int) -> list[str]:
    return [table.headings[place], *(row[place] for row in table.rows)]


def _joined(cell: str) -> str:
    return _INTERVAL.sub(lambda found: found.group().replace(" ", _JOINED), cell)


def _stacked(table: Table) -> RenderableType:
    """Returns the rows of a table that is too wide, each as a paragraph of headings and values."""
    grid = RichTable.grid()
    for place, row in enumerate(table.rows):
        named = list(zip(table.headings, row, strict=True))
        # A column without a heading marks rows: its sign goes before the first of the others.
        marks = "".join(f"{cell} " for heading, cell in named if not heading and cell.strip())
        pairs = (f"{heading} {cell}" for heading, cell in named if heading and cell.strip())
        style = "bold green" if place == table.winner else ""
        grid.add_row(_printable(marks + "; ".join(pairs), style))
    return grid


def _shortened(table: Table, width: int) -> list[list[str]]:
    """Returns the rows of a table, its shortened column cut to what the others leave."""
    rows = [list(row) for row in table.rows]
    for place, column in enumerate(table.columns):
        if column.shortened:
            others = [other for other in range(len(table.columns)) if other != place]
            lines = [table.headings, *rows]
            taken = sum(max(len(line[other]) + GAP for line in lines) for other in others)
            for row in rows:
                row[place] = _cut(row[place], max(width - taken, SHORTEST))
    return rows


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip(" ,") + "..."

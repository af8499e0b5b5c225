"""Defines what a section gives: a text, numbers, a table or a figure, without any layout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeAlias, TypeVar

# A text or a Markdown page is read in one go: its tables are few and short, and it has no figures.
SHORT_FORMATS, LONG_FORMATS = ("text", "markdown"), ("html",)

EVERY_FORMAT = (*SHORT_FORMATS, *LONG_FORMATS)
"""The formats that people read; JSON has keys of its own and no sections."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Text:
    """Some sentences of a page.

    Attributes:
        lines: The sentences; each line stands on its own.
        title: The heading; empty for none.
        style: What the lines are: the ``headline`` of the page or the ``answer`` below it, each a
            ``warning`` that stands out, items of a ``list``, ``paragraphs``, or ``commands`` to
            copy.
    """

    lines: tuple[str, ...]
    title: str = ""
    style: Literal["headline", "answer", "warning", "list", "paragraphs", "commands"] = "list"


@dataclass(frozen=True)
class Number:
    """A number that a reader should remember.

    Attributes:
        label: What it is of.
        value: The number.
        interval: Its 95% interval, ``LOW to HIGH``; empty for none.
        remark: What to think of it, in a few words; empty for nothing.
    """

    label: str
    value: str
    interval: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Numbers:
    """A few numbers that stand out.

    Attributes:
        entries: The numbers.
        note: What they are measured on and what they mean, in one or two sentences.
        title: The heading; empty for none.
    """

    entries: tuple[Number, ...]
    note: str = ""
    title: str = ""


@dataclass(frozen=True)
class Column(Generic[Item]):
    """A column of a table.

    Attributes:
        heading: Its name above the cells; empty for none.
        cell: Makes the cell of an item.
        align: Where the cells of a terminal's table stand.
        shortened: Whether a terminal cuts the cells to the width that the other columns leave.
        formats: The formats in which the column appears.
    """

    heading: str
    cell: Callable[[Item], str]
    align: Literal["left", "right"] = "right"
    shortened: bool = False
    formats: Collection[str] = EVERY_FORMAT


@dataclass(frozen=True)
class Table:
    """A table of a page, its cells as strings.

    Attributes:
        title: The heading.
        columns: The columns; where none has a heading, rows are pairs of a name and a value.
        rows: As many cells each.
        note: A sentence below it; empty for none.
        winner: Index of the winner's row, which stands out; None where there is none.
        line_after: Index of the row below which a line is drawn in a terminal.
    """

    title: str
    columns: tuple[Column[Any], ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    winner: int | None = None
    line_after: int | None = None

    @property
    def headings(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.heading for column in self.columns)


def tabulate(
    title: str, columns: Sequence[Column[Item]], items: Sequence[Item], note: str = ""
) -> Table:
    """Returns a table with a row per item."""
    rows = tuple(tuple(column.cell(item) for column in columns) for item in items)
    return Table(title, tuple(columns), rows, note)


def columns_for(table: Table, page: str) -> Table:
    """Returns a table with those of its columns that appear in a format."""
    kept = [place for place, column in enumerate(table.columns) if page in column.formats]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows)


@dataclass(frozen=True)
class Figure:
    """A drawn figure of a page.

    Attributes:
        name: Its name on the page and of its file.
        title: The heading.
        svg: The ``<svg>`` element; empty where there is nothing to draw.
        caption: What it shows, in one or two sentences with the numbers; else why it is missing.
        narrow_svg: The same drawn for a narrow screen; empty where there is nothing to draw.
    """

    name: str
    title: str
    svg: str
    caption: str
    narrow_svg: str = ""


Content: TypeAlias = Text | Numbers | Table | Figure

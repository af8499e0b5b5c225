"""Says which sections a report has, in which order, and in which formats each one appears.

A new section is one file beside this one and one entry of :data:`SECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from pipeline.report.content import (
    EVERY_FORMAT,
    LONG_FORMATS,
    SHORT_FORMATS,
    Content,
    Table,
    Text,
    columns_for,
)
from pipeline.report.figures import FIGURES, draw_figure
from pipeline.report.report import Report
from pipeline.report.sections import (
    class_errors,
    comparison,
    data,
    finalists,
    notes,
    overview,
    reproduction,
    search_space,
    stability,
    techniques,
    trials,
)


@dataclass(frozen=True)
class Part:
    """A part of the page, to which a long page links.

    Attributes:
        name: Its anchor on the page.
        link: The words of the link; empty for the head of the page, which shows no titles.
        heading: The heading over all sections of the part; empty where they bring their own.
        empty: What is said where none of its sections has anything to show.
    """

    name: str
    link: str
    heading: str = ""
    empty: str = ""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        part: The part that it belongs to, a key of :data:`PARTS`.
        content: Makes the section of a report; None, or a text without lines, leaves it out.
        formats: The formats in which it appears.
    """

    part: str
    content: Callable[[Report], Content | None]
    formats: Collection[str] = EVERY_FORMAT


HEAD = Part("head", link="")

PARTS = {
    part.name: part
    for part in (
        HEAD,
        Part("pictures", "Pictures", heading="Pictures"),
        Part("tables", "Tables", heading="Tables", empty="There is nothing to compare yet."),
        Part("trials", "All trials"),
        Part("caveats", "Caveats"),
        Part("again", "How to get it again"),
    )
}

SECTIONS: tuple[Section, ...] = (
    Section("head", overview.headline),
    Section("head", overview.problems),
    Section("head", overview.summary, SHORT_FORMATS),
    Section("head", overview.opening, LONG_FORMATS),
    Section("head", comparison.table, LONG_FORMATS),
    Section("head", trials.short_table, SHORT_FORMATS),
    *(Section("pictures", partial(draw_figure, name=name), LONG_FORMATS) for name in FIGURES),
    Section("tables", finalists.table),
    Section("tables", stability.table, LONG_FORMATS),
    Section("tables", techniques.table),
    Section("tables", search_space.table, LONG_FORMATS),
    Section("tables", class_errors.table, LONG_FORMATS),
    Section("trials", trials.full_table, LONG_FORMATS),
    Section("caveats", trials.reasons, SHORT_FORMATS),
    Section("caveats", notes.notes, SHORT_FORMATS),
    Section("caveats", notes.caveats, LONG_FORMATS),
    Section("caveats", data.findings),
    Section("again", reproduction.introduction, LONG_FORMATS),
    Section("again", reproduction.commands, LONG_FORMATS),
    Section("again", reproduction.facts, LONG_FORMATS),
)


def page_of(report: Report, page: str) -> Iterator[tuple[Part, Content]]:
    """Yields what a report shows in a format, section by section, each with its part."""
    for section in SECTIONS:
        if page not in section.formats:
            continue
        content = section.content(report)
        if content is None or (isinstance(content, Text) and not content.lines):
            continue
        if isinstance(content, Table):
            content = columns_for(content, page)
        yield PARTS[section.part], content

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
    Figure,
    Table,
    Text,
    columns_for,
)
from pipeline.report.figures import draw_figure
from pipeline.report.report import Report
from pipeline.report.sections import (
    answer,
    class_errors,
    comparison,
    data,
    finalists,
    importance,
    notes,
    overview,
    reproduction,
    stability,
    techniques,
    trials,
)
from pipeline.report.sections.terms import Explained


@dataclass(frozen=True)
class Part:
    """A part of the page, which folds where a page can.

    Attributes:
        name: Its anchor on the page.
        heading: The heading over its sections; empty for the head of the page.
        finding: Says in a few words what stands in it; an empty string for nothing.
        unfolded: Whether a page that folds shows it at once.
        explained: Whether terms are explained in it; where users' own words stand they are not.
    """

    name: str
    heading: str = ""
    finding: Callable[[Report], str] = lambda report: ""
    unfolded: bool = False
    explained: bool = True


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


HEAD, MISSING = Part("head"), Part("missing", "What is not shown, and why")

PARTS = {
    part.name: part
    for part in (
        HEAD,
        Part("notes", "Keep in mind", unfolded=True),
        Part("compared", "Beside the other models", unfolded=True),
        Part("choice", "How the choice was made", stability.finding),
        Part("techniques", "What each technique buys", techniques.finding),
        Part("hyperparameters", "What the hyperparameters do", importance.finding),
        Part("errors", "Where it errs", class_errors.finding),
        Part("trials", "All trials", trials.finding),
        Part("data", "The data", explained=False),
        Part("again", "How to get it again"),
        MISSING,
    )
}


def _figure(part: str, name: str) -> Section:
    return Section(part, partial(draw_figure, name=name), LONG_FORMATS)


SECTIONS: tuple[Section, ...] = (
    Section("head", overview.headline),
    Section("head", overview.problems),
    Section("head", answer.conclusion),
    Section("head", answer.numbers),
    _figure("head", "tradeoff"),
    Section("notes", notes.notes),
    _figure("compared", "curves"),
    Section("compared", comparison.table),
    Section("compared", comparison.costs),
    Section("compared", comparison.validation, SHORT_FORMATS),
    Section("compared", comparison.size_alone, LONG_FORMATS),
    Section("compared", comparison.introduction),
    Section("choice", overview.rule),
    Section("choice", finalists.table),
    Section("choice", stability.table, LONG_FORMATS),
    Section("choice", stability.sentences, SHORT_FORMATS),
    Section("choice", trials.reasons, SHORT_FORMATS),
    _figure("techniques", "techniques"),
    _figure("techniques", "overlay"),
    Section("techniques", techniques.table),
    _figure("hyperparameters", "hyperparameters"),
    _figure("hyperparameters", "importance"),
    _figure("hyperparameters", "place"),
    _figure("errors", "class_errors"),
    _figure("errors", "calibration"),
    Section("errors", class_errors.table, LONG_FORMATS),
    Section("errors", class_errors.short_table, SHORT_FORMATS),
    Section("trials", trials.short_table, SHORT_FORMATS),
    Section("trials", trials.full_table, LONG_FORMATS),
    Section("data", data.findings),
    Section("again", reproduction.introduction, LONG_FORMATS),
    Section("again", reproduction.commands, LONG_FORMATS),
    Section("again", reproduction.facts, LONG_FORMATS),
    Section("again", reproduction.model, SHORT_FORMATS),
)


def page_of(report: Report, page: str) -> Iterator[tuple[Part, Content]]:
    """Yields what a report shows in a format, section by section, each with its part.

    Terms are explained where they appear first (``terms``).

    Figures that could not be drawn come last, in one text that says why.
    """
    missing, explained = [], Explained()
    for section in SECTIONS:
        if page not in section.formats:
            continue
        content = section.content(report)
        if content is None or (isinstance(content, Text) and not content.lines):
            continue
        if isinstance(content, Figure) and not content.svg:
            missing.append(f"{content.title}: {content.caption}")
            continue
        if isinstance(content, Table):
            content = columns_for(content, page)
        part = PARTS[section.part]
        yield part, explained(content) if part.explained else content
    if missing:
        yield MISSING, Text(tuple(missing))

"""Lays a report out as one HTML file: no network, no script, light and dark, narrow and printed.

The layout is in ``templates/report.html``. Everything that users name is escaped by the template.
"""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report.content import Content, Figure, Numbers, Table
from pipeline.report.report import Report
from pipeline.report.sections.order import HEAD, PARTS, page_of

_LONGEST_WORD = 14
"""Characters of a cell that is never wrapped."""

_TEMPLATES = Path(__file__).parent / "templates"


def as_html(report: Report) -> str:
    """Returns the page: a whole HTML document."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    # The template knows texts, tables and figures, and none of the sections by its name.
    environment.filters["kind"] = _kind
    environment.filters["with_code"] = _with_code
    environment.filters["cell"] = _cell
    sections = {
        part.name: [content for _, content in group]
        for part, group in groupby(page_of(report, "html"), key=itemgetter(0))
    }
    return environment.get_template("report.html").render(
        dataset=report.study.dataset,
        study=report.study.study,
        head=sections.get(HEAD.name, []),
        parts=[
            (part, part.finding(report), sections[part.name])
            for part in PARTS.values()
            if part is not HEAD and part.name in sections
        ],
    )


def _kind(content: Content) -> str:
    """Returns which of the template's blocks shows a section."""
    if isinstance(content, Figure):
        return "figure"
    if isinstance(content, Table):
        return "table" if any(content.headings) else "facts"
    return "numbers" if isinstance(content, Numbers) else content.style


def _cell(text: str, align: str) -> str:
    """Returns the classes of a table's cell: numbers stand at the right, many words may wrap."""
    if align == "right":
        return "number interval" if "(" in text else "number"
    return "words" if len(text) > _LONGEST_WORD else "word"


def _with_code(escaped: str) -> str:
    """Returns an escaped line in which what stands between backticks is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escaped))

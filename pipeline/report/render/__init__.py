"""Renders a report as a page: text, Markdown and HTML for people, JSON for programs.

A new format is one file here, an entry of :data:`FORMATS` and a name in ``report/content.py``.
"""

from __future__ import annotations

from pipeline.errors import InputError
from pipeline.report.render.json import as_json_text
from pipeline.report.render.markdown import as_markdown
from pipeline.report.report import Report

FORMATS = {"text": "txt", "json": "json", "markdown": "md", "html": "html"}
"""Name of a format -> ending of its file."""


def render(report: Report, page: str, color: bool = False, width: int | None = None) -> str:
    """Returns a page by its name: ``text``, ``json``, ``markdown`` or ``html``.

    Args:
        report: What to show.
        page: The format.
        color: Whether text has bold type and colors.
        width: Columns of a page of text; None for those of a page in a file.

    Raises:
        InputError: There is no such format.
    """
    if report.kept is not None and (kept := report.kept(report, page)) is not None:
        return kept
    if page == "text":
        # Rich is slow to import, and the other pages do without.
        from pipeline.report.render.text import WIDTH, as_text

        return as_text(report, color, WIDTH if width is None else width)
    if page == "json":
        return as_json_text(report)
    if page == "markdown":
        return as_markdown(report)
    if page == "html":
        # Jinja and drawing are slow to import, and the other pages do without.
        from pipeline.report.render.html import as_html

        return as_html(report)
    raise InputError(f"unknown format '{page}'; expected one of {', '.join(FORMATS)}")

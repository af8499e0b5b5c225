"""Says what a reader should keep in mind: notes of the choice, warnings, limits of the method.

A further warning is a function in the section that it concerns and a line in :func:`warnings`.
"""

from __future__ import annotations

from pipeline.report.content import Text
from pipeline.report.report import Report
from pipeline.report.sections import search_space, stability, test_results, training_end


def warnings(report: Report) -> list[str]:
    """Returns what should make a reader careful: training too short, edges, instability, ..."""
    if report.selection.winner is None:
        return []
    lines = training_end.warnings(report) + search_space.warnings(report)
    return lines + stability.warnings(report) + test_results.warnings(report)


def notes(report: Report) -> Text:
    """Returns the notes of the choice, the warnings, and what one training each cannot promise."""
    # Where the rule found nothing, its notes are the explanation at the head of the page.
    found = () if report.selection.status == "empty" else report.selection.notes
    limits = _limits(report) if report.selection.winner is not None else ()
    return Text((*found, *warnings(report), *limits), "Notes")


def _limits(report: Report) -> list[str]:
    """Returns what the figures of any winner cannot promise, with this much evidence."""
    if report.confirmation is not None:
        return []
    return [
        "Each trial was trained once: the luck of its seed is part of its figures and of the "
        "choice. No finalists were trained."
    ]

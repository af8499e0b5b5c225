"""Says what a reader should keep in mind: notes of the choice, warnings, limits of the method."""

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
    """Returns the notes of the choice and the warnings."""
    # Where the rule found nothing, its notes are the explanation at the head of the page.
    found = () if report.selection.status == "empty" else report.selection.notes
    return Text((*found, *warnings(report)), "Notes")


def caveats(report: Report) -> Text:
    """Returns the notes, the warnings, and what the method cannot promise."""
    lines = [*report.selection.notes, *warnings(report)]
    if report.selection.winner is not None:
        lines += _limits(report)
    if lines:
        return Text(tuple(lines), "Caveats")
    nothing = "Nothing is recommended, so there is nothing to qualify."
    return Text((nothing,), "Caveats", style="paragraphs")


def _limits(report: Report) -> list[str]:
    """Returns what the figures of any winner cannot promise, with this much evidence."""
    lines = ["Validation figures took part in the choice and flatter it; the test figures did not."]
    if report.confirmation is None:
        lines.append(
            "Each trial was trained once: the luck of its seed is part of its figures and of the "
            "choice (no finalists with several seeds)."
        )
    if report.test is None:
        lines.append("The test part was not read for this choice: its figures are missing here.")
    return lines

"""What stands where in a report: the order of its sentences and tables, for every format alike.

A :class:`Report` in; lists of sentences and tables out, which ``terminal``, ``markdown`` and
``html`` lay out. To move something for all formats, change it here.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.records import TrialRecord
from pipeline.report.report import Report
from pipeline.report.sections import claims, rivals, wording


def legend(report: Report) -> str:
    """Returns what the marks and columns of the table of trials mean."""
    over = " (of the finalists, over their seeds)" if report.confirmation else ""
    return f"> winner, b best validation cross-entropy{over}; cross-entropies (CE) and gaps in nats"


def summary(report: Report) -> list[str]:
    """Returns the lines below the headline."""
    found = [*wording.winner_lines(report), *rivals.comparisons(report), claims.optimism(report)]
    found += [*claims.frequencies(report), wording.rule_line(report)]
    if report.model_uri:
        found.append(f"Model: {report.model_uri}")
    return [*filter(None, found), *(f"{label}: {value}" for label, value in report.extras.items())]


def tables(report: Report) -> list[claims.Table]:
    """Returns the tables below that of the trials."""
    found = [claims.finalists(report), claims.techniques(report)]
    return [table for table in found if table is not None]


def sections(report: Report) -> list[tuple[str, list[str]]]:
    """Returns the lists of sentences at the end, each with its title; no empty ones."""
    selection = report.selection
    title = "Why not" if selection.winner is None else "Why not the others"
    # Where the rule found nothing, its notes are the explanation further up.
    notes = [] if selection.status == "empty" else list(selection.notes)
    notes += claims.warnings(report)
    found = [(title, wording.reasons(report)), ("Notes", notes)]
    return [(title, lines) for title, lines in found if lines]


def more(report: Report, shown: Sequence[TrialRecord]) -> str:
    """Returns how many trials a table leaves out, and that its rows are of one seed each."""
    rest = len(report.study.trials) - len(shown)
    hidden = f"; ... {rest} more" if rest else ""
    return (
        f"{hidden}; one seed each; finalists have a table of their own"
        if report.confirmation
        else hidden
    )

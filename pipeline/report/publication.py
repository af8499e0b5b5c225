"""Words what a report found for MLflow's pages: the study's run, the winner's, the model's version.

A :class:`Report` in, a ``Finding`` out; ``tracking.publication`` writes it.
"""

from __future__ import annotations

from pipeline.formatting import decimal
from pipeline.records import Measurement
from pipeline.report.render.markdown import as_brief_markdown, escaped
from pipeline.report.report import Report
from pipeline.tracking.publication import BEST, STAR, Finding

_MEASURES = ("val_ce", "val_accuracy", "train_ce", "train_accuracy", "gap_ce", "gap_ce_se")
"""Metrics of the study's run: what the winner was judged by, under the names that trials have."""


def finding(report: Report) -> Finding | None:
    """Returns what a report found; None where it chose no trial."""
    winner = report.winner
    judged = report.judged(report.selection.winner)
    if winner is None or judged is None:
        return None
    best = report.best
    measures = {name: float(getattr(judged, name)) for name in _MEASURES}
    title = f"{STAR}{winner.name or f'trial {winner.number}'}, gap {decimal(judged.gap_ce)}"
    return Finding(
        winner=winner.number,
        best=best.number if best is not None else None,
        title=title,
        line=_line(report, judged),
        description=as_brief_markdown(report),
        measures=measures,
    )


def _line(report: Report, judged: Measurement) -> str:
    """Returns the experiment's line on a study: the winner, its gap, the best-validation trial."""
    winner, best = report.winner, report.best
    assert winner is not None
    test = f", on test {decimal(report.test.gap_ce)}" if report.test is not None else ""
    same = best is None or best.number == winner.number
    other = "same" if same or best is None else _named(best.number, best.name)
    several = report.several_seeds(winner.number)
    seeds = len(report.seeds_of(several)) if several is not None else 1
    # MLflow's table has the trainings of the search, which may be in another order.
    means = f" (both by the mean of {seeds} seeds, the table by one training)" if seeds > 1 else ""
    return (
        f"**{escaped(report.study.study)}**: {STAR}{_named(winner.number, winner.name)}, gap "
        f"validation - training {decimal(judged.gap_ce)} nats{test}; {BEST}best score: {other}"
        f"{means}; validation accuracy {decimal(judged.val_accuracy)}"
    )


def _named(number: int, name: str | None) -> str:
    return f"trial {number}" + (f" ({escaped(name)})" if name else "")

"""Judges a report by demands that decide the exit code: gates for a pipeline of one's own.

A :class:`Report` and limits in, the demands that are not met out, each with its numbers. Judged is
the interval's pessimistic end on the test part, or, where that was not read for this choice, on
validation, which was selected on. A new gate is one more function here and an option.
"""

from __future__ import annotations

import math

from pipeline.formatting import between, decimal
from pipeline.records import TrialRecord
from pipeline.report.report import Report
from pipeline.selection.statistics import Interval, wilson_interval
from pipeline.selection.verdicts import gap_interval_of


def unmet(report: Report, max_gap: float | None, min_accuracy: float | None) -> list[str]:
    """Returns every demand that the winner does not meet, in words; none where all are met.

    Args:
        report: The report.
        max_gap: Largest upper end of the gap's 95% interval, nats; None for no such demand.
        min_accuracy: Smallest lower end of the accuracy's 95% interval; None for no such demand.
    """
    asked = {"--max-gap": max_gap, "--min-accuracy": min_accuracy}
    if report.delivered is None:
        asked = {name: limit for name, limit in asked.items() if limit is not None}
        return [f"{name} {limit:g}: there is no winner" for name, limit in asked.items()]
    where, gap, accuracy = _intervals(report, report.delivered)
    failures = []
    # Written so that NaN does not pass.
    if max_gap is not None and not gap.high <= max_gap:
        failures.append(
            f"--max-gap {max_gap:g}: the gap {where} may be {decimal(gap.high)} nats (95% "
            f"{between(*gap)})"
        )
    if min_accuracy is not None and not accuracy.low >= min_accuracy:
        failures.append(
            f"--min-accuracy {min_accuracy:g}: the accuracy {where} may be "
            f"{decimal(accuracy.low)} (95% {between(*accuracy)})"
        )
    return failures


def _intervals(report: Report, delivered: TrialRecord) -> tuple[str, Interval, Interval]:
    """Returns which part is judged, and the 95% intervals of gap and accuracy there."""
    if report.test is not None:
        test = report.test
        return (
            "on the test part",
            Interval(test.gap_ce_low, test.gap_ce_high),
            Interval(test.accuracy_low, test.accuracy_high),
        )
    where = "on validation (the test part was not read for this choice)"
    measured = report.judged(report.selection.winner)
    if measured is None or delivered.validation is None:
        return where, Interval(math.nan, math.nan), Interval(math.nan, math.nan)
    num = len(delivered.validation.correct)
    # A mean over seeds need not be a whole number of hits, and rounding may exceed all of them.
    hits = min(measured.val_accuracy * num, num)
    return where, gap_interval_of(measured), wilson_interval(hits, num)

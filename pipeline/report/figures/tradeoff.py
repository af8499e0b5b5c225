"""Draws the decision: validation cross-entropy against gap, a point per trial.

Winner, best and baseline stand where they were judged: finalists at the mean over their seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.formatting import decimal
from pipeline.records import Measurement, TrialRecord
from pipeline.report.figures import canvas
from pipeline.report.report import Report


def draw(report: Report) -> tuple[Any, str]:
    """Returns the figure, with winner, best, baseline and eligible set named, and its caption."""
    trials = [t for t in report.study.trials if _is_drawn(t)]
    if not trials:
        return None, "No trial has a measured cross-entropy and gap to draw."
    figure = canvas.new_figure(5.6, 5.0)
    axes = figure.add_subplot()
    eligible = set(report.selection.eligible)
    _points(axes, [t for t in trials if t.number not in eligible], "not eligible", "o", canvas.GREY)
    _points(axes, [t for t in trials if t.number in eligible], "eligible", "o", canvas.BLUE)
    _finalist_means(axes, report)
    _margin(axes, report)
    for trial, label, marker, color in _named(report, trials):
        point = _at(report.judged(trial.number))
        axes.plot(*point, marker, ms=11, mfc="none", mec=color, mew=2.2, ls="none", label=label)
    axes.axhline(0, color=canvas.INK, lw=0.8, zorder=0)
    axes.set(xlabel="validation cross-entropy (nats)", ylabel="generalization gap (nats)")
    if max(_point(t)[0] for t in trials) > 3 * min(_point(t)[0] for t in trials) > 0:
        canvas.log_axis(axes, "x")
    figure.legend(loc="outside lower center", ncols=2)
    return figure, _caption(report, trials)


def _is_drawn(trial: TrialRecord) -> bool:
    return trial.state == "COMPLETE" and trial.measurement is not None and trial.measurement.finite


def _point(trial: TrialRecord) -> tuple[float, float]:
    return _at(trial.measurement)


def _at(measured: Measurement | None) -> tuple[float, float]:
    assert measured is not None, "only measured trials are drawn"
    return measured.val_ce, measured.gap_ce


def _points(axes: Any, trials: Sequence[TrialRecord], label: str, marker: str, color: str) -> None:
    if trials:
        points = zip(*map(_point, trials), strict=True)
        full = color if label == "eligible" else "none"
        axes.plot(
            *points, marker, ms=6, mfc=full, mec=color, ls="none", label=label,
            rasterized=len(trials) > canvas.MAX_VECTOR_POINTS,
        )  # fmt: skip


def _finalist_means(axes: Any, report: Report) -> None:
    """Draws a cross per finalist at its means over the seeds, with the 95% interval of its gap."""
    if report.confirmation is None:
        return
    label: str | None = "finalist: mean, 95%"
    for finalist in report.confirmation.finalists:
        measured = finalist.measurement
        axes.errorbar(
            measured.val_ce, measured.gap_ce, yerr=1.96 * measured.gap_ce_se, fmt="x", ms=6,
            color=canvas.PURPLE, capsize=2, elinewidth=1, label=label,
        )  # fmt: skip
        label = None


def _margin(axes: Any, report: Report) -> None:
    reference = report.judged(report.selection.reference)
    if reference is None or not report.selection.eligible:
        return
    tau = report.selection.rule.tau
    limit = (1 + tau) * reference.val_ce
    label = f"margin: {tau:.0%} above the best"
    axes.axvline(limit, color=canvas.INK, lw=1, ls=(0, (4, 3)), label=label)


def _named(
    report: Report, trials: Sequence[TrialRecord]
) -> list[tuple[TrialRecord, str, str, str]]:
    """Returns the drawn trials that have a role, with its label, marker and color."""
    roles = (
        (report.winner, "winner", "*", canvas.VERMILLION),
        (report.best, "best validation", "D", canvas.GREEN),
        (report.baseline, "baseline", "s", canvas.INK),
    )
    return [
        (trial, f"{label}: {trial.number}", marker, color)
        for trial in trials
        for role, label, marker, color in roles
        if role is not None and role.number == trial.number
    ]


def _caption(report: Report, trials: Sequence[TrialRecord]) -> str:
    selection = report.selection
    sentences = [f"{len(trials)} measured trials, {len(selection.eligible)} of them eligible"]
    for trial, label in ((report.winner, "winner"), (report.best, "best validation")):
        if trial is not None and trial in trials:
            number = trial.number
            val_ce, gap = _at(report.judged(number))
            finalist = report.finalist(number)
            over = f" (mean of {_seeds(len(finalist.runs))})" if finalist else ""
            sentences.append(
                f"the {label}, trial {number}, has cross-entropy {decimal(val_ce)} and gap "
                f"{decimal(gap)}{over}"
            )
    dots = "each dot is one training, each cross the mean of a finalist's seeds"
    end = (
        f". Good trials lie at the lower left; "
        f"{dots if report.confirmation else 'each mark is one training'}. Where noise is larger "
        "than the margin, trials beyond it are eligible, too."
    )
    return "; ".join(sentences) + end


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"

"""Draws the decision: validation cross-entropy against gap, a point per trial.

Winner, best and baseline stand where they were judged: finalists at the mean over their seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.formatting import decimal
from pipeline.records import Measurement, TrialRecord
from pipeline.report.configurations import trial_label, varying_keys
from pipeline.report.figures import canvas
from pipeline.report.figures.names import name_points
from pipeline.report.report import BEST_SCORE, NO_REGULARIZATION, WINNER, Report

_FAR = 3.0
"""Times the largest cross-entropy or gap of a named trial, beyond which a trial is not drawn."""

_MAX_HOVER_TEXTS = 1000
"""Trials with a text of their own: the page would grow too large."""


def draw(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns the figure, with winner, best score and baseline named, and its caption."""
    measured = [t for t in report.study.trials if _is_measured(t)]
    if not measured:
        return None, "No trial has a measured cross-entropy and gap to draw."
    trials = _near(report, measured)
    figure = canvas.new_figure(canvas.NARROW, 3.1) if narrow else canvas.new_figure(5.7, 4.6)
    axes = figure.add_subplot()
    eligible = set(report.selection.eligible)
    good, others = "as good as the best", "not as good"
    _points(axes, [t for t in trials if t.number not in eligible], others, canvas.GREY)
    _points(axes, [t for t in trials if t.number in eligible], good, canvas.BLUE)
    _finalist_means(axes, report)
    _margin(axes, report)
    named = _named(report, trials)
    for trial, _, marker, color in named:
        point = _at(report.judged(trial.number))
        axes.plot(*point, marker, ms=11, mfc="none", mec=color, mew=2.2, ls="none")
    axes.axhline(0, color=canvas.INK, lw=0.8, zorder=0)
    axes.set(
        xlabel=f"validation cross-entropy{'' if narrow else ', nats'} (left: better)",
        ylabel=f"{'gap' if narrow else 'gap to training'}, nats (low: overfits less)",
    )
    if max(_point(t)[0] for t in trials) > 3 * min(_point(t)[0] for t in trials) > 0:
        canvas.log_axis(axes, "x", num_ticks=5 if narrow else 8)
    spacing = {"columnspacing": 1.0, "handletextpad": 0.2} if narrow else {}
    figure.legend(loc="outside lower center", ncols=2, **spacing)
    name_points(
        axes,
        [(*_at(report.judged(t.number)), name, color) for t, name, _, color in named if name],
    )
    _hover_texts(axes, report, trials)
    return figure, _caption(report, len(trials), len(measured) - len(trials))


def _is_measured(trial: TrialRecord) -> bool:
    return trial.state == "COMPLETE" and trial.measurement is not None and trial.measurement.finite


def _near(report: Report, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the trials without those so far off that they would squeeze the others together."""
    roles = {role.number for role in (report.winner, report.best, report.baseline) if role}
    named = [_at(report.judged(trial.number)) for trial in trials if trial.number in roles]
    ends = named or [min(map(_point, trials))]
    ce, gap = (max(values) for values in zip(*ends, strict=True))
    near = [t for t in trials if t.number in roles or _point(t)[0] <= _FAR * ce]
    return [t for t in near if t.number in roles or _point(t)[1] <= max(_FAR * gap, 0.1 * ce)]


def _point(trial: TrialRecord) -> tuple[float, float]:
    return _at(trial.measurement)


def _at(measured: Measurement | None) -> tuple[float, float]:
    assert measured is not None, "only measured trials are drawn"
    return measured.val_ce, measured.gap_ce


def _points(axes: Any, trials: Sequence[TrialRecord], label: str, color: str) -> None:
    if trials:
        points = zip(*map(_point, trials), strict=True)
        full = color if color == canvas.BLUE else "none"
        axes.plot(
            *points, "o", ms=6, mfc=full, mec=color, ls="none", label=label,
            rasterized=len(trials) > canvas.MAX_VECTOR_POINTS,
        )  # fmt: skip


def _finalist_means(axes: Any, report: Report) -> None:
    """Draws a cross per finalist at its means over the seeds, with the 95% interval of its gap."""
    if report.confirmation is None:
        return
    label: str | None = "finalist's mean, 95%"
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
    label = f"{tau:.0%} above the best"
    axes.axvline(limit, color=canvas.INK, lw=1, ls=(0, (4, 3)), label=label)


def _named(
    report: Report, trials: Sequence[TrialRecord]
) -> list[tuple[TrialRecord, str, str, str]]:
    """Returns the drawn trials that have a role, with its label, marker and color."""
    roles = (
        (report.winner, WINNER, "*", canvas.VERMILLION),
        (report.best, BEST_SCORE, "D", canvas.GREEN),
        (report.baseline, NO_REGULARIZATION, "s", canvas.INK),
    )
    drawn = {trial.number for trial in trials}
    shown = [role for role in roles if role[0] is not None and role[0].number in drawn]
    named: list[tuple[TrialRecord, str, str, str]] = []
    for trial, _, marker, color in shown:
        assert trial is not None, "left out above"
        labels = [label for other, label, _, _ in shown if other is trial]
        # A trial with two roles has both marks and one name.
        first = all(trial is not other[0] for other in named)
        name = f"{', '.join(labels)} ({trial.number})" if first else ""
        named.append((trial, name, marker, color))
    return named


def _hover_texts(axes: Any, report: Report, trials: Sequence[TrialRecord]) -> None:
    """Says which trial a mark is, where somebody points at it."""
    keys = varying_keys(report.study)
    ranked = sorted(trials, key=lambda trial: trial.number not in report.selection.eligible)
    for trial in ranked[:_MAX_HOVER_TEXTS]:
        val_ce, gap = _point(trial)
        figures = f"cross-entropy {decimal(val_ce)}, gap {decimal(gap)}"
        text = f"trial {trial.number}: {trial_label(trial, keys)}; {figures}"
        canvas.hover(axes, (val_ce, gap), text)
    for finalist in report.confirmation.finalists if report.confirmation else ():
        val_ce, gap = _at(finalist.measurement)
        text = f"trial {finalist.number}, mean of {_seeds(len(finalist.runs))}"
        text += f"; cross-entropy {decimal(val_ce)}, gap {decimal(gap)}"
        canvas.hover(axes, (val_ce, gap), text)


def _caption(report: Report, num_drawn: int, num_far: int) -> str:
    """Returns what the marks are; for the reader of a page without pictures, too."""
    dots = f"{num_drawn} measured trial{'s' if num_drawn != 1 else ''}, a dot each"
    if num_far:
        dots += f" ({num_far} far worse left out)"
    if report.winner is None:
        return f"{dots}."
    dots = f"{dots}; {len(report.selection.eligible)} as good as the best"
    if report.confirmation is None:
        return f"{dots}. Where noise is larger than the margin, trials beyond it are as good, too."
    num_seeds = max(len(finalist.runs) for finalist in report.confirmation.finalists)
    return f"{dots}. A cross is a finalist's mean over {_seeds(num_seeds)}; the names stand there."


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"

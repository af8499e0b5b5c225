"""Draws learning curves: winner, best and baseline side by side, and every technique in one.

Both curves of a panel are plain cross-entropy in inference mode, in nats: they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.formatting import decimal
from pipeline.records import TrialRecord
from pipeline.report.evidence import evidence_of
from pipeline.report.figures import canvas
from pipeline.report.report import Report

_LINES = (
    (canvas.BLUE, "-", "o"),
    (canvas.VERMILLION, "--", "s"),
    (canvas.GREEN, "-.", "^"),
    (canvas.ORANGE, (0, (1, 1)), "D"),
    (canvas.PURPLE, (0, (5, 1)), "v"),
    (canvas.SKY, (0, (3, 1, 1, 1)), "P"),
    (canvas.GREY, (0, (6, 2, 1, 2)), "X"),
)
_NUM_MARKERS = 6
"""Markers along a line."""


def draw(report: Report) -> tuple[Any, str]:
    """Returns a panel per compared trial, train and validation in one unit, and the caption."""
    panels = [(label, trial) for label, trial in compared(report) if _has_curve(trial, "val_ce")]
    if not panels:
        return None, "No learning curves were kept."
    figure = canvas.new_figure(3.4 * len(panels) + 0.4, 3.6)
    all_axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axes, (label, trial) in zip(all_axes, panels, strict=True):
        _panel(axes, trial, label)
    all_axes[0].set_ylabel("cross-entropy (nats)")
    if _spread([trial for _, trial in panels]) > 10:
        canvas.log_axis(all_axes[0], "y")
    all_axes[0].legend(loc="best")
    captions = [f"{label}: {_at_best_epoch(trial)}" for label, trial in panels]
    return figure, "; ".join(
        captions
    ) + ". Where train falls on and validation rises, a model overfits."


def draw_overlay(report: Report) -> tuple[Any, str]:
    """Returns all techniques' validation curves, cross-entropy and accuracy, and the caption."""
    view = evidence_of(report).isolation
    lines = [("baseline", view.baseline)]
    lines += [(effect.technique, effect.trial) for effect in view.effects]
    curves = [(name, trial) for name, trial in lines if trial and _has_curve(trial, "val_ce")]
    if not curves:
        return None, "No trial used a single technique, or no curves were kept."
    figure = canvas.new_figure(8.8, 3.9)
    left, right = figure.subplots(1, 2)
    styles = [(canvas.INK, "-", None), *_LINES] if curves[0][0] == "baseline" else list(_LINES)
    for (name, trial), style in zip(curves, styles, strict=False):
        label = f"{name} ({trial.number})"
        _line(left, trial.curves["val_ce"], style, label)
        _line(right, trial.curves.get("val_accuracy", ()), style, label)
    left.set(xlabel="epoch", ylabel="validation cross-entropy (nats)")
    right.set(xlabel="epoch", ylabel="validation accuracy")
    if _spread([trial for _, trial in curves], ("val_ce",)) > 10:
        canvas.log_axis(left, "y")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    best = min(curves, key=lambda item: _lowest(item[1]))
    return figure, (
        f"One line per technique, alone at its best setting (trial number in brackets). The lowest "
        f"validation cross-entropy, {decimal(_lowest(best[1]))}, is that of {best[0]}, trial "
        f"{best[1].number}."
    )


def compared(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the winner, the best-validation trial and the baseline, once each, as delivered."""
    roles: dict[int, list[str]] = {}
    for trial, role in (
        (report.winner, "winner"),
        (report.best, "best validation"),
        (report.baseline, "baseline"),
    ):
        if trial is not None:
            roles.setdefault(trial.number, []).append(role)
    found = []
    for number, names in roles.items():
        model = report.measured(number)
        if model is not None:
            found.append((f"{', '.join(names)}: trial {number}", model))
    return found


def _panel(axes: Any, trial: TrialRecord, label: str) -> None:
    for key, name, color, dashes in (
        ("val_ce", "validation", canvas.VERMILLION, "-"),
        ("train_ce", "train", canvas.BLUE, "--"),
    ):
        values = trial.curves.get(key, ())
        if values:
            axes.plot(range(1, len(values) + 1), values, color=color, ls=dashes, label=name)
    if trial.measurement is not None:
        best = trial.measurement.best_epoch
        axes.axvline(best, color=canvas.INK, lw=0.9, ls=":", label="best epoch")
        axes.plot(best, trial.measurement.val_ce, "o", color=canvas.VERMILLION, ms=6)
    axes.set(title=label, xlabel="epoch")
    axes.title.set_wrap(True)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _line(axes: Any, values: Sequence[float], style: tuple[str, Any, Any], label: str) -> None:
    color, dashes, marker = style
    every = max(1, len(values) // _NUM_MARKERS)
    axes.plot(
        range(1, len(values) + 1), values, color=color, ls=dashes, marker=marker, ms=5,
        markevery=every, label=label,
    )  # fmt: skip
    axes.xaxis.get_major_locator().set_params(integer=True)


def _has_curve(trial: TrialRecord, key: str) -> bool:
    return bool(np.isfinite(np.asarray(trial.curves.get(key, ()), dtype=float)).any())


def _spread(trials: Sequence[TrialRecord], keys: Sequence[str] = ("val_ce", "train_ce")) -> float:
    """Returns the largest over the smallest value; 1 where one of them is not above 0."""
    values = np.concatenate([np.asarray(t.curves.get(k, ()), float) for t in trials for k in keys])
    values = values[np.isfinite(values)]
    return float(values.max() / values.min()) if values.size and values.min() > 0 else 1.0


def _lowest(trial: TrialRecord) -> float:
    return float(np.nanmin(np.asarray(trial.curves["val_ce"], dtype=float)))


def _at_best_epoch(trial: TrialRecord) -> str:
    measured = trial.measurement
    if measured is None:
        return "not measured"
    return (
        f"at its best epoch {measured.best_epoch} of {measured.epochs} cross-entropy "
        f"{decimal(measured.train_ce)} on train and {decimal(measured.val_ce)} on validation"
    )

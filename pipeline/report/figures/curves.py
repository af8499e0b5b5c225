"""Draws learning curves: winner, best and baseline side by side, and every technique in one.

Both curves of a panel are plain cross-entropy in inference mode, in nats: they can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.formatting import decimal
from pipeline.records import TrialRecord
from pipeline.report.configurations import technique_words
from pipeline.report.evidence import evidence_of
from pipeline.report.figures import canvas
from pipeline.report.report import BEST_SCORE, NO_REGULARIZATION, WINNER, Report

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


def draw(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns a panel per compared trial, train and validation in one unit, and the caption."""
    panels = [(label, trial) for label, trial in compared(report) if _has_curve(trial, "val_ce")]
    if not panels:
        return None, "No learning curves were kept."
    size = (3.7 * len(panels) + 0.4, 3.2)
    figure, all_axes = canvas.panels(len(panels), size, narrow, sharey=True)
    for axes, (label, trial) in zip(all_axes, panels, strict=True):
        _panel(axes, trial, label)
    for axes in all_axes if narrow else all_axes[:1]:
        axes.set_ylabel("cross-entropy (nats)")
    if _spread([trial for _, trial in panels]) > 10:
        canvas.log_axis(all_axes[0], "y")
    all_axes[0].legend(loc="best")
    epochs = "; ".join(f"{label}: {_best_epoch(trial)}" for label, trial in panels)
    told = "Where train falls on and validation rises, a model overfits."
    dots = " The dots are of all of them." if report.study.validation_per_epoch else ""
    if report.seeds_behind(report.selection.winner):
        told += " Of several seeds the one with the median validation cross-entropy is drawn."
    return figure, f"{told} Best epoch of {epochs}.{_part_words(report)}{dots}"


def draw_overlay(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns all techniques' validation curves, cross-entropy and accuracy, and the caption."""
    view = evidence_of(report).isolation
    lines = [("baseline", view.baseline)]
    lines += [(effect.technique, effect.trial) for effect in view.effects]
    curves = [(name, trial) for name, trial in lines if trial and _has_curve(trial, "val_ce")]
    if len(curves) < 2:
        return None, "No two trials to compare: one without and one with a single technique."
    figure, (left, right) = canvas.panels(2, (9.4, 3.9), narrow)
    styles = [(canvas.INK, "-", None), *_LINES] if curves[0][0] == "baseline" else list(_LINES)
    for (name, trial), style in zip(curves, styles, strict=False):
        label = f"{technique_words(name)} ({trial.number})"
        _line(left, trial.curves["val_ce"], style, label)
        _line(right, trial.curves.get("val_accuracy", ()), style, label)
    left.set(xlabel="epoch", ylabel="validation cross-entropy (nats)")
    right.set(xlabel="epoch", ylabel="validation accuracy")
    if _spread([trial for _, trial in curves], ("val_ce",)) > 10:
        canvas.log_axis(left, "y")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if narrow else 4)
    best = min(curves, key=lambda item: _lowest(item[1]))
    return figure, (
        f"One line per technique, alone at its best setting (its trial in brackets). Lowest is "
        f"{technique_words(best[0])}: {decimal(_lowest(best[1]))}.{_part_words(report)}"
    )


def _part_words(report: Report) -> str:
    """Returns what the validation curves stand on, where it is not the whole part."""
    part = report.study.validation_per_epoch
    return f" Validation curves are of {part:,} of the validation examples." if part else ""


def compared(report: Report) -> list[tuple[str, TrialRecord]]:
    """Returns the winner, the best-validation trial and the baseline, once each, as delivered."""
    roles: dict[int, list[str]] = {}
    for trial, role in (
        (report.winner, WINNER),
        (report.best, BEST_SCORE),
        (report.baseline, NO_REGULARIZATION),
    ):
        if trial is not None:
            roles.setdefault(trial.number, []).append(role)
    found = []
    for number, names in roles.items():
        model = report.measured(number)
        if model is not None:
            found.append((f"{', '.join(names)}, trial {number}", model))
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


def _best_epoch(trial: TrialRecord) -> str:
    measured = trial.measurement
    return f"{measured.best_epoch} of {measured.epochs}" if measured else "unknown"

"""Draws where the delivered model errs: per class, and by how sure it is."""

from __future__ import annotations

from typing import Any

from pipeline.formatting import between, decimal
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.calibration import Calibration
from pipeline.report.evidence.class_errors import ClassError, ClassErrors
from pipeline.report.figures import canvas
from pipeline.report.report import Report
from pipeline.selection.statistics import CALIBRATION_FROM, wilson_interval

MAX_CLASSES = 20
"""Classes shown, those with the highest error rates."""

_MAX_NAME = 28


def draw(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns the error rates of the worst classes with their confusions, and the caption."""
    found = evidence_of(report).class_errors
    if found is None:
        return None, (
            "Not available: the test part was not read for this choice, or its per-example "
            "results were not kept."
        )
    worst = found.classes[:MAX_CLASSES]
    figure = canvas.new_figure(canvas.NARROW if narrow else 7.6, 1.0 + 0.3 * len(worst))
    axes = figure.add_subplot()
    for row, entry in enumerate(worst):
        _row(axes, row, entry, named=not narrow)
    longest = _MAX_NAME // 2 if narrow else _MAX_NAME
    names = [f"{shortened(e.name, longest)} ({e.num_examples})" for e in worst]
    axes.set_yticks(range(len(worst)), names)
    axes.set_ylim(len(worst) - 0.4, -0.6)
    axes.set(xlabel="share of wrong test examples, 95%", xlim=(0, None))
    axes.grid(axis="y", visible=False)
    return figure, _caption(found, len(worst))


def draw_calibration(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns the reliability diagram, and the caption with the ECE."""
    found = evidence_of(report).calibration
    if found is None:
        return None, "Not available: there is no delivered model, or its confidences are not known."
    figure = canvas.new_figure(canvas.NARROW, 3.5) if narrow else canvas.new_figure(4.8, 4.4)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=canvas.INK, lw=1, ls=(0, (4, 3)), label="perfect")
    x = [entry.confidence for entry in found.bins]
    y = [entry.accuracy for entry in found.bins]
    lows = [entry.accuracy - entry.interval.low for entry in found.bins]
    highs = [entry.interval.high - entry.accuracy for entry in found.bins]
    # Wilson's interval may miss an accuracy of exactly 0 or 1 by rounding.
    errors = [[max(0.0, low) for low in lows], [max(0.0, high) for high in highs]]
    axes.errorbar(
        x, y, yerr=errors, fmt="o-", ms=5, color=canvas.BLUE, lw=1.2, elinewidth=1, capsize=2,
        label=f"{found.part}, {len(found.bins)} bins, 95%;\nbelow the line: too sure",
    )  # fmt: skip
    low = min(*x, *(entry.interval.low for entry in found.bins)) - 0.02
    axes.set(xlim=(low, 1.01), ylim=(low, 1.01))
    axes.set(xlabel="confidence", ylabel="accuracy")
    axes.legend(loc="upper left")
    return figure, calibration_sentence(found)


def calibration_sentence(found: Calibration) -> str:
    """Returns what the diagram shows in words: mean confidence, accuracy, and the ECE."""
    low, high = wilson_interval(found.accuracy * found.num_examples, found.num_examples)
    side = "neither over- nor underconfident beyond chance"
    if not low <= found.confidence <= high:
        side = "overconfident" if found.confidence > high else "underconfident"
    sentence = (
        f"{found.num_examples:,} {found.part} examples in bins of equal size: mean confidence "
        f"{decimal(found.confidence)}, accuracy {decimal(found.accuracy)} (95% "
        f"{between(low, high)}), on the whole {side}. "
    )
    if found.ece is None:
        reason = f"below {CALIBRATION_FROM:,} examples it is mostly noise"
        return f"{sentence}No calibration error: {reason}."
    return f"{sentence}Expected calibration error {decimal(found.ece)}."


def shortened(name: str, longest: int = _MAX_NAME) -> str:
    """Returns a class's name, cut to what fits beside a figure."""
    return name if len(name) <= longest else f"{name[: longest - 3]}..."


def _row(axes: Any, row: int, entry: ClassError, named: bool) -> None:
    axes.plot(entry.interval, [row, row], color=canvas.BLUE, lw=2)
    axes.plot(entry.rate, row, "o", ms=6, color=canvas.BLUE)
    if named and entry.taken_for is not None:
        confusion = f"{entry.times} of {entry.errors} taken for {shortened(entry.taken_for)}"
        axes.annotate(
            confusion, (entry.interval.high, row), (6, 0), textcoords="offset points", va="center",
            fontsize=8.5, annotation_clip=False,
        )  # fmt: skip


def _caption(found: ClassErrors, num_shown: int) -> str:
    sentence = f"Test part, {len(found.classes)} classes"
    sentence += f", the {num_shown} worst shown" if num_shown < len(found.classes) else ""
    absent = f"; {found.num_absent} without a test example" if found.num_absent else ""
    return (
        f"{sentence}{absent}; in brackets the examples of each. Macro-F1 "
        f"{decimal(found.macro_f1)}, 95% {between(*found.macro_f1_interval)}."
    )

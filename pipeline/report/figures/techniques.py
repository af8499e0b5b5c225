"""Draws what each technique changes against the baseline, three differences with intervals."""

from __future__ import annotations

from typing import Any

from pipeline.formatting import decimal
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.techniques import Difference, Effect
from pipeline.report.figures import canvas
from pipeline.report.report import Report

_PANELS = (
    ("val_ce", "cross-entropy (nats)", "better \N{LEFTWARDS ARROW}"),
    ("accuracy", "accuracy", "\N{RIGHTWARDS ARROW} better"),
    ("gap_ce", "gap (nats)", "less overfitting \N{LEFTWARDS ARROW}"),
)


def draw(report: Report) -> tuple[Any, str]:
    """Returns the figure and its caption; no figure where nothing can be compared."""
    view = evidence_of(report).isolation
    effects = [effect for effect in view.effects if effect.val_ce is not None]
    if view.baseline is None or not effects:
        return None, "No technique was tried alone beside an unregularized baseline."
    figure = canvas.new_figure(8.8, 1.3 + 0.38 * len(effects))
    for axes, (key, name, direction) in zip(
        figure.subplots(1, 3, sharey=True), _PANELS, strict=True
    ):
        _panel(axes, effects, key)
        axes.set(title=name, xlabel=f"minus the baseline's\n{direction}")
        axes.locator_params(axis="x", nbins=4)
    return figure, _caption(effects, view.baseline.number)


def _panel(axes: Any, effects: list[Effect], key: str) -> None:
    for place, effect in enumerate(effects):
        found: Difference | None = getattr(effect, key)
        if found is None:
            continue
        excludes_zero = found.low > 0 or found.high < 0
        axes.plot([found.low, found.high], [place, place], color=canvas.BLUE, lw=2)
        axes.plot(
            found.value,
            place,
            "o",
            ms=7,
            mec=canvas.BLUE,
            mfc=canvas.BLUE if excludes_zero else "none",
        )
    axes.axvline(0, color=canvas.INK, lw=1)
    axes.set_yticks(range(len(effects)), [f"{e.technique} ({e.num_trials})" for e in effects])
    axes.set_ylim(len(effects) - 0.4, -0.6)


def _caption(effects: list[Effect], baseline: int) -> str:
    best = min(effects, key=lambda e: e.val_ce.value if e.val_ce else 0.0)
    least = min(effects, key=lambda e: e.gap_ce.value if e.gap_ce else 0.0)
    assert best.val_ce is not None, "only effects with a difference are drawn"
    caption = (
        f"Against trial {baseline}, the baseline: the lowest cross-entropy is that of "
        f"{best.technique} ({_signed(best.val_ce)})"
    )
    if least.gap_ce is not None:
        caption += f", the smallest gap that of {least.technique} ({_signed(least.gap_ce)})"
    return caption + (
        ". Lines are 95% intervals; a full dot excludes 0. In brackets the number of settings of "
        "which the best is shown."
    )


def _signed(found: Difference) -> str:
    sign = "+" if found.value > 0 else ""
    return f"{sign}{decimal(found.value)}, 95% {decimal(found.low)} to {decimal(found.high)}"

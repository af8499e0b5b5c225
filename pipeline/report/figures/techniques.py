"""Draws what each technique changes against the baseline, three differences with intervals."""

from __future__ import annotations

from typing import Any

from pipeline.formatting import signed
from pipeline.report.configurations import technique_words
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.differences import Difference
from pipeline.report.evidence.techniques import Effect
from pipeline.report.figures import canvas
from pipeline.report.report import Report

_PANELS = (
    ("val_ce", "cross-entropy (nats)", "better \N{LEFTWARDS ARROW}"),
    ("accuracy", "accuracy", "\N{RIGHTWARDS ARROW} better"),
    ("gap_ce", "gap (nats)", "less overfitting \N{LEFTWARDS ARROW}"),
)


def draw(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns the figure and its caption; no figure where nothing can be compared."""
    view = evidence_of(report).isolation
    effects = [effect for effect in view.effects if effect.val_ce is not None]
    if view.baseline is None or not effects:
        return None, "No technique was tried alone beside an unregularized baseline."
    figure, all_axes = canvas.panels(3, (10.4, 1.3 + 0.38 * len(effects)), narrow, sharey=True)
    for axes, (key, name, direction) in zip(all_axes, _PANELS, strict=True):
        _panel(axes, effects, key)
        axes.set(title=name, xlabel=f"change against no regularization\n{direction}")
        axes.locator_params(axis="x", nbins=4)
    return figure, _caption(effects, view.baseline.number)


def _panel(axes: Any, effects: list[Effect], key: str) -> None:
    for place, effect in enumerate(effects):
        found: Difference | None = getattr(effect, key)
        if found is None:
            continue
        axes.plot([found.low, found.high], [place, place], color=canvas.BLUE, lw=2)
        axes.plot(
            found.value,
            place,
            "o",
            ms=7,
            mec=canvas.BLUE,
            mfc=canvas.BLUE if found.proven else "none",
        )
    axes.axvline(0, color=canvas.INK, lw=1)
    axes.set_yticks(
        range(len(effects)), [f"{technique_words(e.technique)} ({e.num_trials})" for e in effects]
    )
    axes.set_ylim(len(effects) - 0.4, -0.6)


def _caption(effects: list[Effect], baseline: int) -> str:
    best = min(effects, key=lambda e: e.val_ce.value if e.val_ce else 0.0)
    assert best.val_ce is not None, "only effects with a difference are drawn"
    return (
        f"Against trial {baseline}; lines are 95% intervals, a full dot excludes 0, in brackets "
        "the settings of which the best is shown. Lowest cross-entropy: "
        f"{technique_words(best.technique)} ({signed(best.val_ce.value)})."
    )

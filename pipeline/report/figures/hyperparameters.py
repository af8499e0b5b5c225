"""Draws the hyperparameters: against quality and gap, their importance, the winner's place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.records import TrialRecord
from pipeline.report.configurations import in_words, technique_words, varying_keys
from pipeline.report.evidence import evidence_of
from pipeline.report.evidence.importance import TARGET_WORDS, TARGETS, Importances, is_logarithmic
from pipeline.report.evidence.place import EDGE_SHARE, Place
from pipeline.report.figures import canvas
from pipeline.report.report import Report
from pipeline.training.techniques import hyperparameters

_COLUMNS = 4
_MAX_PANELS = 12
"""Hyperparameters shown at most."""


def draw(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns val_ce and gap_ce against every hyperparameter that varies, and the caption."""
    trials = [t for t in report.study.trials if t.state == "COMPLETE" and t.measurement]
    trials = [t for t in trials if t.measurement and t.measurement.finite]
    differing = varying_keys(replace(report.study, trials=tuple(trials)))
    names = [name for name in ("family", *hyperparameters()) if name in differing][:_MAX_PANELS]
    if not names:
        return None, "The measured trials do not differ in any hyperparameter."
    most = 2 if narrow else _COLUMNS
    blocks, columns = -(-len(names) // most), min(most, len(names))
    width = canvas.NARROW if narrow else 2.55 * columns + 0.5
    figure = canvas.new_figure(width, (3.4 if narrow else 3.5) * blocks + 0.2)
    grid = np.array(figure.subplots(2 * blocks, columns, squeeze=False, sharey="row"))
    for place, name in enumerate(names):
        block, column = divmod(place, most)
        pair = grid[2 * block : 2 * block + 2, column]
        for axes, target in zip(pair, TARGETS, strict=True):
            _scatter(axes, report, trials, (name, target))
        pair[1].set_xlabel(in_words(name))
    for row, axes in enumerate(grid[:, 0]):
        axes.set_ylabel(("validation CE, nats", "gap, nats")[row % 2])
    for column in range((len(names) - 1) % most + 1, columns):
        for axes in grid[-2:, column]:
            axes.set_visible(False)
    return figure, (
        f"{len(trials)} measured trials: filled those as good as the best, a star the winner. "
        "At the word off the hyperparameter is not used."
    )


def draw_importance(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns what shuffling each hyperparameter costs, for both targets, and the caption."""
    found = evidence_of(report).importances
    drawn = [target for target in TARGETS if target in found.ranking]
    whys: dict[str, list[str]] = {}
    for target, why in found.missing.items():
        whys.setdefault(why, []).append(TARGET_WORDS[target])
    missing = [f"For {' and '.join(names)}: {why}." for why, names in whys.items()]
    if not drawn:
        return None, " ".join(missing)
    rows = len(found.ranking[drawn[0]])
    size = (4.7 * len(drawn), 1.1 + 0.34 * rows)
    figure, all_axes = canvas.panels(len(drawn), size, narrow)
    for axes, target in zip(all_axes, drawn, strict=True):
        _bars(axes, found, target)
    sentences = [_most_important(found, target) for target in drawn]
    return figure, " ".join([*sentences, *missing])


def draw_place(report: Report, narrow: bool = False) -> tuple[Any, str]:
    """Returns where the winner lies in each range, and the caption with every edge."""
    found = [place for place in evidence_of(report).places if place.position is not None]
    if not found:
        return None, "There is no winner with a searched numeric hyperparameter."
    figure = canvas.new_figure(canvas.NARROW if narrow else 7.2, 0.5 + 0.5 * len(found))
    axes = figure.add_subplot()
    for row, place in enumerate(found):
        _place(axes, row, place)
    axes.set_yticks(range(len(found)), [in_words(place.name) for place in found])
    margin = 0.36 if narrow else 0.16
    axes.set(xlim=(-margin, 1 + margin), ylim=(len(found) - 0.4, -0.7), xticks=[])
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    edges = ", ".join(f"{in_words(p.name)} at its {p.edge} end" for p in found if p.edge)
    where = f"At an edge: {edges}" if edges else "It is at no edge of them"
    return figure, f"The winner in the {len(found)} searched ranges in which it lies. {where}."


def _scatter(
    axes: Any, report: Report, trials: Sequence[TrialRecord], names: tuple[str, str]
) -> None:
    """Draws one panel: a hyperparameter across, a target up."""
    name, target = names
    log = is_logarithmic(name)
    x, off, labels = axis_positions([getattr(trial.config, name) for trial in trials], log)
    y = np.array([getattr(trial.measurement, target) for trial in trials])
    eligible = np.array([trial.number in report.selection.eligible for trial in trials])
    won = np.array([trial.number == report.selection.winner for trial in trials])
    pixels = len(trials) > canvas.MAX_VECTOR_POINTS
    style = {"ms": 4, "ls": "none", "rasterized": pixels}
    axes.plot(x[~eligible], y[~eligible], "o", mfc="none", mec=canvas.GREY, **style)
    axes.plot(x[eligible], y[eligible], "o", mfc=canvas.BLUE, mec=canvas.BLUE, **style)
    axes.plot(x[won], y[won], "*", ms=11, mfc=canvas.VERMILLION, mec=canvas.INK, mew=0.6)
    if target == "val_ce" and y.min() > 0 and y.max() > 10 * y.min():
        canvas.log_axis(axes, "y")
    if labels:
        words = list(map(technique_words, labels))
        axes.set_xticks(range(len(words)), words, rotation=30 if len(words) > 2 else 0)
        axes.set_xlim(-0.6, len(labels) - 0.4)
        return
    if log:
        canvas.log_axis(axes, "x", num_ticks=4)
    else:
        whole = bool((x == np.rint(x)).all())
        axes.xaxis.get_major_locator().set_params(nbins=4, integer=whole)
    canvas.plain_ticks(axes.xaxis, (off, "off") if off is not None else None)


def axis_positions(values: Sequence[Any], log: bool) -> tuple[np.ndarray, float | None, list[str]]:
    """Returns places for values on an axis, the place of off (None), and the labels of names.

    Off (None, and 0 on a logarithmic axis) lies left of logarithmic numbers and right of others, as
    a lambda of 0 and a limit of infinity would. Names are spread a little, so that marks do not
    hide each other.
    """
    if any(isinstance(value, bool | str) for value in values):
        categories = sorted({str(value) for value in values})
        spread = np.random.default_rng(0).uniform(-0.2, 0.2, len(values))
        names = {"True": "on", "False": "off"}
        places = np.array([categories.index(str(value)) for value in values]) + spread
        return places, None, [names.get(category, category) for category in categories]
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    if log:
        numbers[numbers <= 0] = np.nan
    finite = numbers[np.isfinite(numbers)]
    if finite.size == len(numbers) or not finite.size:
        return np.nan_to_num(numbers), None, []
    if log:
        off = float(finite.min() / max(finite.max() / finite.min(), 10.0) ** 0.2)
    else:
        off = float(finite.max() + (np.ptp(finite) or 1.0) / 3)
    return np.where(np.isfinite(numbers), numbers, off), off, []


def _bars(axes: Any, found: Importances, target: str) -> None:
    ranking = found.ranking[target]
    places = np.arange(len(ranking))
    axes.barh(
        places,
        [entry.mean for entry in ranking],
        xerr=[entry.deviation for entry in ranking],
        height=0.6,
        color=canvas.BLUE if target == "val_ce" else canvas.ORANGE,
        hatch="" if target == "val_ce" else "///",
        edgecolor=canvas.INK,
        ecolor=canvas.INK,
        lw=0.5,
    )
    axes.set_yticks(places, [in_words(entry.name) for entry in ranking])
    axes.set_ylim(len(ranking) - 0.4, -0.6)
    axes.set(title=TARGET_WORDS[target], xlabel="loss of R squared")
    axes.axvline(0, color=canvas.INK, lw=0.8)
    axes.grid(axis="y", visible=False)


def _most_important(found: Importances, target: str) -> str:
    first, r2 = found.ranking[target][0], found.r2[target]
    return (
        f"For the {TARGET_WORDS[target]}, a random forest's R squared on held-out trials falls "
        f"from {r2:.2f} to {r2 - first.mean:.2f} (standard deviation {first.deviation:.2f}) when "
        f"{in_words(first.name)} is shuffled."
    )


def _place(axes: Any, row: int, place: Place) -> None:
    assert place.position is not None, "what is off has no place"
    axes.plot([0, 1], [row, row], color=canvas.GREY, lw=3, solid_capstyle="butt", alpha=0.6)
    for start in (0, 1 - EDGE_SHARE):
        axes.plot([start, start + EDGE_SHARE], [row, row], color=canvas.INK, lw=3, alpha=0.6,
                  solid_capstyle="butt")  # fmt: skip
    for choice in place.choices:
        share = (choice - place.low) / (place.high - place.low)
        axes.plot(share, row, "|", color=canvas.GREY, ms=9)
    color, marker = (canvas.VERMILLION, "D") if place.edge else (canvas.BLUE, "o")
    inside = float(np.clip(place.position, -0.03, 1.03))
    axes.plot(inside, row, marker, ms=9, mfc=color, mec=canvas.INK, mew=0.6)
    axes.annotate(
        f"{place.value:.4g}", (inside, row), (0, 8), textcoords="offset points", ha="center"
    )
    axes.text(-0.02, row, f"{place.low:.4g}", ha="right", va="center", fontsize=8.5)
    axes.text(1.02, row, f"{place.high:.4g}", ha="left", va="center", fontsize=8.5)

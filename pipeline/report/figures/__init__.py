"""Draws the report's figures: SVG for a page, PNG files for MLflow.

:data:`FIGURES` is the table, in the order of the page. Each entry is a function over the report
that returns the drawn figure and a caption made from the same numbers (its text alternative), or
None and why there is nothing to draw. It is told whether the figure is for a narrow screen, of
:data:`canvas.NARROW` inches. A new figure is one function and one entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.report.content import Figure
from pipeline.report.figures import canvas, curves, errors, hyperparameters, techniques, tradeoff
from pipeline.report.report import Report

FIGURES: dict[str, tuple[str, Callable[[Report, bool], tuple[Any, str]]]] = {
    "tradeoff": ("Quality against overfitting", tradeoff.draw),
    "curves": ("Learning curves", curves.draw),
    "overlay": ("Validation curves of every technique", curves.draw_overlay),
    "techniques": ("What each technique buys on its own", techniques.draw),
    "hyperparameters": ("Every hyperparameter against quality and gap", hyperparameters.draw),
    "importance": ("What matters most", hyperparameters.draw_importance),
    "place": ("The winner's place in the search space", hyperparameters.draw_place),
    "class_errors": ("Errors per class", errors.draw),
    "calibration": ("Calibration", errors.draw_calibration),
}
"""Name of a figure -> its title, and the function that draws it."""


def draw_figure(report: Report, name: str) -> Figure:
    """Returns a figure of the page; without an SVG where there is nothing to draw."""
    title, draw = FIGURES[name]
    svgs = []
    for narrow, own_name in ((False, name), (True, f"{name}-narrow")):
        with canvas.style(own_name):
            drawn, caption = draw(report, narrow)
            label = f"{title}. {caption}"
            svgs.append(canvas.as_svg(drawn, own_name, label) if drawn else "")
    return Figure(name, title, svgs[0], caption, svgs[1])


def png_files(report: Report) -> dict[str, bytes]:
    """Returns file name -> PNG, for every figure that can be drawn."""
    files = {}
    for name, (title, draw) in FIGURES.items():
        with canvas.style(name):
            figure, _ = draw(report, False)
            if figure is not None:
                figure.suptitle(title, fontsize=11, x=0.01, ha="left")
                files[f"{name}.png"] = canvas.as_png(figure)
    return files

"""The report's pictures: a ``Report`` in, SVG for the page and PNG files for MLflow out.

``PICTURES`` is the table, in the order of the page. Each entry is a function over the report that
returns the drawn figure and a caption made from the same numbers (its text alternative), or None
and why there is nothing to draw. A new picture is one function and one entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.report.figures import canvas, curves, errors, hyperparameters, techniques, tradeoff
from pipeline.report.report import Report

Draw = Callable[[Report], tuple[Any, str]]

PICTURES: dict[str, tuple[str, Draw]] = {
    "tradeoff": ("Validation quality against generalization gap", tradeoff.draw),
    "curves": ("Learning curves", curves.draw),
    "overlay": ("Validation curves of every technique", curves.draw_overlay),
    "techniques": ("What each technique buys on its own", techniques.draw),
    "hyperparameters": ("Every hyperparameter against quality and gap", hyperparameters.draw),
    "importance": ("What matters most", hyperparameters.draw_importance),
    "place": ("The winner's place in the search space", hyperparameters.draw_place),
    "class_errors": ("Errors per class", errors.draw),
    "calibration": ("Calibration", errors.draw_calibration),
}


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        name: A key of ``PICTURES``.
        title: Its heading.
        svg: The ``<svg>`` element; empty where there is nothing to draw.
        caption: What it shows, in one or two sentences with the numbers; else why it is missing.
    """

    name: str
    title: str
    svg: str
    caption: str


def pictures(report: Report) -> Iterator[Picture]:
    """Yields every picture of a report, in the order of the page."""
    for name, (title, draw) in PICTURES.items():
        with canvas.style(name):
            figure, caption = draw(report)
            svg = canvas.as_svg(figure, name, f"{title}. {caption}") if figure else ""
        yield Picture(name, title, svg, caption)


def png_files(report: Report) -> dict[str, bytes]:
    """Returns file name -> PNG, for every picture that can be drawn."""
    files = {}
    for name, (title, draw) in PICTURES.items():
        with canvas.style(name):
            figure, _ = draw(report)
            if figure is not None:
                figure.suptitle(title, fontsize=11, x=0.01, ha="left")
                files[f"{name}.png"] = canvas.as_png(figure)
    return files

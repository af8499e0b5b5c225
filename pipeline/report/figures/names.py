"""Writes names beside points of a figure, each where it covers no other name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_DIRECTIONS = (
    (1, 0), (1, 0.6), (1, -0.6), (-1, 0), (-1, 0.6), (-1, -0.6),
    (0, 1), (0, -1), (0.5, 1), (0.5, -1), (-0.5, 1), (-0.5, -1),
)  # fmt: skip
_DISTANCES = (14, 24, 38, 56, 80, 110)

PLACES = sorted(
    ((right * far, up * far) for far in _DISTANCES for right, up in _DIRECTIONS),
    key=lambda place: abs(place[0]) + abs(place[1]),
)
"""Where a name may stand beside its point, in typographic points; the nearest first."""

_MARK = 7
"""Half the size of a named point's mark, in typographic points."""

_NUM_ON_A_BAR = 12
"""Places of an error bar that a name had better not cover."""

_CLASH, _COVERED_MARK = 1000, 40
"""How bad it is to cover a name or leave the axes, and to cover a mark, in points of distance."""


def name_points(axes: Any, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes names beside points, with a line to each.

    To be called last, when everything that takes room in the figure has been drawn.

    Args:
        axes: Where the points are.
        points: Place across, place up, name and colour of each.
    """
    from matplotlib.transforms import Bbox

    figure = axes.figure
    figure.draw_without_rendering()
    unit = figure.dpi / 72
    marks = np.concatenate([np.empty((0, 2)), *map(_marks, axes.lines), *_bars(axes, _MARK * unit)])
    taken = []
    for x, y in axes.transData.transform([point[:2] for point in points]):
        half = _MARK * unit
        taken.append(Bbox([[x - half, y - half], [x + half, y + half]]))
    for point in points:
        written = [_written(axes, point, place) for place in PLACES]
        faults = [
            _fault(axes, box, taken, marks) + abs(right) + abs(up)
            for (right, up), (_, box) in zip(PLACES, written, strict=True)
        ]
        best = int(np.argmin(faults))
        for place, (text, _) in enumerate(written):
            if place != best:
                text.remove()
        taken.append(written[best][1])


def _written(axes: Any, point: tuple[float, float, str, str], place: tuple[float, float]) -> Any:
    """Returns a name at a place beside its point, and the box that it fills, in pixels."""
    from matplotlib.text import Text

    x, y, name, color = point
    text = axes.annotate(
        name, (x, y), place, textcoords="offset points", color=color, va="center",
        ha="left" if place[0] > 0 else "right" if place[0] < 0 else "center",
        arrowprops={"arrowstyle": "-", "color": color, "lw": 0.8, "shrinkA": 0, "shrinkB": 6},
    )  # fmt: skip
    text.set_in_layout(False)
    renderer = axes.figure.canvas.get_renderer()
    text.update_positions(renderer)
    # The line to the point is no part of the box.
    return text, Text.get_window_extent(text, renderer)


def _fault(axes: Any, box: Any, taken: Sequence[Any], marks: np.ndarray) -> float:
    room = axes.get_window_extent()
    outside = not (room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0)
    clashes = sum(box.overlaps(other) for other in taken) + outside + (box.y1 > room.y1)
    wide = box.padded(_MARK / 2)
    inside = (marks > [wide.x0, wide.y0]) & (marks < [wide.x1, wide.y1])
    return _CLASH * clashes + _COVERED_MARK * float(inside.all(axis=1).sum())


def _bars(axes: Any, step: float) -> list[np.ndarray]:
    """Returns places along the error bars, in pixels, so close that no name fits between two."""
    ends = [line for drawn in axes.collections for line in drawn.get_segments()]
    places = []
    for low, high in map(axes.transData.transform, ends):
        shares = np.linspace(0, 1, 2 + int(np.hypot(*(high - low)) / step))
        places.append(low + shares[:, None] * (high - low))
    return places


def _marks(line: Any) -> np.ndarray:
    """Returns where a line has marks, in pixels."""
    if line.get_marker() in ("None", "", None, " "):
        return np.empty((0, 2))
    return np.asarray(line.get_transform().transform(line.get_xydata()))

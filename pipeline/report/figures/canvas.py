"""Makes empty figures, and an SVG or PNG of drawn ones: the report's one door to matplotlib.

Text and axes are drawn in ``INK``, which becomes ``currentColor`` in an SVG, so that a figure
follows the page into the dark; backgrounds are transparent there and white in a PNG. Colours are
Okabe and Ito's, and always come with a marker or a line style of their own, so that figures can be
read in grey. The object-oriented interface only: no pyplot, no global state.

Source: Okabe & Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, PURPLE = "#E69F00", "#56B4E9", "#CC79A7"
GREY = "#888888"
INK = "#010203"
"""Stands for the page's text colour; no other colour may be this one."""

MAX_VECTOR_POINTS = 300
"""Above this many points a figure keeps them as pixels: the page would grow too large."""

_PNG_DPI = 130
_CSS_INCH = 96
NARROW = 3.5
"""Width in inches of a figure for a narrow screen: a phone of 390 pixels shows it whole."""

_HOVER_RADIUS = 7
"""Points around a mark within which its text is shown."""

_STYLE = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.unicode_minus": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "grid.color": GREY,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": _PNG_DPI,
    "svg.fonttype": "none",
    # What users name may hold dollar signs: nothing here is mathematics.
    "text.parse_math": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def preload() -> None:
    """Imports matplotlib and finds its fonts."""
    from matplotlib import figure, font_manager  # noqa: F401
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draws everything inside in the report's style; ids inside an SVG follow from the name."""
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        # A letter that the measuring font lacks is drawn by the reader's own.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> Any:
    """Returns an empty figure of this size in inches that lays its axes out by itself."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_svg(figure: Any, name: str, label: str) -> str:
    """Returns the ``<svg>`` element: ids begin with the name, text is text, ink follows the page.

    Args:
        figure: A drawn figure.
        name: Unique on the page.
        label: The text alternative; must not need escaping beyond XML's, which is done here.
    """
    from xml.sax.saxutils import quoteattr

    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"(<metadata>.*?</metadata>|<!--.*?-->)\s*", "", text, flags=re.S)
    text = re.sub(r"\n\s+", "\n", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'"font: ([^;"]*?)([\d.]+)px [^;"]*', r'"font: \1\2px sans-serif', text)
    # As wide as it was drawn where there is room.
    width = round(_CSS_INCH * figure.get_figwidth())
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    start = f'<svg role="img" style="width:min(100%,{width}px)" aria-label={quoteattr(label)} '
    text = text.replace("<svg ", start, 1)
    return text.replace("</svg>", f"{_hover_areas(figure)}</svg>", 1)


def hover(axes: Any, point: tuple[float, float], text: str) -> None:
    """Shows a text where somebody points at a place of the axes; only on a page."""
    vars(axes.figure).setdefault("hover_texts", []).append((axes, point, text))


def _hover_areas(figure: Any) -> str:
    """Returns an invisible circle per text, as the figure was laid out when it was saved."""
    from xml.sax.saxutils import escape

    scale, height = 72 / figure.dpi, 72 * figure.get_figheight()
    areas = []
    for axes, point, text in vars(figure).get("hover_texts", ()):
        x, y = scale * axes.transData.transform(point)
        areas.append(
            f'<circle cx="{x:.1f}" cy="{height - y:.1f}" r="{_HOVER_RADIUS}" fill="none" '
            f'pointer-events="all"><title>{escape(text)}</title></circle>'
        )
    return "".join(areas)


def panels(
    count: int, size: tuple[float, float], narrow: bool, **sharing: Any
) -> tuple[Any, list[Any]]:
    """Returns a figure and its axes: side by side, or on a narrow screen one below the other.

    Args:
        count: Number of panels.
        size: Inches of the whole figure where they stand side by side.
        narrow: Whether it is for a narrow screen.
        sharing: ``sharex`` and ``sharey`` of matplotlib's ``subplots``.
    """
    width, height = size
    rows, columns = (count, 1) if narrow else (1, count)
    if narrow:
        width, height = NARROW, height * count * 0.82
    figure = new_figure(width, height)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **sharing).flat)


def as_png(figure: Any) -> bytes:
    """Returns a PNG on white."""
    file = io.BytesIO()
    figure.savefig(file, format="png", facecolor="white", metadata={"Software": None})
    return file.getvalue()


def plain_ticks(axis: Any, off: tuple[float, str] | None = None) -> None:
    """Writes an axis's numbers plainly (0.001, not a power), few enough to be read.

    Args:
        axis: The x or y axis of an axes.
        off: A place and the word to write there, for a value that is no number.
    """
    from matplotlib.ticker import FuncFormatter, NullFormatter

    def as_text(value: float, _: int | None = None) -> str:
        return f"{value:.4g}"

    axis.set_major_formatter(FuncFormatter(as_text))
    axis.set_minor_formatter(NullFormatter())
    if off is not None:
        low, high = sorted(axis.get_view_interval())
        apart = 0.2 * abs(axis.get_transform().transform([low, high]) @ [-1, 1])
        position_off = axis.get_transform().transform([off[0]])
        places = [
            v for v in axis.get_majorticklocs()
            if low <= v <= high and abs(axis.get_transform().transform([v]) - position_off) > apart
        ]  # fmt: skip
        axis.set_ticks([off[0], *places], labels=[off[1], *map(as_text, places)])


def log_axis(axes: Any, which: str, num_ticks: int = 8) -> None:
    """Makes the ``x`` or ``y`` axis logarithmic, with at most so many plain numbers on it."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log")
    low, high = sorted(axis.get_view_interval())
    narrow = high / max(low, 1e-300) < 100
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=num_ticks))
    axis.set_minor_locator(NullLocator())
    plain_ticks(axis)

"""Shows a search and a report in a notebook: a progress bar, and the report's own page."""

from __future__ import annotations

import html
import sys
import warnings
from typing import Any

from pipeline.search.progress import Snapshot

REPORT_HEIGHT = 720
"""Pixels of a report in a cell; what is below is scrolled to."""


def display_of() -> Any:
    """Returns IPython's ``display`` where a notebook runs this, else None."""
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    shell = ipython.get_ipython() if ipython else None
    # A terminal's IPython shows no HTML: it has no kernel.
    if shell is None or not hasattr(shell, "kernel"):
        return None
    # Optuna imports tqdm, whose bars no search uses.
    warnings.filterwarnings("ignore", "IProgress not found")
    return sys.modules["IPython.display"].display


class NotebookView:
    """A progress bar and the newest lines in a notebook's cell; a view as ``search.progress`` has.

    Args:
        display: IPython's ``display``.
        lines: So many of the newest lines are shown.
    """

    def __init__(self, display: Any, lines: int = 4) -> None:
        self._lines: list[str] = []
        self._bar, self._most = "", lines
        self._handle = display(_Page(""), display_id=True)

    def note(self, message: str) -> None:
        """Shows a line; the newest ones stay."""
        self._lines = [*self._lines, message][-self._most :]
        self._draw()

    def show(self, snapshot: Snapshot) -> None:
        """Redraws the bar."""
        best = html.escape(snapshot.best or "none yet")
        self._bar = (
            f'<progress max="{max(snapshot.total, 1)}" value="{snapshot.ended}"></progress> '
            f"<b>{html.escape(snapshot.counts)}</b>, {html.escape(snapshot.time)}<br>"
            f"best so far: {best}"
        )
        self._draw()

    def _draw(self) -> None:
        lines = "<br>".join(html.escape(line) for line in self._lines)
        self._handle.update(_Page(f"<div>{self._bar}</div><div><small>{lines}</small></div>"))


class _Page:
    """A piece of HTML, as a notebook takes it."""

    def __init__(self, content: str) -> None:
        self._content = content

    def __repr__(self) -> str:
        return ""  # where no HTML is shown

    def _repr_html_(self) -> str:
        return self._content


def framed(page: str) -> str:
    """Returns a whole HTML page as a part of another, which keeps the styles of both apart."""
    return (
        f'<iframe srcdoc="{html.escape(page, quote=True)}" sandbox="allow-same-origin" '
        f'style="width:100%;height:{REPORT_HEIGHT}px;border:0" title="report"></iframe>'
    )

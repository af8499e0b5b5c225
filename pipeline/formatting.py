"""Writes numbers as text for people: one rounding in reasons, pages and messages.

Numbers in, short strings out. JSON and MLflow carry full precision; whatever people read goes
through these functions, so that the same number never appears in two roundings.
"""

from __future__ import annotations

import math

MISSING = "-"


def decimal(value: float | None) -> str:
    """Returns nats or a share with four decimals; ``-`` where there is no finite number."""
    if value is None or not math.isfinite(value):
        return MISSING
    if abs(value) >= 1000:
        return f"{value:.4g}"
    # Adding 0.0 turns the -0.0 that rounding may leave into 0.0.
    return f"{round(value, 4) + 0.0:.4f}"


def between(low: float, high: float) -> str:
    """Returns an interval as ``LOW to HIGH``."""
    return f"{decimal(low)} to {decimal(high)}"


def with_interval(value: float | None, low: float, high: float) -> str:
    """Returns a number with its interval, ``VALUE (LOW to HIGH)``; ``-`` where there is none."""
    written = decimal(value)
    return written if written == MISSING else f"{written} ({between(low, high)})"


def probability(value: float) -> str:
    """Returns a probability with two significant digits, however small."""
    return f"{value:.2g}"


def signed(value: float) -> str:
    """Returns a difference, with its sign."""
    written = decimal(value)
    return written if written.startswith(("-", "0.0000")) else f"+{written}"


def percent(share: float) -> str:
    """Returns a share as a percentage: whole, but for one that would vanish."""
    return f"{share:.1%}" if 0 < share < 0.01 else f"{share:.0%}"


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun: ``1 core``, ``2 cores``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Returns a duration in words: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"

"""Turns the raw columns of a table into float32 numbers; everything in it is fitted on train alone.

A number is centred and scaled in float64, so that it keeps its information in float32; a gap is
filled with the median of train, and a column of ones and zeros says where gaps were. A category is
a one for its word among the frequent words of train; the rare ones share a place. What train never
had is all zeros. A date is its seconds as a number, and points on the circles of year, week and day
where they vary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.raw_rows import RawRows, Words, input_names

RARE = 5
"""A word that fewer training rows have shares a place with the other rare ones."""
MOST_WORDS = 100
"""So many words of a column get a place of their own, the most frequent first."""
DAY = 86_400.0
WEEK, YEAR = 7 * DAY, 365.2425 * DAY
CIRCLES = {"year": YEAR, "week": WEEK, "day": DAY}
"""Period of each cyclic part of a date, in seconds."""


@dataclass(frozen=True)
class NumberColumn:
    """How a column of numbers, booleans or dates is encoded.

    Attributes:
        column: The column.
        fill: What a gap becomes: the median of train.
        center: Mean of train, gaps filled.
        scale: Deviation of train, gaps filled; 1 where train does not vary.
        circles: Keys of :data:`CIRCLES`, of a date.
    """

    column: RawColumn
    fill: float
    center: float
    scale: float
    circles: tuple[str, ...] = ()


@dataclass(frozen=True)
class CategoryColumn:
    """How a column of words is encoded.

    Attributes:
        column: The column.
        words: Words with a place of their own, the empty one for a missing value among them.
        pools_rare: Whether all other words share a place; otherwise they are all zeros.
    """

    column: RawColumn
    words: tuple[str, ...]
    pools_rare: bool


@dataclass(frozen=True)
class TableEncoding:
    """The encoding of a table, in plain values.

    The numbers come in this order: a number per column of ``numbers``; their indicators of gaps;
    sine and cosine of their circles; then per column of ``categories`` the place that rare words
    share, where there is one, and a place per word.

    Attributes:
        numbers: The columns of numbers, booleans and dates.
        categories: The columns of words.
    """

    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]

    @property
    def columns(self) -> tuple[RawColumn, ...]:
        """The columns that an exported model takes."""
        columns = [entry.column for entry in self.numbers]
        return (*columns, *(entry.column for entry in self.categories))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example."""
        extra = sum(entry.column.gaps + 2 * len(entry.circles) for entry in self.numbers)
        places = sum(len(entry.words) + entry.pools_rare for entry in self.categories)
        return (len(self.numbers) + extra + places,)

    def apply(self, inputs: RawRows) -> np.ndarray:
        """Returns the encoded rows, float32 ``[num_rows, *input_shape]``."""
        encoded = np.zeros((len(inputs), *self.input_shape), dtype=np.float32)
        place = len(self.numbers)
        indicators, circles = [], []
        for number, entry in enumerate(self.numbers):
            values: np.ndarray = inputs.columns[entry.column.name]  # type: ignore[assignment]
            gaps = np.isnan(values)
            filled = np.where(gaps, entry.fill, values)
            encoded[:, number] = (filled - entry.center) / entry.scale
            if entry.column.gaps:
                indicators.append(gaps)
            for circle in entry.circles:
                angle = on_circle(filled, CIRCLES[circle])
                circles += [np.sin(angle), np.cos(angle)]
        for values in (*indicators, *circles):
            encoded[:, place] = values
            place += 1
        for category in self.categories:
            words: Words = inputs.columns[category.column.name]  # type: ignore[assignment]
            other = place if category.pools_rare else -1
            first = place + category.pools_rare
            position = {word: first + i for i, word in enumerate(category.words)}
            places = np.array([position.get(word, other) for word in words.distinct])
            target = places[words.codes]
            known = target >= 0
            encoded[np.flatnonzero(known), target[known]] = 1.0
            place += category.pools_rare + len(category.words)
        return encoded

    def as_model_inputs(self, inputs: RawRows) -> dict[str, np.ndarray]:
        """Returns rows as an exported model takes them: an array ``[num_rows, 1]`` per input."""
        names = input_names([column.name for column in self.columns])
        found = {}
        for name, column in zip(names, self.columns, strict=True):
            values = inputs.columns[column.name]
            array = values.as_strings() if isinstance(values, Words) else values
            found[name] = array[:, None]
        return found


def on_circle(seconds: np.ndarray, period: float) -> np.ndarray:
    """Returns the angle of points in time on a circle, in radians.

    Args:
        seconds: float64, since 1970.
        period: Seconds of a whole turn.
    """
    turns = seconds / period
    return (turns - np.floor(turns)) * (2.0 * np.pi)


def fit(columns: Sequence[RawColumn], train: RawRows) -> TableEncoding:
    """Returns the encoding of these columns, fitted on the rows of the training part.

    Args:
        columns: The features: kinds ``number``, ``boolean``, ``date`` and ``category``.
        train: The rows to fit on, and nothing else.
    """
    numbers, categories = [], []
    for column in columns:
        values = train.columns[column.name]
        if isinstance(values, Words):
            categories.append(_fit_category(column, values))
        else:
            numbers.append(_fit_number(column, values))
    return TableEncoding(tuple(numbers), tuple(categories))


def _fit_number(column: RawColumn, values: np.ndarray) -> NumberColumn:
    gaps = np.isnan(values)
    present = values[~gaps]
    fill = float(np.median(present)) if len(present) else 0.0
    filled = np.where(gaps, fill, values)
    center = float(filled.mean())
    spread = float(np.sqrt(np.mean((filled - center) ** 2)))
    # What is left of a constant column is rounding.
    varies = spread > 1e-12 * abs(center)
    circles: tuple[str, ...] = ()
    if column.kind == "date":
        circles = tuple(name for name, period in CIRCLES.items() if _turns(present, period))
    column = replace(column, gaps=bool(gaps.any()))
    return NumberColumn(column, fill, center, spread if varies else 1.0, circles)


def _turns(seconds: np.ndarray, period: float) -> bool:
    """Whether points in time lie at different places of a circle, and on more than one turn."""
    if not len(seconds):
        return False
    angle = on_circle(seconds, period)
    return bool(np.ptp(seconds) > 1.5 * period and np.ptp(angle) > 1e-6)


def _fit_category(column: RawColumn, words: Words) -> CategoryColumn:
    counts = np.bincount(words.codes, minlength=len(words.distinct))
    seen = {word: int(count) for word, count in zip(words.distinct, counts, strict=True) if count}
    frequent = sorted((word for word in seen if seen[word] >= RARE), key=lambda w: (-seen[w], w))
    kept = set(frequent[:MOST_WORDS])
    if "" in seen:
        kept.add("")
    column = replace(column, gaps="" in seen)
    return CategoryColumn(column, tuple(sorted(kept)), bool(set(seen) - kept))

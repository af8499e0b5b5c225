"""Turns values as files and data frames hold them into the arrays that an exported model takes.

It is written beside every model that takes a table's columns by name (``tracking.models.served``),
so that MLflow serves what ``pipeline predict`` predicts: it needs numpy and pandas alone. Rows
count from 1 in messages.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

MISSING = frozenset(
    (
        "",
        "?",
        "-",
        "--",
        ".",
        "na",
        "n/a",
        "#n/a",
        "#na",
        "nan",
        "-nan",
        "null",
        "none",
        "<na>",
        "nat",
    )
)
"""What stands for a missing value in a feature, in small letters and without blanks around it."""
BOOLEANS = {"true": 1.0, "false": 0.0}
LARGEST = 1e150
"""Of a number: its square is still one in float64."""
_WITH_COMMA = re.compile(
    r"[-+]?(([1-9]\d{0,2}(\.\d{3})+|\d+)(,\d*)?|,\d+)(e[-+]?\d+)?", re.ASCII | re.IGNORECASE
)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_CLOCK = re.compile(r"\d\d:\d\d(:\d\d(\.\d+)?)?", re.ASCII)
_MOMENT = re.compile(rf"\d{{4}}-\d\d-\d\d[ T]{_CLOCK.pattern}(Z|[-+]\d\d(:?\d\d)?)?", re.ASCII)
EXACT = 2.0**53
"""From here on float64 does not hold every whole number."""
TIMES = ("%H:%M:%S", "%H:%M")


class ColumnError(ValueError):
    """A value that a column's type does not take; the message says which row, and what to do."""


def means_missing(value: Any) -> bool:
    """Whether a value of a feature stands for a missing one."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return _is_gap(value)


def _is_gap(value: Any) -> bool:
    return not isinstance(value, str) and (
        value is None or value is pd.NA or value is pd.NaT or bool(value != value)
    )


def numbers(values: pd.Series, decimal: str = "") -> np.ndarray:
    """Returns a column of numbers or booleans, float64 ``[n]``, NaN where they are missing.

    Args:
        values: Numbers, booleans or texts.
        decimal: ``,`` where texts have a decimal comma, and points between thousands if any.

    Raises:
        ColumnError: One is no number, or not finite.
    """
    read = _number_with_comma if decimal == "," else _number
    if values.dtype.kind in "biuf" and isinstance(values.dtype, np.dtype):
        found = values.to_numpy().astype(np.float64)
    else:
        codes, distinct = _distinct(values)
        found = np.array([*map(read, distinct), np.nan])[codes]
        if (wrong := np.isnan(found) & (codes >= 0) & ~_missing(distinct)[codes]).any():
            row = int(np.argmax(wrong))
            kind = "number with a decimal comma" if decimal == "," else "number"
            raise ColumnError(f"holds {_shown(values.iloc[row])} in row {row + 1}, no {kind}")
    if (wrong := np.abs(found) > LARGEST).any():
        row = int(np.argmax(wrong))
        raise ColumnError(
            f"holds {found[row]:g} in row {row + 1}, which is infinite or beyond 1e150"
        )
    return found


def seconds(values: pd.Series, form: str) -> np.ndarray:
    """Returns a column of dates in seconds since 1970 (UTC), float64 ``[n]``, NaN for missing ones.

    Args:
        values: Dates, times or texts; a text without a time zone means UTC.
        form: How texts write them, as ``strftime`` does; ISO 8601 is read besides.

    Raises:
        ColumnError: One is no date.
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return _since_1970(pd.to_datetime(values, utc=True))
    codes, distinct = _distinct(values)
    missing = _missing(distinct)
    texts = pd.Series(
        [
            None if gap else _date_text(value)
            for gap, value in zip(missing[:-1], distinct, strict=True)
        ],
        dtype=object,
    )
    found = np.full(len(texts), np.nan)
    for tried in (form, "ISO8601", *(TIMES if form in TIMES else ())):
        left = np.isnan(found) & ~missing[:-1]
        if tried and left.any():
            parsed = pd.to_datetime(texts[left], format=tried, errors="coerce", utc=True)
            found[left] = _since_1970(parsed)
    whole = np.append(found, np.nan)[codes]
    if (wrong := np.isnan(whole) & ~missing[codes]).any():
        row = int(np.argmax(wrong))
        raise ColumnError(
            f"holds {_shown(values.iloc[row])} in row {row + 1}; expected dates as"
            f" {form or 'ISO 8601'} writes them"
        )
    return whole


def words(values: pd.Series, form: str = "") -> tuple[np.ndarray, list[str]]:
    """Returns a column of words: each row's position in the distinct ones, and these, sorted.

    Args:
        values: Texts, numbers, booleans or dates.
        form: ``number`` where the words are numbers: ``1``, ``1.0`` and ``01`` are one word then.

    Returns:
        int32 ``[n]``, and the distinct words without blanks around them; the empty one stands for
        a missing value.

    Raises:
        ColumnError: One is of a type that does not say how its word is written.
    """
    codes, distinct = _distinct(values)
    for place, value in enumerate(distinct):
        if not means_missing(value) and (why := _no_word(value, form)):
            row = int(np.argmax(codes == place)) + 1
            raise ColumnError(
                f"holds {_shown(value)} in row {row}, {why}; give the words as texts, as they are"
                " written in the data (pandas: dtype=str)"
            )
    said = ["" if means_missing(value) else _word(value, form) for value in distinct] + [""]
    unique, positions = np.unique(np.array(said, dtype=object), return_inverse=True)
    used, positions = np.unique(positions[codes], return_inverse=True)
    return positions.astype(np.int32), [str(unique[place]) for place in used]


def texts(values: pd.Series) -> np.ndarray:
    """Returns a column of texts as they are, an object array of ``str``, ``[n]``; a gap is empty.

    Raises:
        ColumnError: One is no text.
    """
    held = np.array(["" if _is_gap(value) else value for value in values], dtype=object)
    for row, value in enumerate(held):
        if not isinstance(value, str):
            raise ColumnError(f"holds {_shown(value)} in row {row + 1}, no text")
    return held


def model_input(kind: str, form: str, values: pd.Series) -> np.ndarray:
    """Returns a column as an exported model takes it: float64, or ``str`` objects, ``[n, 1]``.

    Args:
        kind: ``number``, ``boolean``, ``date``, ``category`` or ``text``.
        form: How the data write it.
        values: The column.

    Raises:
        ColumnError: A value does not fit.
    """
    if kind == "date":
        return seconds(values, form)[:, None]
    if kind in ("number", "boolean"):
        found = numbers(values, form)
        if kind == "boolean" and (wrong := ~(np.isnan(found) | (found == 0) | (found == 1))).any():
            row = int(np.argmax(wrong))
            raise ColumnError(f"holds {found[row]:g} in row {row + 1}, no boolean")
        return found[:, None]
    if kind == "text":
        return texts(values)[:, None]
    codes, distinct = words(values, form)
    return np.array(distinct, dtype=object)[codes][:, None]


def model_inputs(
    columns: Sequence[Mapping[str, str]], frame: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Returns what an exported model takes of a data frame, by the names of the model's inputs.

    Args:
        columns: Per column its ``name`` in the frame, its ``kind`` and ``form``, and the ``input``
            that it is for.
        frame: Rows in any order of columns; others are left alone.

    Raises:
        ColumnError: Columns are missing, or hold values that do not fit; all of them are named.
    """
    missing = [column["name"] for column in columns if column["name"] not in frame.columns]
    if missing:
        raise ColumnError(f"the model's columns {missing} are missing")
    found, wrong = {}, []
    for column in columns:
        try:
            found[column["input"]] = model_input(
                column["kind"], column.get("form", ""), frame[column["name"]]
            )
        except ColumnError as error:
            wrong.append(f"column '{column['name']}' {error}")
    if wrong:
        raise ColumnError("; ".join(wrong))
    return found


def _distinct(values: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Returns each row's position in the distinct values, -1 for a missing one, and these."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy(), list(values.cat.categories)
    try:
        codes, distinct = pd.factorize(values, use_na_sentinel=True)
    except TypeError as error:  # lists and dictionaries
        raise ColumnError(f"holds {_shown(values.iloc[0])}, no single value") from error
    return codes, list(distinct)


def _missing(distinct: Sequence[Any]) -> np.ndarray:
    """Returns which values stand for a missing one, bool ``[n + 1]``; the last place is True."""
    return np.array([*map(means_missing, distinct), True])


def _number(value: Any) -> float:
    if means_missing(value):
        return np.nan
    text = str(value).strip()
    try:
        # Python reads 1_000 and other digits than ours as numbers.
        return float(text) if text.isascii() and "_" not in text else np.nan
    except ValueError:
        return BOOLEANS.get(text.lower(), np.nan)


def _number_with_comma(value: Any) -> float:
    if not isinstance(value, str) or means_missing(value):
        return _number(value)
    text = value.strip()
    if not _WITH_COMMA.fullmatch(text):
        return BOOLEANS.get(text.lower(), np.nan)
    return float(text.replace(".", "").replace(",", "."))


def _word(value: Any, form: str) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, datetime.datetime):
        return _moment(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str) and form != "number":
        return _plain_word(value.replace("\0", "").strip())
    return _number_word(value)


def _no_word(value: Any, form: str) -> str:
    """Returns why a value does not say how its word is written; nothing where it does."""
    boolean = isinstance(value, bool | np.bool_)
    if form == "number":
        if boolean:
            return "a truth value where training had numbers"
        large = isinstance(value, float) and abs(value) >= EXACT
        return "a float that may have lost digits" if large else ""
    if boolean or isinstance(value, str | datetime.date | datetime.time):
        return ""
    return "while training had words, which may be written in several ways ('7', '007', '7.0')"


def _plain_word(text: str) -> str:
    """Returns a word in Unicode's form NFC, as readers of files write a truth value or a time.

    Whether they take it for one depends on the other rows, and what a row is must not.
    """
    if text.lower() in BOOLEANS:
        return text.lower()
    try:
        if _MOMENT.fullmatch(text):
            return _moment(datetime.datetime.fromisoformat(text))
        if _CLOCK.fullmatch(text):
            return datetime.time.fromisoformat(text).isoformat()
    except ValueError:
        return text
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _moment(value: datetime.datetime) -> str:
    """Returns a moment in UTC; one at midnight is a day, because data frames make no difference."""
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value.date().isoformat() if value.time() == datetime.time() else value.isoformat()


def _number_word(value: Any) -> str:
    number, text = _number(value), str(value).strip()
    if np.isnan(number) or text.lower() in BOOLEANS:
        return text.lower() if text.lower() in BOOLEANS else text
    if _WHOLE.fullmatch(text):
        return str(int(text))  # float64 makes one of neighbours beyond 2^53
    return str(int(number)) if number.is_integer() and abs(number) < 2**63 else repr(number)


def _date_text(value: Any) -> str | None:
    """Returns a date as text; a number is none, because nothing says what it counts."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return None


def _since_1970(dates: pd.Series) -> np.ndarray:
    elapsed = dates - pd.Timestamp(0, tz="UTC")
    return elapsed.dt.total_seconds().to_numpy(dtype=np.float64)


def _shown(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return shown if len(shown) <= 40 else f"{shown[:40]}..."

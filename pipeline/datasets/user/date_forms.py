"""Says how the texts of a column write dates, and finds dates that are not all written in one way.

A form is what ``strftime`` takes. Where one text may be read in several forms, all rows decide;
what they leave open is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pipeline.datasets.formats import raw_values
from pipeline.datasets.formats.raw_values import ColumnError, means_missing

ISO = "ISO8601"
TWO_DIGITS = "%y"
"""In the form of a date whose year has two digits: 69 to 99 are 1969 to 1999, as in POSIX."""
CENTURY = "years of two digits: 69 to 99 are 1969 to 1999, others 2000 to 2068: {}"
_DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%B-%Y", "%d %b %y", "%d-%b-%y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
)
_EITHER = (
    *(("%d/%m/%Y", "%m/%d/%Y"), ("%d-%m-%Y", "%m-%d-%Y")),
    *(("%d/%m/%y", "%m/%d/%y", "%y/%m/%d"), ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d")),
)
_MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%B %Y", "%b-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMS: tuple[tuple[str, ...], ...] = (
    (ISO,),
    *((day + clock,) for day in _DAYS for clock in _CLOCKS),
    *(tuple(one + clock for one in forms) for forms in _EITHER for clock in _CLOCKS),
    *((month,) for month in _MONTHS),
    *((time,) for time in raw_values.TIMES),
)
"""How dates are written; several in one place read many dates in all of these ways."""
FIRST_TEXTS = 50
"""So many distinct texts decide which forms of dates are tried on all."""
MOSTLY_DATES = 0.9
"""From this share of dates on, what else stands among texts is a slip."""
_NAME = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[.]?"
_CLOCK = r"([T ,]+\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[ap]\.?m\.?)?)?( ?(Z|UTC|GMT|[-+]\d\d:?\d\d))?"
_LIKE_NUMBERS = re.compile(rf"(\w+,? )?(\d+)([-/.])(\d\d?)\3(\d+){_CLOCK}", re.A | re.I)
_LIKE_NAMES = re.compile(
    rf"(\w+,? )?(\d\d?(st|nd|rd|th|[.])?[ /-]*{_NAME}[ ,/-]+(\d{{4}}|\d\d)"
    rf"|{_NAME}[ -]\d\d?(st|nd|rd|th)?,? +\d{{4}}|{_NAME}[ ,/-]+\d{{4}}){_CLOCK}",
    re.A | re.I,
)
_VERSION = re.compile(r"\d\.\d+\.\d+|\d+\.\d\.\d+", re.ASCII)
"""``1.2.10`` is no day of 2010."""


def date_form(series: Any) -> str | None:
    """Returns how texts write dates, in one form of :data:`FORMS`; None where they are none.

    Args:
        series: A column of texts.

    Raises:
        ColumnError: Day and month cannot be told apart, or the dates are not all in one form.
    """
    first = list(itertools.islice((t for t in series if not means_missing(t)), FIRST_TEXTS))
    if not first or not any(re.search(r"\d", str(text)) for text in first):
        return None
    for forms in FORMS:
        fitting = [form for form in forms if _is_date(first[0], form)]
        if fitting and (fitting := [form for form in fitting if _are_dates(first, form)]):
            present = _present(series)
            fitting = [form for form in fitting if _are_dates(present, form)]
        if len(fitting) > 1:
            raise ColumnError(
                f"holds dates such as '{first[0]}', whose day and month cannot be told apart;"
                " write them as 2024-12-31"
            )
        if fitting:
            return fitting[0]
    _check_no_dates(series, first)
    return None


def looks_like_a_date(text: str) -> bool:
    """Whether a person would read a text as a date, in whatever form."""
    if _LIKE_NAMES.fullmatch(text):
        return True
    match = _LIKE_NUMBERS.fullmatch(text)
    if match is None or _VERSION.match(text):
        return False
    return any(_is_day(*fields) for fields in _readings(match[2], match[4], match[5]))


def _readings(first: str, second: str, third: str) -> Iterator[tuple[int, int]]:
    """Yields month and day as three numbers may mean them."""
    one, two, three = int(first), int(second), int(third)
    if len(first) in (2, 4) and len(third) <= 2:
        yield two, three
    if len(third) in (2, 4) and len(first) <= 2:
        yield from ((two, one), (one, two))


def _is_day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _check_no_dates(series: Any, first: Sequence[Any]) -> None:
    """Checks that texts that are no dates of one form are no dates of several.

    Raises:
        ColumnError: They are, all or most of them.
    """
    if 2 * sum(looks_like_a_date(str(text).strip()) for text in first) < len(first):
        return
    like = {text: looks_like_a_date(text) for text in _present(series)}
    rows = [
        (row, str(value).strip()) for row, value in enumerate(series, 1) if not means_missing(value)
    ]
    others = [(row, text) for row, text in rows if not like[text]]
    if len(others) > (1 - MOSTLY_DATES) * len(rows):
        return
    words = " (--categorical makes words of all)"
    if others:
        row, text = others[0]
        raise ColumnError(f"holds text among dates, first '{text[:40]}' in row {row}{words}")
    row, text = rows[0]
    forms = [form for some in FORMS for form in some if _is_date(text, form)]
    for other, shown in rows:
        if forms and not any(_is_date(shown, form) for form in forms):
            raise ColumnError(
                f"holds dates in several forms, such as '{text[:40]}' in row {row} and"
                f" '{shown[:40]}' in row {other}; write all as 2024-12-31{words}"
            )
    raise ColumnError(
        f"holds dates such as '{text[:40]}', which cannot all be read; write them as"
        f" 2024-12-31{words}"
    )


def _present(series: Any) -> list[str]:
    return [str(value).strip() for value in series.unique() if not means_missing(value)]


def _is_date(text: str, form: str) -> bool:
    """Whether Python reads a text as a date, which is faster than pandas for a single one."""
    text = str(text).strip()
    if "%d.%m.%y" in form and _VERSION.match(text):
        return False
    try:
        if form == ISO:
            datetime.fromisoformat(text)
        else:
            datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _are_dates(texts: Sequence[str], form: str) -> bool:
    import pandas as pd

    if "%d.%m.%y" in form and any(_VERSION.match(str(text).strip()) for text in texts):
        return False
    parsed = pd.to_datetime(pd.Series(texts, dtype=object), format=form, errors="coerce", utc=True)
    return bool(parsed.notna().all())

"""Reads the columns of a table that say how it is split: groups, an order or given parts.

``--group``, ``--order-by`` and ``--split`` name one each. These columns are no features: a group's
name would let a network recognise the group, and a time or part says nothing of a new example.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.raw_values import ColumnError
from pipeline.datasets.formats.table import Table
from pipeline.datasets.splits import PARTS
from pipeline.datasets.user.column_types import typed_column
from pipeline.datasets.user.date_forms import CENTURY, TWO_DIGITS
from pipeline.datasets.user.labels import differing_in_case, plain_text
from pipeline.errors import DatasetError, closest, listed
from pipeline.records import DataOptions

LEAST_GROUPS = 5
"""Fewer groups than this cannot make three parts of which each stands for anything."""
WORDS = dict.fromkeys(("train", "training"), 0)
WORDS |= dict.fromkeys(("validation", "val", "valid", "dev"), 1)
WORDS |= dict.fromkeys(("test", "testing"), 2)
"""What --split may say -> place in ``splits.PARTS``."""
_SUBJECTS = re.compile(
    "(patient|subject|person|participant|individual|user|customer|client|student|donor|speaker|"
    "author|household|family|session|animal|mouse|device|sensor|machine|group)s?"
)
_NUMBERED = re.compile("id|no|nr|num|number|code|key|index|name")
LEAST_SUSPECTED = 10
"""A column with fewer different values is a category rather than a name of groups."""
MOST_SUSPECTED = 0.8
"""From a larger share of different values on, hardly any rows belong together."""


@dataclass(frozen=True, eq=False)
class SplitColumns:
    """What a table says about its split.

    Attributes:
        names: Columns that are used for it and are no features.
        groups: int64 ``[num_rows]`` or None, as in ``RawData``.
        order: Sortable ``[num_rows]`` or None.
        given_parts: int8 ``[num_rows]`` or None.
        findings: What was found in them.
    """

    names: tuple[str, ...] = ()
    groups: np.ndarray | None = None
    order: np.ndarray | None = None
    given_parts: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()


def split_columns(table: Table, label: str, options: DataOptions) -> SplitColumns:
    """Returns what the columns that the options name say about the split.

    Args:
        table: The table.
        label: Column of the classes.
        options: Name at most one of ``group``, ``order_by`` and ``split``.

    Raises:
        DatasetError: A column is not there, is used twice, misses a value or cannot be used.
    """
    asked = {
        "--group": options.group,
        "--order-by": options.order_by,
        "--split": options.split,
    }
    given = {option: name for option, name in asked.items() if name is not None}
    if len(given) > 1:
        raise DatasetError(
            f"{table.path}: {' and '.join(given)} each say how rows are split; give one of them."
        )
    for option, name in given.items():
        _check(table, name, option, label, options)
        where = f"{table.path}: column '{name}' ({option})"
        values = _values(table, name, where)
        if option == "--group":
            return SplitColumns(
                (name,), groups=_groups(values, where), findings=_alike_groups(table, name, values)
            )
        if option == "--order-by":
            order, findings = _order(table, name, values, where)
            return SplitColumns((name,), order=order, findings=findings)
        return SplitColumns((name,), given_parts=_parts(values, where))
    return SplitColumns()


def check_test_classes(
    found: SplitColumns, labels: np.ndarray, class_names: Sequence[str], path: Path
) -> None:
    """Checks that rows of a given test part have only classes that others have, too.

    Raises:
        DatasetError: A class is only there: nothing could learn it.
    """
    if found.given_parts is None:
        return
    in_test = found.given_parts == PARTS.index("test")
    only = sorted(set(labels[in_test].tolist()) - set(labels[~in_test].tolist()))
    if only:
        names = ", ".join(f"'{class_names[number]}'" for number in only[:8])
        raise DatasetError(
            f"{path}: the rows of --split '{found.names[0]}' for the test have the classes {names},"
            " which no other row has; expected classes that can be learned. Drop those rows, or"
            " split otherwise."
        )


def suspected_groups(table: Table, names: Sequence[str]) -> list[Finding]:
    """Returns a finding per column that looks by its name as if it said which rows belong together.

    Args:
        table: The table.
        names: The columns that are features.
    """
    found = []
    for name in filter(_names_subjects, names):
        column = table.columns[list(table.names).index(name)]
        distinct, rows = len(column.unique()), len(column)
        if LEAST_SUSPECTED <= distinct <= MOST_SUSPECTED * rows:
            found.append(
                Finding(
                    "possible_groups",
                    f"'{name}' has {distinct:,} values in {rows:,} rows: if rows of one value"
                    " belong together, results on new ones are worse than shown unless"
                    f" --group '{name}' keeps them in one part",
                )
            )
    return found


def _names_subjects(name: str) -> bool:
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    joined = re.fullmatch(r"([a-z]+?)(id|no|nr)", words[0]) if len(words) == 1 else None
    subject = [joined[1]] if joined else [w for w in words if not _NUMBERED.fullmatch(w)]
    return len(subject) == 1 and _SUBJECTS.fullmatch(subject[0]) is not None


def _check(table: Table, name: str, option: str, label: str, options: DataOptions) -> None:
    if name not in table.names:
        raise DatasetError(
            f"{table.path} has no column '{name}' ({option}){closest(name, table.names)}; the"
            f" columns are {', '.join(table.names[:20])}."
        )
    if name == label or name in options.drop:
        other = "the label" if name == label else "--drop"
        raise DatasetError(
            f"{table.path}: '{name}' is both {other} and {option}; expected a column of its own."
        )


def _values(table: Table, name: str, where: str) -> list[Any]:
    """Returns the values of a column, in Python's own types, text without blanks around it."""
    column = table.columns[list(table.names).index(name)]
    values = [plain_text(one) if isinstance(one, str) else one for one in column.to_pylist()]
    for row, value in enumerate(values, 1):
        if value is None or value == "" or value != value:
            raise DatasetError(
                f"{where} misses a value in row {row}; expected one in every row. Fill in or drop"
                " those rows."
            )
    return values


def _groups(values: list[Any], where: str) -> np.ndarray:
    try:
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    except TypeError as error:  # lists and other values without a hash
        raise DatasetError(
            f"{where} holds {type(values[0]).__name__} values; expected text, numbers or dates."
        ) from error
    if len(numbers) == len(values):
        raise DatasetError(
            f"{where} has another value in every row, so that no rows belong together; leave the"
            " option out, or name the column that repeats."
        )
    if len(numbers) < LEAST_GROUPS:
        raise DatasetError(
            f"{where} has {len(numbers)} different values; expected at least {LEAST_GROUPS} groups,"
            " so that train, validation and test each get some. Use a finer column."
        )
    return np.array([numbers[value] for value in values], dtype=np.int64)


def _alike_groups(table: Table, name: str, values: list[Any]) -> tuple[Finding, ...]:
    """Names groups that are probably one, and those that are taken for one."""
    names = [str(value) for value in dict.fromkeys(values)]
    held = table.columns[table.names.index(name)].unique().to_pylist()
    found = []
    if alike := differing_in_case(names):
        found.append(
            f"groups of '{name}' that differ in capitals, blanks or zeros only stay apart:"
            f" {listed(alike)}"
        )
    if len(held) > len(names):
        merged = [str(one) for one in held if isinstance(one, str) and plain_text(one) != one]
        found.append(
            f"groups of '{name}' that differ in blanks around them only are one: {listed(merged)}"
        )
    return tuple(Finding("case", told) for told in found)


def _order(
    table: Table, name: str, values: list[Any], where: str
) -> tuple[np.ndarray, tuple[Finding, ...]]:
    if all(isinstance(value, str) for value in values):
        return _written_order(table, name, values, where)
    if all(isinstance(value, int | float | Decimal) for value in values):
        numbers = [float(value) if isinstance(value, Decimal) else value for value in values]
        return np.array(numbers), ()
    if all(isinstance(value, date) for value in values):
        return np.array([np.datetime64(_without_zone(value)) for value in values]), ()
    kinds = sorted({type(value).__name__ for value in values})
    raise DatasetError(f"{where} holds {', '.join(kinds)} values; expected numbers or dates.")


def _written_order(
    table: Table, name: str, values: list[Any], where: str
) -> tuple[np.ndarray, tuple[Finding, ...]]:
    """Returns numbers or dates that are written as text."""
    try:
        found = typed_column(table, name, categorical=False, keep_ids=True)
    except ColumnError as error:
        raise DatasetError(
            f"{where} {error}; expected numbers, or dates such as 2024-05-31."
        ) from None
    if found.kind not in ("number", "date") or found.values is None or found.gaps:
        raise DatasetError(
            f"{where} holds texts such as '{values[0][:40]}'; expected numbers, or dates such as"
            " 2024-05-31 or 2024-05-31T12:00:00."
        )
    numbers = np.asarray(found.values)
    if found.kind == "number":
        return numbers, ()
    told = (Finding("century", CENTURY.format(f"'{name}'")),) if TWO_DIGITS in found.form else ()
    return numbers.astype("M8[s]"), told


def _without_zone(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _parts(values: list[Any], where: str) -> np.ndarray:
    words = [str(value).lower() for value in values]
    for row, word in enumerate(words, 1):
        if word not in WORDS:
            raise DatasetError(
                f"{where} holds '{word[:40]}' in row {row}{closest(word, WORDS)}; expected train,"
                " validation (or val, valid, dev) or test."
            )
    parts = np.array([WORDS[word] for word in words], dtype=np.int8)
    if not (parts == PARTS.index("train")).any():
        raise DatasetError(f"{where} has no row of 'train'; expected rows to learn from.")
    return parts

"""Turns what a search and a report are asked for into their options, checked.

In: values by the names of the keyword arguments of ``pipeline.api``, which are those of the
command's options, too: one way for both. Out: ``SearchOptions`` and ``ReportOptions``. The options
of the command have types that refuse a wrong value before; what Python hands over has none.

To add an option: a field of ``SearchOptions`` or ``ReportOptions``, an argument of the function in
``pipeline.api``, and an option in ``pipeline.cli_options``; its checks, if any, are here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipeline.datasets.given import path_of
from pipeline.errors import InputError, closest
from pipeline.option_values import (
    AUTO,
    COLORS,
    DECIMAL_MARKS,
    DEVICES,
    LARGEST_SEED,
    PRECISIONS,
    STORAGE_VARIABLE,
    parse_duration,
    parse_size,
)
from pipeline.records import DataOptions
from pipeline.redaction import remember
from pipeline.report.options import ReportOptions
from pipeline.search.options import SearchOptions
from pipeline.search.space.strategies import PRUNERS, SAMPLERS
from pipeline.selection.records import DELIVERIES

COUNTS = (
    "trials", "max_failures", "epochs", "train_examples", "cpus_per_worker", "cohort_size", "seeds",
    "finalists",
)  # fmt: skip
LEAST = {"finalists": 2}
"""The smallest count where that is not 1."""
CHOICES = {
    "device": DEVICES,
    "precision": PRECISIONS,
    "sampler": SAMPLERS,
    "pruner": PRUNERS,
    "decimal": DECIMAL_MARKS,
    "color": COLORS,
    "deliver": DELIVERIES,
}
LISTS = ("drop", "categorical", "ignore")


def search_options(given: Mapping[str, Any]) -> SearchOptions:
    """Returns what a search was asked for.

    Args:
        given: Arguments of ``api.search`` by their names; further ones, such as a report's, are
            left alone. None means the default.

    Raises:
        InputError: A value cannot be used.
    """
    from pipeline.doctor import backend_chosen

    backend_chosen()
    _check(given)
    named = os.environ.get(STORAGE_VARIABLE)
    storage = given["storage"] or (None if named == AUTO else named or None)
    if storage is not None:
        remember(str(storage))
    data = _fields_of(DataOptions, given)
    data |= {name: tuple(data[name]) for name in LISTS if name in data}
    if "image_size" in data:
        data["image_size"] = _size(data["image_size"])
    space = given.get("search_space")
    converted = {
        "dataset": path_of(given["dataset"], given["study"]),
        "search_space": None if space is None else str(space),
        "timeout_seconds": seconds_of("timeout", given["timeout"]),
        "trial_timeout_seconds": seconds_of("trial_timeout", given["trial_timeout"]),
        "data_dir": data_dir_of(given["data_dir"]),
        "data": DataOptions(**data),
        "storage": storage,
        **workers_of(given["workers"]),
    }
    return SearchOptions(**_fields_of(SearchOptions, given) | converted)


def report_options(given: Mapping[str, Any]) -> ReportOptions:
    """Returns what a report was asked for.

    Args:
        given: Arguments of ``api.report`` by their names, the rule's constants as ``constants``;
            further ones, such as a search's, are left alone. None means the default.

    Raises:
        InputError: A value cannot be used.
    """
    _check(given)
    dataset = given["dataset"]
    converted = {
        "dataset": None if dataset is None else str(dataset),
        "trial_timeout": seconds_of("trial_timeout", given["trial_timeout"]),
        "data_dir": data_dir_of(given["data_dir"]),
        **workers_of(given["workers"]),
    }
    return ReportOptions(**_fields_of(ReportOptions, given) | converted)


def _fields_of(options: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is given of the fields of a class, by their names."""
    names = {field.name for field in fields(options)} & given.keys()
    return {name: given[name] for name in names if given[name] is not None}


def _check(given: Mapping[str, Any]) -> None:
    for name in given.keys() & set(COUNTS):
        count_of(name, given[name], LEAST.get(name, 1))
    if "seed" in given and not 0 <= _whole("seed", given["seed"]) <= LARGEST_SEED:
        raise InputError(f"seed={given['seed']}: expected a number from 0 to {LARGEST_SEED}")
    share_of("gpus_per_worker", given["gpus_per_worker"])
    for name in CHOICES.keys() & given.keys():
        choice_of(name, given[name])
    for name in given.keys() & set(LISTS):
        if isinstance(given[name], str):
            raise InputError(f"{name}={given[name]!r} is a text; expected a list of names")


def choice_of(name: str, value: str | None) -> str | None:
    """Returns one of the values of :data:`CHOICES` as it is.

    Raises:
        InputError: It is none of them.
    """
    choices = CHOICES[name]
    if value is not None and value not in choices:
        near = closest(str(value), choices)
        raise InputError(f"{name}={value!r}: expected one of {', '.join(choices)}{near}")
    return value


def count_of(name: str, value: int | None, least: int = 1) -> int | None:
    """Returns a count as it is.

    Raises:
        InputError: It is no whole number, or too small.
    """
    if value is not None and _whole(name, value) < least:
        raise InputError(f"{name}={value}: expected at least {least}")
    return value


def workers_of(value: int | str | None) -> dict[str, Any]:
    """Returns the fields of options that a number of workers means, or ``auto``; None is 1.

    Raises:
        InputError: It is neither.
    """
    if isinstance(value, str) and value != AUTO:
        near = closest(value, [AUTO])
        raise InputError(f"workers={value!r}: expected a whole number or '{AUTO}'{near}")
    if isinstance(value, str) or value is None:
        return {"workers": 1, "auto_workers": value is not None}
    count_of("workers", value)
    return {"workers": int(value), "auto_workers": False}


def share_of(name: str, value: float | None) -> float | None:
    """Returns a number of GPUs as it is.

    Raises:
        InputError: It is neither 0 nor a number that Ray can divide a GPU by.
    """
    fits = not isinstance(value, bool | str) and (value == 0 or 1e-4 <= (value or 0) < math.inf)
    if value is not None and not fits:
        raise InputError(f"{name}={value!r}: expected 0 or a number from 0.0001 on, such as 0.25")
    return value


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InputError(f"{name}={value!r}: expected a whole number")
    return int(value)


def data_dir_of(given: str | Path | None) -> Path | None:
    """Returns the folder with official files: as given, else as PIPELINE_DATA_DIR says.

    Raises:
        InputError: It is no folder.
    """
    found = given if given is not None else os.environ.get("PIPELINE_DATA_DIR") or None
    if found is None:
        return None
    if not Path(found).is_dir():
        raise InputError(f"data_dir: {found} is no folder")
    return Path(found)


def seconds_of(name: str, value: str | float | None) -> float | None:
    """Returns the seconds of a duration, a number or a text such as ``30m``.

    Raises:
        InputError: It is none.
    """
    if value is None:
        return None
    if isinstance(value, float) and 0 < value < math.inf:
        return value  # as the command's options give it, and not every text of one is a duration
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error


def _size(value: str | tuple[int, int] | None) -> tuple[int, int] | None:
    if value is None or not isinstance(value, str):
        return value
    try:
        return parse_size(value)
    except ValueError as error:
        raise InputError(f"image_size: {error}") from error

"""Turns the arguments of ``pipeline.api`` into the options of a search and a report, checked.

The command's options have types that refuse a wrong value; what Python hands over has none.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipeline.datasets.given import path_of
from pipeline.errors import InputError, closest
from pipeline.option_values import (
    COLORS,
    DECIMAL_MARKS,
    DEVICES,
    LARGEST_SEED,
    PRECISIONS,
    parse_duration,
    parse_size,
)
from pipeline.records import DataOptions
from pipeline.search.options import SearchOptions
from pipeline.search.space.strategies import PRUNERS, SAMPLERS
from pipeline.selection.records import DELIVERIES

COUNTS = (
    "trials", "max_failures", "epochs", "train_examples", "workers", "cpus_per_worker",
    "cohort_size",
)  # fmt: skip
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
    """Returns what ``api.search`` was asked for, by the names of its arguments.

    Raises:
        InputError: A value cannot be used.
    """
    from pipeline.doctor import backend_chosen

    backend_chosen()
    _check(given)
    names = {field.name for field in fields(DataOptions)}
    data = {name: given[name] for name in names}
    data |= {name: tuple(given[name]) for name in LISTS}
    data["image_size"] = _size(given["image_size"])
    space = given["search_space"]
    converted = {"dataset", "timeout", "trial_timeout", "data_dir", "search_space", "progress"}
    plain = {
        name: value
        for name, value in given.items()
        if name not in names | converted and value is not None
    }
    return SearchOptions(
        dataset=path_of(given["dataset"], given["study"]),
        search_space=None if space is None else str(space),
        timeout_seconds=seconds_of("timeout", given["timeout"]),
        trial_timeout_seconds=seconds_of("trial_timeout", given["trial_timeout"]),
        data_dir=data_dir_of(given["data_dir"]),
        data=DataOptions(**data),
        **plain,
    )


def _check(given: Mapping[str, Any]) -> None:
    for name in COUNTS:
        count_of(name, given[name])
    if not 0 <= _whole("seed", given["seed"]) <= LARGEST_SEED:
        raise InputError(f"seed={given['seed']}: expected a number from 0 to {LARGEST_SEED}")
    share_of("gpus_per_worker", given["gpus_per_worker"])
    for name in CHOICES.keys() & given.keys():
        choice_of(name, given[name])
    for name in LISTS:
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


def share_of(name: str, value: float | None) -> float | None:
    """Returns a number of GPUs as it is.

    Raises:
        InputError: It is no number from 0 on.
    """
    if value is not None and (isinstance(value, bool | str) or not value >= 0):
        raise InputError(f"{name}={value!r}: expected a number from 0 on, such as 0.25")
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

"""Loads datasets by name or path: a specification in, a split and sealed dataset out.

:func:`load` is the door; ``registry`` says how to add a dataset.

What it exports is imported when it is asked for: the report on a finished study reads no dataset,
and the readers bring SciPy and pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.datasets.dataset import (
        Columns,
        Dataset,
        Part,
        RawData,
        SealedTest,
        SelectionLock,
        Source,
    )
    from pipeline.datasets.pictures import sample_grid
    from pipeline.datasets.registry import (
        availability,
        catalogue,
        is_path,
        load,
        names,
        reload,
        spec_of,
    )
    from pipeline.datasets.summary import (
        DatasetSummary,
        as_lines,
        column_lines,
        data_lines,
        data_notes,
        describe,
        finding_lines,
        summarize,
    )
    from pipeline.datasets.user.paths import name_of

__all__ = [
    "Columns",
    "Dataset",
    "DatasetSummary",
    "Part",
    "RawData",
    "SealedTest",
    "SelectionLock",
    "Source",
    "as_lines",
    "availability",
    "catalogue",
    "column_lines",
    "data_lines",
    "data_notes",
    "describe",
    "finding_lines",
    "is_path",
    "load",
    "name_of",
    "names",
    "reload",
    "sample_grid",
    "spec_of",
    "summarize",
]

_HOMES = {
    "pipeline.datasets.dataset": (
        "Columns",
        "Dataset",
        "Part",
        "RawData",
        "SealedTest",
        "SelectionLock",
        "Source",
    ),
    "pipeline.datasets.pictures": ("sample_grid",),
    "pipeline.datasets.registry": (
        "availability",
        "catalogue",
        "is_path",
        "load",
        "names",
        "reload",
        "spec_of",
    ),
    "pipeline.datasets.summary": (
        "DatasetSummary",
        "as_lines",
        "column_lines",
        "data_lines",
        "data_notes",
        "describe",
        "finding_lines",
        "summarize",
    ),
    "pipeline.datasets.user.paths": ("name_of",),
}
"""Module -> what is exported of it."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

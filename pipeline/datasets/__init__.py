"""Loads datasets by name or path: a specification in, a split and sealed dataset out.

:func:`load` is the door; ``registry`` says how to add a dataset.
"""

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

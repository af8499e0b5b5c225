"""Checks before a search what its report will need, so that hours of training are not for nothing.

In: the options of a report, and the store of the search. Out: nothing, or the error that the report
would have ended with.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.report.options import ReportOptions, settings_for

if TYPE_CHECKING:
    from pipeline.tracking import Tracking


def check_options(options: ReportOptions) -> None:
    """Checks the rule and its constants.

    Raises:
        RuleError: They cannot be used.
    """
    settings_for(options, None)


def check_folder(folder: Path | None) -> None:
    """Makes the folder for the pages, None for the working folder, and writes there for a moment.

    Raises:
        InputError: It cannot be written.
    """
    where = "the working folder" if folder is None else f"--output {folder}"
    place = folder or Path()
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        raise InputError(
            f"{where}: the report cannot be written there ({error.strerror}); give another folder "
            "with --output"
        ) from error


def check_store(store: Tracking, dataset: str) -> None:
    """Checks that the winner can be registered in MLflow.

    Raises:
        TrackingError: It cannot; the message says why.
    """
    store.check_registry(dataset)

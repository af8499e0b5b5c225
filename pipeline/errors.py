"""Names what can go wrong, and which exit code it becomes.

::

    PipelineError                 exit 1   the command cannot go on
     ├── InputError               exit 2   what the user gave cannot be used
     │    ├── SearchSpaceError             a search space file: file, line, key
     │    ├── DatasetError                 a dataset: unknown, missing, broken, unusable
     │    ├── StudyChangedError            a study exists with another definition
     │    ├── DeviceError                  the device asked for is not there
     │    └── RuleError                    a selection rule: unknown, refused, bad constant
     ├── OwnModelError            exit 1   the user's model file failed: file, line, reason
     ├── StoppedError             exit 130 the user stopped it; it can be continued
     ├── TrackingError            exit 1   MLflow cannot be reached or refuses
     │    └── AddressError   exit 2   its address cannot be used
     ├── SpoolError               exit 1   what waits for MLflow cannot be kept on disk
     ├── StorageError             exit 1   Optuna's storage cannot be read or written
     ├── SplitMismatchError       exit 1   trials of different splits were to be compared
     └── SealedTestError          exit 1   the test part was touched before the selection was locked
"""

import difflib
from collections.abc import Iterable, Sequence


class PipelineError(Exception):
    """The command cannot go on. The message says what happened, where, and how to fix it."""

    exit_code = 1


class InputError(PipelineError):
    """What the user gave cannot be used."""

    exit_code = 2


class SearchSpaceError(InputError):
    """A search space file is not valid; the message names file, line and key."""


class DatasetError(InputError):
    """A dataset is unknown, missing, broken or unusable."""


class StudyChangedError(InputError):
    """The study exists already, with another definition."""


class DeviceError(InputError):
    """The device that was asked for is not there."""


class RuleError(InputError):
    """A selection rule is unknown, refused, or has a bad constant."""


class OwnModelError(PipelineError):
    """The user's own function, or the model it made, cannot be used; the message says where."""


class StoppedError(PipelineError):
    """The user stopped the command before its end; what ended is kept and it can be continued."""

    exit_code = 130


class TrackingError(PipelineError):
    """MLflow cannot be reached, or refuses."""


class AddressError(TrackingError):
    """The address of MLflow's store cannot be used."""

    exit_code = 2


class SpoolError(PipelineError):
    """What ended cannot be kept on disk until MLflow takes it."""


class StorageError(PipelineError):
    """Optuna's storage cannot be read or written any more."""


class SplitMismatchError(PipelineError):
    """Trials measured on different splits cannot be compared."""


class SealedTestError(PipelineError):
    """The test part was touched before the selection was locked."""


INDEX_NAMES = {
    "psycopg2": "psycopg2-binary",
    "psycopg": "psycopg[binary]",
    "MySQLdb": "mysqlclient",
    "cx_Oracle": "cx-Oracle",
}
"""Module of a database -> its package on the index, where that has another name."""
EXTRAS = {"psycopg": "least-overfit[postgresql]"}
"""Module of a database -> the extra of this project that brings it."""


def missing_package(module: str) -> str:
    """Returns that a database needs a package, by the name under which pip finds it."""
    package = INDEX_NAMES.get(module, module)
    asked = EXTRAS.get(module, package)
    return f"needs the Python package '{package}': install it, `pip install '{asked}'`"


def printable(text: str) -> str:
    """Returns the text on one line that a terminal shows as it is; other signs become ``?``."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def closest(name: str, valid: Iterable[str]) -> str:
    """Returns ``" (did you mean 'x'?)"`` for the closest of the valid names, or an empty string."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" (did you mean '{matches[0]}'?)" if matches else ""


def listed(names: Sequence[str]) -> str:
    """Returns names in quotes, separated by commas; the first ones of many."""
    return first_ones([f"'{name}'" for name in names])


def first_ones(entries: Sequence[str], separator: str = ", ", most: int = 20) -> str:
    """Returns entries as one text; the first ones of many, and how many there are."""
    shown = separator.join(entries[:most])
    return shown if len(entries) <= most else f"{shown}{separator}... ({len(entries)})"

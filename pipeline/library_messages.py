"""Says how much a user is told, and whether by libraries, too: only where ``--verbose`` was given.

It is an environment variable, so that workers, which are processes of their own, know it as well.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from pipeline.environment import variables_set

QUIET, NORMAL, VERBOSE = -1, 0, 1
"""How much is told: warnings alone, what happens as well, details as well."""
VARIABLE = "PIPELINE_LIBRARY_MESSAGES"
_SHOWN = {VARIABLE: "1", "PYTHONWARNINGS": "default"}


def are_shown() -> bool:
    """Whether what TensorFlow, Optuna and MLflow say of themselves is to be seen."""
    return bool(os.environ.get(VARIABLE))


def shown() -> AbstractContextManager[None]:
    """Returns a context that shows them, here and in processes that start meanwhile."""
    return variables_set(_SHOWN)

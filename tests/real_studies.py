"""Marks of tests that search, report or predict for real, with networks and MLflow."""

import pytest

REAL_STUDY = [
    pytest.mark.slow,
    # MLflow 3.17 still uses what SQLAlchemy 2.1 deprecates; Keras's variables predate numpy 2.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]

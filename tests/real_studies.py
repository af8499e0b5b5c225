"""Marks of tests that search, report or predict for real, with networks and MLflow."""

import pytest

REAL_STUDY = [
    pytest.mark.slow,
    # Keras hands its variables to numpy in a way that numpy 2 deprecates.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning"),
]

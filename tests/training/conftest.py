"""Small datasets, loaded once, and one trainer for each: networks compile once per structure."""

import os

import pytest

# Before the first import of Keras, as training.backend does: tests are not alone on a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def pytest_configure(config):
    # Keras 3.15's Variable.__array__ has no `copy` yet; Keras's own get_weights() and save() meet
    # it under JAX. Ours read variables with np.asarray, which does not.
    config.addinivalue_line(
        "filterwarnings",
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras",
    )


@pytest.fixture(scope="session")
def trainer_for():
    """Returns a trainer for a dataset, always the same one: ``trainer_for(digits())``."""
    from pipeline.training.cohort import CohortTrainer

    opened = {}

    def open_for(dataset, device="cpu"):
        if id(dataset) not in opened:
            opened[id(dataset)] = CohortTrainer(dataset)
        opened[id(dataset)].device = device
        return opened[id(dataset)]

    return open_for

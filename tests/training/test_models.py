"""Families by their files; a new one is one more file, and it trains."""

import importlib
import sys

import numpy as np
import pytest
from training_samples import SETTINGS, SMALL, cohort_of, cross_entropies, digits, run

from pipeline.errors import InputError
from pipeline.training import export, models
from pipeline.training.cohort import CohortTrainer

FUNNEL = '''
"""Funnel: each dense layer has half the units of the one before."""

from pipeline.training.architecture import Dense, Flatten
from pipeline.training.techniques import regularized_layers

HYPERPARAMETERS = ("depth", "width")


def layers(config, input_shape):
    """Returns the hidden layers."""
    stack = [Flatten()]
    for index in range(config.depth):
        dense = Dense(config.width // 2**index)
        stack += regularized_layers(dense, config, normalized=config.batch_norm)
    return tuple(stack)
'''


def test_the_families_are_the_files():
    assert models.names() == ("cnn", "mlp")
    assert models.family("mlp") is importlib.import_module("pipeline.training.models.mlp").layers


def test_an_unknown_family_names_the_closest():
    with pytest.raises(InputError) as caught:
        models.family("mpl")
    assert str(caught.value) == "unknown model family 'mpl' (did you mean 'mlp'?); known: cnn, mlp"


@pytest.fixture
def funnel(tmp_path, monkeypatch):
    (tmp_path / "funnel.py").write_text(FUNNEL)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield "funnel"
    sys.modules.pop("pipeline.training.models.funnel", None)
    vars(models).pop("funnel", None)


def test_a_family_added_as_one_file_builds_trains_and_is_exported(funnel):
    assert models.names() == ("cnn", "funnel", "mlp")
    base = {"family": funnel, "depth": 3, "learning_rate": 1e-2}
    configs = [
        type(SMALL)(**base, **technique, dropout_rate=rate)
        for technique, rate in ((SETTINGS["none"], 0.0), (SETTINGS["all"], 0.2))
    ]
    outcomes = run(CohortTrainer(digits()), cohort_of(*configs, epochs=4)).outcomes
    for config, outcome in zip(configs, outcomes, strict=True):
        assert outcome.state == "COMPLETE"
        assert outcome.measurement.num_parameters == 64 * 65 + 32 * 65 + 16 * 33 + 10 * 17
        assert outcome.curves["val_ce"][-1] < outcome.curves["val_ce"][0]
        model = export.restore(config, digits(), outcome.weights)
        expected = cross_entropies(model, digits().validation)
        np.testing.assert_allclose(outcome.validation.nll, expected, rtol=1e-4, atol=1e-5)

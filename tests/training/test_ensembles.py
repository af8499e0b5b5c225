"""Several trainings as one ordinary model, the mean of their probabilities: every kind of data."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from training_samples import SMALL, SMALL_CNN, cohort_of, digits, newswires, pictures, raw_inputs

from pipeline import datasets
from pipeline.records import DataOptions, DatasetSpec
from pipeline.selection.averages import average, mean_log
from pipeline.training import export
from pipeline.training.raw_inputs import outputs

NETS = {
    "mlp, standardized": (digits, replace(SMALL, dropout_rate=0.2)),
    "cnn, batch norm": (pictures, replace(SMALL_CNN, batch_size=16, batch_norm=True)),
    "words": (newswires, replace(SMALL, standardize=False)),
}
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras reads words with TensorFlow only"
)


def trained(trainer, config):
    """Returns what comes of a config with three seeds."""
    cohort = cohort_of(config, config, config, keep_probabilities=True)
    return trainer(cohort, lambda report: None, lambda: ())


@pytest.fixture(scope="module", params=NETS)
def ensemble(request, trainer_for):
    """Returns a dataset, the outcomes of three seeds, their config and the model of all three."""
    load, config = NETS[request.param]
    outcomes = trained(trainer_for(load()), config)
    model = export.delivered(config, load(), [outcome.weights for outcome in outcomes])
    return load(), outcomes, config, model


def test_its_probabilities_are_the_mean_of_its_branches_after_saving_it(ensemble, tmp_path):
    dataset, outcomes, config, model = ensemble
    inputs = raw_inputs(dataset.validation)
    alone = [
        export.delivered(config, dataset, [one.weights]).predict(inputs, verbose=0)
        for one in outcomes
    ]
    assert max(np.abs(a - b).max() for a in alone for b in alone) > 1e-2
    np.testing.assert_allclose(
        model.predict(inputs, verbose=0), np.mean(alone, axis=0), atol=1e-6, rtol=0
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(inputs, verbose=0), np.mean(alone, axis=0), atol=1e-6, rtol=0
    )
    assert '"module": "pipeline' not in json.dumps(model.get_config())
    ce, accuracy = loaded.evaluate(inputs, dataset.validation.labels, verbose=0)
    mean = average([one.probabilities for one in outcomes])
    assert ce == pytest.approx(mean.validation.nll.mean(), abs=1e-4)
    assert accuracy == pytest.approx(mean.validation.correct.mean(), abs=1e-6)


def test_what_is_judged_is_what_the_model_says(ensemble):
    """The mean of the probabilities that the trainings kept, without any model."""
    dataset, outcomes, _, model = ensemble
    kept = [one.probabilities for one in outcomes]
    found = model.predict(raw_inputs(dataset.validation), verbose=0)
    np.testing.assert_allclose(np.exp(mean_log([one.validation for one in kept])), found, atol=1e-5)
    measured = dataset.train.take(dataset.measured)
    found = model.predict(raw_inputs(measured), verbose=0)
    np.testing.assert_allclose(np.exp(mean_log([one.train for one in kept])), found, atol=1e-5)
    for one in outcomes:
        own = average([one.probabilities])
        np.testing.assert_allclose(own.validation.nll, one.validation.nll, atol=1e-5, rtol=1e-5)
        assert own.train.nll.mean() == pytest.approx(one.measurement.train_ce, abs=1e-5)
        assert own.num_train == len(dataset.train)


def test_it_has_as_many_parameters_as_its_branches_and_one_preprocessing(ensemble):
    _, outcomes, _, model = ensemble
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert count == sum(one.measurement.num_parameters for one in outcomes)
    shared = [layer for layer in model.layers if "normalization" in layer.name.lower()]
    assert len(shared) <= 1


def table(folder):
    rng = np.random.default_rng(0)
    lines = ["size,colour,label"]
    for number in range(240):
        label = number % 3
        size = "" if number % 17 == 0 else f"{rng.normal(label, 0.5):.3f}"
        lines.append(f"{size},{('red', 'green', 'blue')[(label + (number % 5 == 0)) % 3]},s{label}")
    (folder / "table.csv").write_text("\n".join(lines))
    return DatasetSpec(str(folder / "table.csv"))


def texts(folder):
    lines = ["text,label"]
    for number in range(240):
        words = [f"{'abc'[number % 3]}{(number * step) % 7}" for step in range(1, 6)]
        lines.append(f"{' '.join(words)} the end,t{number % 3}")
    (folder / "texts.csv").write_text("\n".join(lines))
    return DatasetSpec(str(folder / "texts.csv"), options=DataOptions(text="text"))


@needs_tensorflow
@pytest.mark.parametrize("make", [table, texts])
def test_raw_values_by_name_go_through_one_encoding(make, trainer_for, tmp_path):
    dataset = datasets.load(make(tmp_path))
    config = replace(SMALL, standardize=dataset.kind != "multi_hot")
    outcomes = trained(trainer_for(dataset), config)
    model = export.delivered(config, dataset, [one.weights for one in outcomes])
    inputs = dataset.encoding.as_model_inputs(dataset.raw_validation)
    expected = np.exp(mean_log([one.probabilities.validation for one in outcomes]))
    np.testing.assert_allclose(outputs(model, inputs, 64), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    alone = [
        outputs(export.delivered(config, dataset, [one.weights]), inputs, 64) for one in outcomes
    ]
    mean = np.mean(alone, axis=0)
    np.testing.assert_allclose(outputs(loaded, inputs, 64), mean, atol=1e-6, rtol=0)

"""A Keras model of the user's own trains, is measured, kept and exported as a family of ours."""

import subprocess
import sys
from functools import cache

import keras
import numpy as np
import pytest
from own_models import RESIDUAL, TEMPLATE, TRANSFORMER, known
from training_samples import (
    as_array,
    cohort_of,
    cross_entropies,
    digits,
    newswires,
    pictures,
    raw_inputs,
    run,
    same_numbers,
)

from pipeline import datasets
from pipeline.datasets.preprocessing import assemble
from pipeline.records import DatasetSpec
from pipeline.training import export
from pipeline.training.own.making import made
from pipeline.training.own.trainer import OwnTrainer


@cache
def sequences():
    """Rows of 9 of 20 token ids; the class is which of two ids comes first: order matters."""
    rng = np.random.RandomState(0)
    inputs = rng.randint(3, 20, (160, 9))
    labels = (np.arange(160) % 2).astype(np.int32)
    places = np.sort(np.stack([rng.permutation(9)[:2] for _ in labels]), axis=1)
    rows = np.arange(160)
    inputs[rows, places[:, 0]] = 1 + labels
    inputs[rows, places[:, 1]] = 2 - labels
    raw = datasets.RawData("features", ("a", "b"), inputs.astype(np.float32), labels)
    return assemble("sequences", raw, DatasetSpec("sequences"))


COMMON = {"learning_rate": 0.01, "batch_size": 32}
KINDS = {
    "template": (TEMPLATE, digits, {"my_width": 12, "my_rate": 0.2, "my_l2": 1e-3}),
    "residual": (
        RESIDUAL,
        pictures,
        {"my_filters": 4, "my_blocks": 1, "my_rate": 0.1, "my_l2": 1e-3, "input_noise": 0.1},
    ),
    "transformer": (
        TRANSFORMER,
        sequences,
        {"my_width": 8, "my_rate": 0.1, "standardize": False, "label_smoothing": 0.1},
    ),
    "words": (TEMPLATE, newswires, {"my_width": 6, "my_rate": 0.0, "my_l2": 0.0}),
}


@pytest.fixture(scope="module", params=KINDS)
def trained(request, tmp_path_factory):
    """A dataset, a config, what training it gave, and the trainer."""
    text, data, values = KINDS[request.param]
    with known(tmp_path_factory.mktemp("own"), text, **COMMON, **values) as config:
        trainer = OwnTrainer(data())
        cohort = cohort_of(config, keep_probabilities=True)
        yield data(), config, run(trainer, cohort), (trainer, cohort)


def test_what_is_exported_says_what_was_measured(trained, tmp_path):
    data, config, ran, _ = trained
    (outcome,) = ran.outcomes
    model = export.delivered(config, data, [outcome.weights])
    np.testing.assert_allclose(cross_entropies(model, data.validation), outcome.validation.nll,
                               rtol=1e-5, atol=1e-5)  # fmt: skip
    train = cross_entropies(model, data.train.take(data.measured)).mean()
    assert outcome.measurement.train_ce == pytest.approx(train, rel=1e-5, abs=1e-6)
    logits = export.restore(config, data, outcome.weights, output="linear")
    found = as_array(logits(raw_inputs(data.validation)[:8], training=False))
    logs = np.log(as_array(keras.ops.softmax(found)))
    np.testing.assert_allclose(logs, outcome.probabilities.validation[:8], rtol=1e-4, atol=1e-5)


def test_an_ensemble_of_it_is_the_mean_and_loads_without_this_package_or_the_file(
    trained, tmp_path
):
    data, config, ran, (trainer, _) = trained
    other = run(trainer, cohort_of(config, seeds=[77])).outcomes[0]
    weights = [ran.outcomes[0].weights, other.weights]
    together = export.delivered(config, data, weights)
    inputs = raw_inputs(data.validation)
    alone = [as_array(export.delivered(config, data, [one])(inputs)) for one in weights]
    assert not np.allclose(alone[0], alone[1])
    found = as_array(together(inputs))
    np.testing.assert_allclose(found, np.mean(alone, axis=0), rtol=1e-5, atol=1e-6)
    together.save(tmp_path / "model.keras")
    np.save(tmp_path / "inputs.npy", inputs)
    code = ("import keras, numpy as np; m = keras.models.load_model('model.keras'); "
            "np.save('found.npy', np.asarray(m(np.load('inputs.npy'))))")  # fmt: skip
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True, timeout=300)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), found, rtol=1e-5, atol=1e-6)


def test_the_same_seed_trains_the_same_way_again(trained):
    _, _, ran, (trainer, cohort) = trained
    assert same_numbers(run(trainer, cohort).outcomes[0], ran.outcomes[0])


def test_size_and_penalty_are_those_of_the_model(trained):
    data, config, ran, _ = trained
    (outcome,) = ran.outcomes
    model, _ = made(config, data.input_shape, data.num_classes)
    model.set_weights(outcome.weights)
    assert outcome.measurement.num_parameters == model.count_params() - sum(
        int(np.prod(w.shape)) for w in model.non_trainable_weights
    )
    assert outcome.measurement.penalty == pytest.approx(float(sum(model.losses)), rel=1e-5)
    assert [report.epoch for report in ran.reports] == [1, 2, 3]


def test_it_learns_as_keras_trains_the_same_model(tmp_path):
    """Without chance (no dropout): the same batches through Keras's own ``fit`` and loss."""
    data = digits()
    values = {"my_width": 8, "my_rate": 0.0, "my_l2": 1e-2, "weight_decay": 0.01}
    with known(tmp_path, TEMPLATE, **COMMON, **values) as config:
        cohort = cohort_of(config, epochs=1)
        (outcome,) = run(OwnTrainer(data), cohort).outcomes
        model, _ = made(config, data.input_shape, data.num_classes, seed=cohort.trials[0].seed)
        model.compile(
            optimizer=keras.optimizers.Adam(0.01, weight_decay=0.01),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        order = np.random.default_rng([cohort.order_seed, 1]).permutation(len(data.train))
        order = order[: len(order) // 32 * 32]
        normalize = keras.Sequential(export.preprocessing(config, data))
        inputs = as_array(normalize(raw_inputs(data.train)[order]))
        model.fit(inputs, data.train.labels[order], batch_size=32, shuffle=False, verbose=0)
        for ours, keras_ones in zip(outcome.weights, model.get_weights(), strict=True):
            np.testing.assert_allclose(ours, keras_ones, rtol=1e-3, atol=1e-5)


def test_a_trial_is_pruned_and_stopped_early_as_ours(tmp_path):
    with known(tmp_path, TEMPLATE, **COMMON, my_width=4, my_rate=0.0, my_l2=0.0) as config:
        trainer = OwnTrainer(digits())
        (outcome,) = run(trainer, cohort_of(config), prune=lambda epoch: [0]).outcomes
        assert (outcome.state, len(outcome.curves["val_ce"])) == ("PRUNED", 1)
    with known(tmp_path, TEMPLATE, my_width=4, my_rate=0.0, my_l2=0.0, learning_rate=1e30,
               optimizer="sgd") as config:  # fmt: skip
        (outcome,) = run(trainer, cohort_of(config)).outcomes
        assert outcome.state == "FAIL" and outcome.cause.startswith("diverged: no finite")

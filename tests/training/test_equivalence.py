"""A cohort of K trials is K plain Keras models, trained by Keras's own ``fit``.

One cohort mixes every technique of the table and several learning rates; each trial is compared
with a ``keras.Sequential`` that has Keras's own counterpart of its techniques (each entry of the
table says which), the same optimizer, initial weights and order of examples. What draws random
numbers is compared where it is exact: off, beside trials in which it is on.
"""

from dataclasses import replace
from functools import cache
from itertools import cycle

import keras
import numpy as np
import pytest
from added_technique import MIN_NORM
from training_samples import (
    SETTINGS,
    SMALL,
    SMALL_CNN,
    cohort_of,
    digits,
    newswires,
    per_trial_weights,
    pictures,
    run,
    weights_of,
)

from pipeline.training import export, fit
from pipeline.training.cohort import CohortTrainer
from pipeline.training.device_data import balanced_weights
from pipeline.training.hyperparameters import ACTIVATIONS
from pipeline.training.optimizers import keras_optimizer
from pipeline.training.technique_forms import ExampleWeights, LossTerm
from pipeline.training.techniques import TECHNIQUES, acting, in_use

EPOCHS = 3
NAMES = tuple(SETTINGS)
RANDOM = tuple(name for name, entry in TECHNIQUES.items() if entry.random)
RELATIVE = 1e-4

# Keras's default rate for SGD; it would hardly move a weight in three short epochs at 1e-3.
SGD = {"optimizer": "sgd", "learning_rate": 1e-2}
RATES = {"adam": {"learning_rate_decay": 1e-2}, "rmsprop": {"optimizer": "rmsprop"}, "sgd": SGD}

STRUCTURES = {
    f"mlp-{'bn-' * batch_norm}{optimizer}": (digits, replace(SMALL, batch_norm=batch_norm, **rates))
    for batch_norm in (False, True)
    for optimizer, rates in RATES.items()
} | {
    f"cnn-{'pool-' * pooling}{'bn-' * batch_norm}{optimizer}": (
        pictures,
        replace(SMALL_CNN, pooling=pooling, batch_norm=batch_norm, batch_size=20, **rates),
    )
    for pooling in (False, True)
    for batch_norm in (False, True)
    for optimizer, rates in RATES.items()
}
STRUCTURES["mlp-words-rmsprop"] = (
    newswires,
    replace(SMALL, optimizer="rmsprop", standardize=False),
)

QUICK = {  # every technique, structure switch and optimizer at least once
    "mlp-adam": NAMES,
    "mlp-bn-rmsprop": ("l1_l2", "weight_decay"),
    "cnn-pool-sgd": ("l1", "max_norm", "label_smoothing"),
    "cnn-bn-adam": ("all",),
    "mlp-words-rmsprop": ("l2", "all"),
}
if keras.backend.backend() == "jax":
    # CI runs the slow ones with TensorFlow only: here a minute's worth of them, chosen so that
    # every family meets every optimizer, with and without batch norm and pooling.
    MORE = ("mlp-sgd", "mlp-rmsprop", "mlp-bn-adam", "mlp-bn-sgd", "mlp-bn-rmsprop")
    MORE += ("cnn-rmsprop", "cnn-bn-sgd", "cnn-pool-sgd", "cnn-pool-bn-rmsprop")
    QUICK |= {name: (*QUICK.get(name, ()), "all") for name in MORE}
CASES = [
    pytest.param(
        structure,
        technique,
        marks=[] if technique in QUICK.get(structure, ()) else pytest.mark.slow,
        id=f"{structure}-{technique}",
    )
    for structure in STRUCTURES
    for technique in NAMES
]


OTHERS = tuple(name for name in ACTIVATIONS if name != "relu")
STRUCTURES |= {
    f"{family}-{activation}": (load, replace(base, hidden_activation=activation))
    for family, load, base in (
        ("mlp", digits, SMALL),
        ("cnn", pictures, replace(SMALL_CNN, pooling=True, batch_norm=True, batch_size=20)),
    )
    for activation in OTHERS
}
QUICK_ACTIVATIONS = ("mlp-gelu", "cnn-tanh")


def dense(dataset):
    """Returns a multi-hot dataset as one of ordinary features, for a plain model to train on.

    Without column 0, the padding, which no example has: with JAX, Keras's own L1 moves its zeros.
    """
    if dataset.kind != "multi_hot":
        return dataset
    train, validation = (
        replace(part, inputs=part.inputs.toarray()[:, 1:])
        for part in (dataset.train, dataset.validation)
    )
    shape = (dataset.input_shape[0] - 1,)
    return replace(dataset, kind="features", input_shape=shape, train=train, validation=validation)


def without_padding(weights, dataset):
    """Returns a trial's weights as the plain model has them."""
    first, *others = weights
    if dataset.kind != "multi_hot":
        return [first, *others]
    assert not first[0].any()
    return [first[1:], *others]


SIZES = (
    (("depth", 1),),
    (("depth", 3), ("width", 11), ("batch_norm", True)),
    (("width", 7),),
    (("depth", 3),),
)
"""Networks that are padded to one of three layers of 16 units with batch norm."""


@cache
def trained(structure, names=NAMES, company=(), sizes=((),)):
    """Returns the cohort, the initial weights of its trials, the order, and what came of it."""
    load, base = STRUCTURES[structure]
    trainer = CohortTrainer(load())
    configs = [
        replace(
            base,
            **SETTINGS[name],
            **dict(size),
            learning_rate=base.learning_rate * factor,
            learning_rate_decay=base.learning_rate_decay * factor,
        )
        for name, factor, size in zip(names, cycle((1.0, 0.5, 1.5)), cycle(sizes), strict=False)
    ]
    configs += [replace(base, **TECHNIQUES[name].example) for name in company]
    cohort = cohort_of(*configs, epochs=EPOCHS)
    network = trainer.network(cohort)
    network.start(cohort.trials)
    initial = [per_trial_weights(network, k) for k in range(len(names))]
    order = [fit.order(network, cohort.order_seed, epoch) for epoch in range(1, EPOCHS + 1)]
    return cohort, initial, order, run(trainer, cohort).outcomes


def plain_model(config, dataset, weights):
    """Returns Keras's own model of a config, with its loss where a technique has one."""
    model = export.restore(config, dataset, weights, output="linear")
    for technique in acting(LossTerm, in_use([config])).values():
        loss = technique.form.keras(technique.number(config))
        model.compile(optimizer=keras_optimizer(config), loss=loss, jit_compile=False)
    return model


def class_weights(config, dataset):
    """Returns ``class_weight`` of Keras's ``fit``; None where no technique has one."""
    classes = balanced_weights(dataset.train.labels, dataset.num_classes)
    for technique in acting(ExampleWeights, in_use([config])).values():
        return technique.form.keras(technique.number(config), classes)
    return None


def keras_history(model, dataset, order, config):
    """Trains a plain model in the given order; returns plain ``val_ce`` and weights per epoch."""
    curve, weights = [], []
    labels = dataset.train.labels
    if isinstance(model.loss, keras.losses.CategoricalCrossentropy):
        labels = np.eye(dataset.num_classes, dtype=np.float32)[labels]
    for indices in order:
        model.fit(
            dataset.train.inputs[indices],
            labels[indices],
            batch_size=config.batch_size,
            class_weight=class_weights(config, dataset),
            shuffle=False,
            verbose=0,
        )
        logits = np.asarray(model(dataset.validation.inputs, training=False), dtype=np.float64)
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = shifted[np.arange(len(logits)), dataset.validation.labels]
        curve.append(float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - chosen)))
        weights.append([weight.copy() for weight in weights_of(model)])
    return curve, weights


def assert_is_plain_keras(structure, k, trial):
    """Compares trial k of what :func:`trained` returns with Keras's own model and ``fit``."""
    cohort, initial, order, outcomes = trial
    config, outcome = cohort.trials[k].config, outcomes[k]
    trained_on = STRUCTURES[structure][0]()
    dataset, start_weights = dense(trained_on), without_padding(initial[k], trained_on)
    model = plain_model(config, dataset, start_weights)

    curve, weights = keras_history(model, dataset, order, config)

    assert outcome.curves["val_ce"] == pytest.approx(curve, rel=RELATIVE)
    best = int(np.argmin(curve))
    assert outcome.measurement.best_epoch == best + 1
    final_weights = without_padding(outcome.weights, trained_on)
    # Of a weight near 0 no relative difference means anything: those count by the typical weight.
    every = np.concatenate([weight.ravel() for weight in weights[best]])
    floor = RELATIVE * float(np.sqrt(np.square(every).mean()))
    for ours, theirs, start in zip(final_weights, weights[best], start_weights, strict=True):
        # Adam divides a gradient near zero by its own size: how the processor rounds it shows in
        # single weights (on an EPYC one of 144 was off by 2e-4 with TensorFlow and five of 108 with
        # JAX, none on the Xeon before; on another one bias near 0 by 2e-4 of a typical weight).
        # So each weight counts to 1e-3, and all of a layer together to 1e-4.
        np.testing.assert_allclose(ours, theirs, rtol=10 * RELATIVE, atol=10 * floor)
        allowed = RELATIVE * np.linalg.norm(theirs) + floor * np.sqrt(theirs.size)
        assert np.linalg.norm(ours - theirs) <= allowed
        assert not np.allclose(ours, start, rtol=RELATIVE, atol=floor), "it was not trained at all"


@pytest.mark.parametrize(("structure", "technique"), CASES)
def test_a_trial_of_a_mixed_cohort_is_a_plain_keras_model(structure, technique):
    assert_is_plain_keras(structure, NAMES.index(technique), trained(structure))


@pytest.mark.parametrize("technique", NAMES)
@pytest.mark.parametrize("structure", ["mlp-adam", "mlp-words-rmsprop"])
def test_a_trial_of_a_cohort_of_many_sizes_is_a_plain_keras_model(structure, technique):
    trial = trained(structure, sizes=SIZES)
    assert_is_plain_keras(structure, NAMES.index(technique), trial)


@pytest.mark.parametrize(
    "structure",
    [
        pytest.param(name, marks=[] if name in QUICK_ACTIVATIONS else pytest.mark.slow)
        for name in (f"{family}-{activation}" for family in ("mlp", "cnn") for activation in OTHERS)
    ],
)
def test_every_activation_is_keras_own_in_networks_of_many_sizes_too(structure):
    sizes = SIZES if structure.startswith("mlp") else ((),)
    trial = trained(structure, ("none", "all", "max_norm", "l2"), sizes=sizes)
    config, outcome = trial[0].trials[0].config, trial[3][0]
    layers = export.restore(config, STRUCTURES[structure][0](), outcome.weights).layers
    used = [layer.activation.__name__ for layer in layers if hasattr(layer, "activation")]
    assert set(used[:-1]) == {config.hidden_activation}
    for k in range(4):
        assert_is_plain_keras(structure, k, trial)


@pytest.mark.parametrize("structure", ["mlp-adam", "cnn-pool-sgd"])
@pytest.mark.parametrize("technique", [name for name in NAMES if name != "none"])
def test_a_trial_alone_is_a_plain_keras_model(structure, technique):
    assert_is_plain_keras(structure, 0, trained(structure, (technique,)))


@pytest.mark.parametrize("structure", ["mlp-adam", "mlp-bn-rmsprop", "cnn-pool-sgd"])
def test_a_trial_beside_random_ones_is_a_plain_keras_model(structure):
    cohort = trained(structure, ("none", "all"), RANDOM)
    for k in range(2):
        assert_is_plain_keras(structure, k, cohort)


def test_a_technique_added_as_one_entry_is_keras_own(monkeypatch):
    monkeypatch.setitem(TECHNIQUES, "min_norm", MIN_NORM)
    monkeypatch.setitem(SETTINGS, "min_norm", dict(MIN_NORM.example))
    trial = trained("mlp-adam", ("min_norm", "l2", "none"))
    for k in range(3):
        assert_is_plain_keras("mlp-adam", k, trial)
    smallest = np.linalg.norm(trial[3][0].weights[0], axis=0).min()
    assert smallest == pytest.approx(1.5, rel=1e-4) or smallest > 1.5

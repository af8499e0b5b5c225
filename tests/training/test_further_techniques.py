"""Class weights, averaged weights, and pictures that are mirrored and moved: as Keras's own."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from training_samples import (
    SMALL,
    SMALL_CNN,
    as_array,
    cohort_of,
    cross_entropies,
    digits,
    newswires,
    per_trial_weights,
    pictures,
    run,
    weights_of,
)

from pipeline.errors import InputError
from pipeline.training import export, fit
from pipeline.training.added_loss import AddedLoss
from pipeline.training.device_data import balanced_weights
from pipeline.training.losses import cross_entropy
from pipeline.training.random_layers import StackedFlip, StackedShift
from pipeline.training.techniques import TECHNIQUES

WEIGH = TECHNIQUES["class_weight"].form
SMOOTH = TECHNIQUES["label_smoothing"].form


def test_balanced_weights_make_every_class_that_is_there_count_alike():
    weights = balanced_weights(np.array([0] * 6 + [2] * 2), 3)
    assert weights.tolist() == pytest.approx([8 / 12, 0.0, 2.0])
    assert balanced_weights(np.arange(4), 4).tolist() == [1.0] * 4


def test_class_weights_weigh_the_smoothed_loss_as_keras_does():
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 0, 0, 1, 2, 2], np.int32)
    logits = rng.normal(size=(8, 3, 3)).astype(np.float32)
    classes = balanced_weights(labels, 3)
    terms, weights = {"label_smoothing": SMOOTH.added}, {"class_weight": WEIGH.weights}
    layer = AddedLoss(3, terms, weights, classes)
    layer.numbers["label_smoothing"].assign([0.0, 0.2, 0.2])
    layer.numbers["class_weight"].assign([1.0, 1.0, 0.0])
    layer(logits, labels, training=True)
    plain = as_array(cross_entropy(labels, logits)).mean(axis=0).sum()
    (added,) = layer.losses
    expected = 0.0
    for k, (smoothing, share) in enumerate([(0.0, 1.0), (0.2, 1.0), (0.2, 0.0)]):
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        weight_of = WEIGH.keras(share, classes)
        sample_weight = np.array([weight_of[label] for label in labels])
        expected += float(loss(np.eye(3)[labels], logits[:, k], sample_weight=sample_weight))
    assert float(added) + plain == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("load", "base"),
    [(digits, SMALL), (digits, replace(SMALL, depth=1, batch_norm=True)), (pictures, SMALL_CNN)],
)
def test_averaged_weights_are_those_of_keras_use_ema(trainer_for, load, base):
    dataset, trainer = load(), trainer_for(load())
    averaged = base.from_dict(base.as_dict() | {"ema": 0.9})
    cohort = cohort_of(averaged, base, epochs=3)
    network = trainer.network(cohort)
    network.start(cohort.trials)
    start = per_trial_weights(network, 0)
    order = [fit.order(network, cohort.order_seed, epoch) for epoch in (1, 2, 3)]
    ours, plain = run(trainer, cohort).outcomes
    assert ours.measurement.best_epoch == plain.measurement.best_epoch == 3

    model = export.restore(averaged, dataset, start, output="linear")
    steps = np.concatenate(order)
    # One call of fit: Keras puts the averages in the weights' place at its end.
    model.fit(
        dataset.train.inputs[steps],
        dataset.train.labels[steps],
        batch_size=network.batch_size,
        shuffle=False,
        verbose=0,
    )
    trained = [w for w, v in zip(weights_of(model), model.weights, strict=False)]
    for mine, theirs in zip(ours.weights, trained, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    assert not np.allclose(ours.weights[0], plain.weights[0], rtol=1e-3)
    # What is measured is the average.
    losses = cross_entropies(export.restore(averaged, dataset, ours.weights), dataset.validation)
    assert losses.mean() == pytest.approx(ours.measurement.val_ce, rel=1e-4)


def test_a_trial_without_an_average_is_the_same_beside_one_with(trainer_for):
    trainer = trainer_for(digits())
    averaged = SMALL.from_dict(SMALL.as_dict() | {"ema": 0.9})
    alone = run(trainer, cohort_of(SMALL)).outcomes[0]
    beside = run(trainer, cohort_of(SMALL, averaged)).outcomes[0]
    assert beside.curves["val_ce"] == pytest.approx(alone.curves["val_ce"], rel=1e-6)


def test_a_picture_is_mirrored_half_of_the_time_where_that_is_on():
    inputs = np.arange(200 * 4 * 5 * 1, dtype=np.float32).reshape(200, 4, 5, 1)
    layer = StackedFlip(2, 7)
    layer.start(np.array([0.0, 1.0]), np.array([1, 2]))
    first, second = (as_array(layer(inputs, training=True)) for _ in range(2))
    assert np.array_equal(first[0], inputs)
    same = (first[1] == inputs).all(axis=(1, 2, 3))
    mirrored = (first[1] == inputs[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130
    assert not np.array_equal(first[1], second[1])
    assert np.array_equal(as_array(layer(inputs)), np.stack([inputs, inputs]))


def test_a_picture_is_moved_by_whole_pixels_up_to_its_share():
    inputs = np.random.default_rng(0).normal(size=(400, 8, 6, 2)).astype(np.float32)
    layer = StackedShift(3, 7)
    layer.start(np.array([0.0, 0.25, 0.5]), np.array([1, 2, 3]))
    moved = as_array(layer(inputs, training=True))
    assert np.array_equal(moved[0], inputs)

    def shifted(picture, down, right):
        rows, columns = np.arange(8) - down, np.arange(6) - right
        return picture[rows.clip(0, 7)][:, columns.clip(0, 5)]

    found = set()
    for before, after in zip(inputs, moved[1], strict=True):
        fits = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if np.array_equal(shifted(before, down, right), after)
        ]
        assert len(fits) == 1
        found.update(fits)
    assert len(found) == 25  # 2 of 8 rows; round(1.5) = 2 of 6 columns


@pytest.mark.parametrize("values", [{"flip": True}, {"shift": 0.2}, {"flip": True, "shift": 0.1}])
def test_pictures_are_changed_in_training_only_and_exported_as_keras_layers(trainer_for, values):
    dataset = pictures()
    config = SMALL_CNN.from_dict(SMALL_CNN.as_dict() | values)
    cohort = cohort_of(config, SMALL_CNN)
    changed, plain = run(trainer_for(dataset), cohort).outcomes
    assert changed.curves["running_ce"] != plain.curves["running_ce"]
    model = export.restore(config, dataset, changed.weights)
    names = {type(layer).__name__ for layer in model.layers}
    assert ("RandomFlip" in names, "RandomTranslation" in names) == (
        "flip" in values,
        "shift" in values,
    )
    losses = cross_entropies(model, dataset.validation)
    assert losses.mean() == pytest.approx(changed.measurement.val_ce, rel=1e-4)
    alone = run(trainer_for(dataset), cohort_of(config)).outcomes[0]
    assert changed.curves["val_ce"] == pytest.approx(alone.curves["val_ce"], rel=1e-5)


def test_words_cannot_be_mirrored(trainer_for):
    config = replace(SMALL, standardize=False)
    config = config.from_dict(config.as_dict() | {"flip": True})
    with pytest.raises(
        InputError, match="flip acts on inputs of the kind image, and these are mul"
    ):
        run(trainer_for(newswires()), cohort_of(config))

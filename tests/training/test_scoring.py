"""After each epoch a fixed part is scored where the whole costs too much; measured is the whole."""

from dataclasses import replace

import numpy as np
import pytest
from training_samples import SETTINGS, SMALL, cohort_of, digits, run, same_numbers

from pipeline.training.device_data import DeviceData
from pipeline.training.scoring import num_train_scored, validation_per_epoch

PART, WHOLE = 60, 359
CONFIGS = (
    replace(SMALL, learning_rate=3e-2),
    replace(SMALL, learning_rate=3e-2, dropout_rate=0.5),
    replace(SMALL, learning_rate=1e-2, **SETTINGS["max_norm"]),
)


@pytest.mark.parametrize(
    ("num_train", "num_validation", "part"),
    [
        (1_079, 359, None),  # digits
        (7_186, 1_796, None),  # reuters
        (40_000, 10_000, None),  # cifar10
        (50_000, 10_000, None),  # fashion_mnist
        (48_000, 12_000, None),  # mnist
        (300, 2_000, None),  # fewer would choose the epoch by chance
        (300, 2_001, 2_000),
        (2_000, 10_000, 2_000),  # cifar10 with --train-examples 2000
        (6_000, 12_000, 4_000),  # mnist with --train-examples 6000
        (12_000, 10_000, None),
        (11_999, 10_000, 9_999),
    ],
)
def test_the_part_is_the_whole_where_scoring_is_a_quarter_of_an_epoch(
    num_train, num_validation, part
):
    assert validation_per_epoch(num_train, num_validation) == part
    scored = part or num_validation
    scored += num_train_scored(num_train, scored)
    # A trained example costs about three forward passes, a scored one a single one.
    at_most_a_quarter = scored <= (scored + 3 * num_train) / 4
    assert at_most_a_quarter or (part or num_validation) <= 2_000


def test_the_train_curve_stands_on_as_many_examples_but_on_no_more_than_there_are():
    assert num_train_scored(40_000, 10_000) == 2_000
    assert num_train_scored(1_079, 359) == 359
    assert num_train_scored(300, 2_000) == 300


def test_the_part_is_stratified_and_the_same_wherever_the_data_are_loaded():
    dataset = digits()
    data, again = DeviceData(dataset), DeviceData(dataset)
    part = data.watched(PART)
    np.testing.assert_array_equal(part, again.watched(PART))
    assert len(set(part)) == PART and set(part) <= set(data.validation)
    counts = np.bincount(data.host_labels[part], minlength=10)
    shares = np.bincount(dataset.validation.labels) / WHOLE
    assert np.abs(counts - PART * shares).max() <= 1
    for count in (None, WHOLE, WHOLE + 1):
        np.testing.assert_array_equal(data.watched(count), data.validation)


@pytest.fixture(scope="module")
def watched(trainer_for):
    """Trials that saw a part of validation after each epoch."""
    cohort = cohort_of(*CONFIGS, epochs=12, patience=2, validation_per_epoch=PART)
    return run(trainer_for(digits()), cohort)


def test_curves_and_best_epoch_are_those_of_the_part(trainer_for, watched):
    data = trainer_for(digits()).data
    places = np.searchsorted(data.validation, data.watched(PART))
    for outcome in watched.outcomes:
        measured, curve = outcome.measurement, outcome.curves["val_ce"]
        assert measured.best_epoch == int(np.argmin(curve)) + 1
        assert measured.epochs == min(measured.best_epoch + 2, 12)
        # The restored weights, on the part: what the curve says of their epoch.
        nll = outcome.validation.nll
        assert nll[places].mean() == pytest.approx(min(curve), rel=1e-4)
        accuracy = outcome.curves["val_accuracy"][measured.best_epoch - 1]
        assert outcome.validation.correct[places].mean() == pytest.approx(accuracy)


def test_what_is_measured_is_the_whole(watched):
    for outcome in watched.outcomes:
        measured, curve = outcome.measurement, outcome.curves["val_ce"]
        assert len(outcome.validation.nll) == len(outcome.validation.correct) == WHOLE
        assert measured.val_ce == pytest.approx(float(outcome.validation.nll.mean()), rel=1e-6)
        assert measured.val_ce != pytest.approx(curve[measured.best_epoch - 1], rel=1e-3)
        assert measured.val_accuracy == pytest.approx(float(outcome.validation.correct.mean()))


def test_nothing_differs_where_the_part_is_the_whole(trainer_for):
    trainer = trainer_for(digits())
    plain = run(trainer, cohort_of(*CONFIGS, epochs=4))
    for part in (WHOLE, 2_000):
        same = run(trainer, cohort_of(*CONFIGS, epochs=4, validation_per_epoch=part))
        assert all(map(same_numbers, plain.outcomes, same.outcomes))


def test_training_is_the_same_and_only_the_choice_of_the_epoch_differs(trainer_for, watched):
    whole = run(trainer_for(digits()), cohort_of(*CONFIGS, epochs=12, patience=99))
    for ours, theirs in zip(watched.outcomes, whole.outcomes, strict=True):
        epochs = ours.measurement.epochs
        running = theirs.curves["running_ce"][:epochs]
        assert ours.curves["running_ce"] == pytest.approx(running, rel=1e-6)
        assert ours.curves["val_ce"] != pytest.approx(theirs.curves["val_ce"][:epochs], rel=1e-3)


def test_a_trial_alone_sees_the_part_that_it_sees_in_company(trainer_for, watched):
    for number, config in enumerate(CONFIGS):
        cohort = cohort_of(
            config, seeds=[number + 1], epochs=12, patience=2, validation_per_epoch=PART
        )
        (alone,) = run(trainer_for(digits()), cohort).outcomes
        together = watched.outcomes[number]
        assert alone.measurement.best_epoch == together.measurement.best_epoch
        for name, curve in alone.curves.items():
            assert curve == pytest.approx(together.curves[name], rel=1e-3, abs=1e-4), name
        assert alone.measurement.val_ce == pytest.approx(together.measurement.val_ce, rel=1e-3)


def test_the_whole_is_scored_once(trainer_for, monkeypatch):
    trainer, scored = trainer_for(digits()), []
    cohort = cohort_of(*CONFIGS, epochs=3, validation_per_epoch=PART)
    network = trainer.network(cohort)
    real = network.score

    def counting(indices):
        scored.append(int(np.isin(indices, trainer.data.validation).sum()))
        return real(indices)

    monkeypatch.setattr(network, "score", counting)
    run(trainer, cohort)
    assert scored == [PART, PART, PART, WHOLE]

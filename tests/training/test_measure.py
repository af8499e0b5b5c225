"""What is measured of a trial, recomputed with Keras's own ``predict`` and ``evaluate``."""

from dataclasses import replace

import numpy as np
import pytest
from training_samples import SMALL, cohort_of, cross_entropies, digits, raw_inputs, run

from pipeline.records import EpochReport, PerExample
from pipeline.training import export, fit, measure

STRONG_L2 = replace(SMALL, regularizer="l2", lambda_l2=1e-2)


def nobody():
    return ()


def measured_train(dataset):
    return dataset.train.take(dataset.measured)


@pytest.fixture(scope="module")
def l2_trial(trainer_for):
    cohort = cohort_of(SMALL, STRONG_L2, epochs=6)
    return run(trainer_for(digits()), cohort).outcomes[1]


def test_the_stored_gap_of_an_l2_model_is_the_recomputed_difference(l2_trial):
    dataset = digits()
    model = export.restore(STRONG_L2, dataset, l2_trial.weights)
    val_ce = cross_entropies(model, dataset.validation).mean()
    train_ce = cross_entropies(model, measured_train(dataset)).mean()
    measurement = l2_trial.measurement
    assert measurement.val_ce == pytest.approx(val_ce, abs=1e-5)
    assert measurement.train_ce == pytest.approx(train_ce, abs=1e-5)
    assert measurement.gap_ce == pytest.approx(val_ce - train_ce, abs=1e-5)
    # Keras's own val_loss is another number: the penalty is in it.
    loss, _ = model.evaluate(
        raw_inputs(dataset.validation), dataset.validation.labels, verbose=0, batch_size=359
    )
    assert loss == pytest.approx(val_ce + measurement.penalty, abs=1e-4)
    assert measurement.penalty > 0.1


def test_lambda_changes_keras_loss_but_not_the_measurement(trainer_for):
    dataset, trainer = digits(), trainer_for(digits())
    cohort = cohort_of(STRONG_L2, SMALL, epochs=2)
    tenfold = cohort_of(replace(STRONG_L2, lambda_l2=0.1), SMALL, epochs=2)
    network = trainer.network(cohort)
    progress = fit.train(network, cohort, lambda event: None, nobody)
    outcome, stronger = (trainer.outcomes(network, one, progress)[0] for one in (cohort, tenfold))

    part = (raw_inputs(dataset.validation), dataset.validation.labels)
    losses = [
        export.restore(one.trials[0].config, dataset, outcome.weights).evaluate(*part, verbose=0)
        for one in (cohort, tenfold)
    ]
    ours, theirs = outcome.measurement, stronger.measurement
    assert losses[1][0] - losses[0][0] == pytest.approx(9 * ours.penalty, rel=1e-4)
    assert theirs.penalty == pytest.approx(10 * ours.penalty)
    assert replace(theirs, penalty=0.0) == replace(ours, penalty=0.0)
    assert theirs.objective == ours.objective == ours.val_ce + 0.5 * max(0.0, ours.gap_ce)
    np.testing.assert_array_equal(outcome.validation.nll, stronger.validation.nll)


def test_lambda_changes_keras_val_loss_by_the_penalty_but_not_the_scores(trainer_for):
    trainer, cohort = trainer_for(digits()), cohort_of(STRONG_L2, SMALL, epochs=1)
    network = trainer.network(cohort)
    outcome = run(trainer, cohort).outcomes[0]
    stronger = replace(STRONG_L2, lambda_l2=10 * STRONG_L2.lambda_l2)
    part = digits().validation

    def val_loss(config):
        model = export.restore(config, digits(), outcome.weights)
        return model.evaluate(raw_inputs(part), part.labels, batch_size=359, verbose=0)

    losses = [val_loss(config) for config in (STRONG_L2, stronger)]
    first = [loss if isinstance(loss, float) else loss[0] for loss in losses]
    assert first[0] == pytest.approx(
        outcome.measurement.val_ce + outcome.measurement.penalty, rel=1e-3
    )
    assert first[1] - first[0] == pytest.approx(9 * outcome.measurement.penalty, rel=1e-3)
    scores = network.score(trainer.data.validation)
    network.model.optimizer.numbers["l2"].assign(np.ones(network.spec.trials, np.float32))
    np.testing.assert_array_equal(network.score(trainer.data.validation), scores)


def test_the_gap_with_dropout_is_two_predicts_and_not_keras_history(trainer_for):
    dataset, trainer = digits(), trainer_for(digits())
    config = replace(SMALL, dropout_rate=0.6)
    cohort = cohort_of(config, SMALL, epochs=8)
    network = trainer.network(cohort)
    progress = fit.train(network, cohort, lambda event: None, nobody)
    first, second = (trainer.outcomes(network, cohort, progress)[0] for _ in range(2))

    assert repr(first.measurement) == repr(second.measurement)
    np.testing.assert_array_equal(first.validation.nll, second.validation.nll)
    model = export.restore(config, dataset, first.weights)
    validation = cross_entropies(model, dataset.validation)
    gap = validation.mean() - cross_entropies(model, measured_train(dataset)).mean()
    assert first.measurement.gap_ce == pytest.approx(gap, abs=1e-5)
    np.testing.assert_allclose(first.validation.nll, validation, rtol=1e-4, atol=1e-5)
    # Keras's running training mean has dropout on: its "gap" is even negative.
    assert first.measurement.history_gap < -0.1 < first.measurement.gap_ce


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, batch_norm=True, dropout_rate=0.3)])
def test_val_ce_is_the_curves_value_at_the_best_epoch(trainer_for, config):
    overfitting = replace(config, learning_rate=3e-2)
    cohort = cohort_of(overfitting, overfitting, epochs=14, patience=4)
    outcome = run(trainer_for(digits()), cohort).outcomes[0]
    measurement = outcome.measurement
    assert measurement.best_epoch < measurement.epochs  # so that something was restored
    curve = outcome.curves["val_ce"]
    assert measurement.val_ce == pytest.approx(curve[measurement.best_epoch - 1], rel=1e-4)
    assert measurement.val_ce != pytest.approx(curve[-1], rel=1e-3)
    # Here the curve's train side is all of what is measured, or a prefix of it.
    train = outcome.curves["train_ce"][measurement.best_epoch - 1]
    assert len(digits().measured) <= 359
    assert measurement.train_ce == pytest.approx(train, rel=1e-4)


def test_heavy_l1_stops_at_the_smallest_plain_cross_entropy(trainer_for):
    config = replace(SMALL, regularizer="l1", lambda_l1=0.1)
    cohort = cohort_of(config, SMALL, epochs=30, patience=3)
    network = trainer_for(digits()).network(cohort)
    penalties = []

    def note_penalty(event):
        if isinstance(event, EpochReport):
            kernels = [network.per_trial()[0][place] for place in network.placements[0].penalized()]
            penalties.append(measure.penalty(kernels, config))

    state, _ = fit.train(network, cohort, note_penalty, nobody)
    curve = np.array(state.curves["val_ce"])
    assert state.best_epoch == int(np.argmin(curve)) + 1 > 1
    assert state.epochs == len(curve) == state.best_epoch + 3 < 30
    # Keras's val_loss would not have stopped there: the penalty in it goes on falling.
    assert np.argmin(curve + penalties[: len(curve)]) == len(curve) - 1


def part(nll, correct):
    nll, correct = np.asarray(nll, np.float32), np.asarray(correct)
    return PerExample(nll, correct, np.zeros(len(nll), np.int32), np.full(len(nll), 0.5, "f4"))


COURSE = measure.TrainingSummary(best_epoch=2, epochs=5, diverged=False, history_gap=0.25)
SIZE = measure.ModelSize(num_parameters=7, penalty=0.5)
HALVES = np.array([0.5, 0.5])


def test_a_measurement_is_means_differences_and_a_standard_error():
    validation = part([0.5, 1.5, 1.0, 2.0], [True, False, True, False])
    train = part([0.25, 0.75], [True, True])
    measurement = measure.measure(validation, train, 8, HALVES, COURSE, SIZE)
    assert (measurement.val_ce, measurement.train_ce, measurement.gap_ce) == (1.25, 0.5, 0.75)
    assert (measurement.val_accuracy, measurement.train_accuracy) == (0.5, 1.0)
    assert measurement.gap_accuracy == 0.5
    # s^2_val / n_val + (1 - m / n_train) * s^2_train / m, sample variances.
    expected = np.sqrt(np.var([0.5, 1.5, 1, 2], ddof=1) / 4 + (1 - 2 / 8) * 0.125 / 2)
    assert measurement.gap_ce_se == pytest.approx(expected)
    assert (measurement.best_epoch, measurement.epochs, measurement.num_parameters) == (2, 5, 7)
    assert (measurement.penalty, measurement.history_gap) == (0.5, 0.25)
    assert measurement.ece is None  # below 1,000 examples


def test_the_train_side_has_no_error_when_all_of_it_is_measured():
    validation, train = part([0.5, 1.5], [True, False]), part([0.1, 5.0], [True, False])
    measurement = measure.measure(validation, train, 2, HALVES, COURSE, SIZE)
    assert measurement.gap_ce_se == pytest.approx(np.sqrt(0.5 / 2))


def test_means_of_many_small_float32_losses_lose_nothing():
    validation = part(np.full(2_000_000, 0.1), np.ones(2_000_000, bool))
    measurement = measure.measure(validation, validation, 2_000_000, HALVES, COURSE, SIZE)
    assert measurement.val_ce == pytest.approx(float(np.float32(0.1)), rel=1e-9)
    assert measurement.gap_ce == 0.0 and measurement.ece is not None


def test_scores_become_per_example_results():
    scores = np.array([[0.5, 1.0, 3.0, 0.75], [2.0, 0.0, 1.0, 0.5]], dtype=np.float32)
    result = measure.per_example(scores)
    np.testing.assert_array_equal(result.nll, np.array([0.5, 2.0], np.float32))
    assert result.correct.dtype == bool and result.correct.tolist() == [True, False]
    assert result.predicted.dtype == np.int32 and result.predicted.tolist() == [3, 1]
    assert result.confidence.dtype == np.float32 and result.confidence.tolist() == [0.75, 0.5]


def test_the_penalty_is_keras_convention_without_one_half():
    kernels = [np.array([[1.0, -2.0]]), np.array([[3.0]])]
    both = replace(SMALL, regularizer="l1_l2", lambda_l1=0.1, lambda_l2=0.01)
    assert measure.penalty(kernels, both) == pytest.approx(0.1 * 6 + 0.01 * 14)
    assert measure.penalty(kernels, SMALL) == 0.0

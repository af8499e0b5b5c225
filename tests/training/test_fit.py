"""Early stopping, pruning and reports, each trial for itself."""

from dataclasses import replace

import numpy as np
import pytest
from training_samples import SETTINGS, SMALL, cohort_of, digits, run, same_numbers

from pipeline.records import StepTiming
from pipeline.training.fit import CURVES, Progress, order

FAST = replace(SMALL, learning_rate=3e-2)
MIXED = (
    FAST,
    replace(FAST, dropout_rate=0.6),
    replace(FAST, regularizer="l1", lambda_l1=0.1),
    replace(FAST, **SETTINGS["max_norm"], dropout_rate=0.3),
    replace(FAST, regularizer="l2", lambda_l2=0.3),
)
EPOCHS, PATIENCE = 12, 2


@pytest.fixture(scope="module")
def stopped_early(trainer_for):
    return run(trainer_for(digits()), cohort_of(*MIXED, epochs=EPOCHS, patience=PATIENCE))


def test_each_trial_stops_its_patience_after_its_own_best_epoch(stopped_early):
    lengths = []
    for outcome in stopped_early.outcomes:
        measurement, curve = outcome.measurement, outcome.curves["val_ce"]
        assert measurement.best_epoch == int(np.argmin(curve)) + 1
        assert measurement.epochs == min(measurement.best_epoch + PATIENCE, EPOCHS)
        assert {len(values) for values in outcome.curves.values()} == {measurement.epochs}
        lengths.append(measurement.epochs)
    assert len(set(lengths)) > 2, "these trials should not all stop together"


def test_a_report_has_only_the_trials_that_trained_in_its_epoch(stopped_early):
    lengths = {o.number: o.measurement.epochs for o in stopped_early.outcomes}
    reports = stopped_early.reports
    assert [report.epoch for report in reports] == list(range(1, max(lengths.values()) + 1))
    for report in reports:
        assert set(report.curves) == {n for n, epochs in lengths.items() if epochs >= report.epoch}
        assert report.seconds > 0
        for number, values in report.curves.items():
            curves = stopped_early.outcomes[number].curves
            assert values == {name: curves[name][report.epoch - 1] for name in CURVES}


def test_the_timing_is_told_once_and_early(stopped_early):
    timings = [event for event in stopped_early.events if isinstance(event, StepTiming)]
    assert len(timings) == 1
    assert timings[0].steps_per_epoch == 330 // 32
    assert 0 < timings[0].seconds_per_step < 1
    assert stopped_early.events.index(timings[0]) <= 1


def test_a_stopped_trial_does_not_change_what_the_others_do(trainer_for, stopped_early):
    patient = run(trainer_for(digits()), cohort_of(*MIXED, epochs=EPOCHS, patience=99))
    for ours, longer in zip(stopped_early.outcomes, patient.outcomes, strict=True):
        epochs = ours.measurement.epochs
        assert longer.measurement.epochs == EPOCHS
        for name in CURVES:
            assert longer.curves[name][:epochs] == ours.curves[name]


def test_trials_of_a_cohort_have_their_own_epochs_and_patience(trainer_for, stopped_early):
    own = [{"epochs": 3}, {"patience": 1}, {"epochs": 5, "patience": 9}, {}, {"epochs": EPOCHS}]
    configs = [replace(config, more=tuple(m.items())) for config, m in zip(MIXED, own, strict=True)]
    together = run(trainer_for(digits()), cohort_of(*configs, epochs=EPOCHS, patience=PATIENCE))
    for config, ours, usual in zip(MIXED, together.outcomes, stopped_early.outcomes, strict=True):
        limits = own[MIXED.index(config)]
        # As a cohort whose settings these are, trained alone.
        settings = {"epochs": EPOCHS, "patience": PATIENCE} | limits
        settings["patience"] = min(settings["patience"], PATIENCE)  # the study's is the largest
        (alone,) = run(
            trainer_for(digits()), cohort_of(config, seeds=[ours.number + 1], **settings)
        ).outcomes
        assert ours.measurement.epochs == alone.measurement.epochs <= limits.get("epochs", EPOCHS)
        assert ours.measurement.best_epoch == alone.measurement.best_epoch
        assert ours.curves["val_ce"] == pytest.approx(alone.curves["val_ce"], rel=1e-4)
        # Company has no part in it: the epochs that both trained are the same to the last bit.
        shared = min(ours.measurement.epochs, usual.measurement.epochs)
        assert ours.curves["val_ce"][:shared] == usual.curves["val_ce"][:shared]
    last = {outcome.number: outcome.measurement.epochs for outcome in together.outcomes}
    for report in together.reports:
        assert set(report.curves) == {n for n, epochs in last.items() if epochs >= report.epoch}
    assert together.outcomes[0].measurement.epochs == 3


def test_pruning_stops_that_trial_only(trainer_for, stopped_early):
    cohort = cohort_of(*MIXED, epochs=EPOCHS, patience=PATIENCE)
    asked = []

    def prune(epoch):
        asked.append(epoch)
        return [3] if epoch == 2 else []

    recorded = run(trainer_for(digits()), cohort, prune)
    assert asked == [report.epoch for report in recorded.reports]
    pruned = recorded.outcomes[3]
    assert pruned.state == "PRUNED" and pruned.cause is None
    assert pruned.measurement is None and pruned.weights is None and pruned.validation is None
    assert pruned.curves["val_ce"] == stopped_early.outcomes[3].curves["val_ce"][:2]
    assert all((3 in report.curves) == (report.epoch <= 2) for report in recorded.reports)
    for k in (0, 1, 2, 4):
        assert same_numbers(recorded.outcomes[k], stopped_early.outcomes[k])


def test_a_cohort_whose_trials_are_all_pruned_ends(trainer_for):
    cohort = cohort_of(*MIXED, epochs=EPOCHS)
    recorded = run(trainer_for(digits()), cohort, lambda epoch: [0, 1, 2, 3, 4, 77])
    assert [outcome.state for outcome in recorded.outcomes] == ["PRUNED"] * 5
    assert len(recorded.reports) == 1


def test_a_trial_that_stopped_by_itself_is_not_pruned_afterwards(trainer_for, stopped_early):
    first = min(stopped_early.outcomes, key=lambda outcome: outcome.measurement.epochs)
    cohort = cohort_of(*MIXED, epochs=EPOCHS, patience=PATIENCE)
    late = first.measurement.epochs
    recorded = run(trainer_for(digits()), cohort, lambda epoch: [first.number] * (epoch >= late))
    assert same_numbers(recorded.outcomes[first.number], first)


def test_the_order_is_seeded_per_epoch_and_the_same_for_every_trial(trainer_for):
    trainer = trainer_for(digits())
    network = trainer.network(cohort_of(*MIXED))
    first, again, second, other = (
        order(network, seed, epoch) for seed, epoch in ((5, 1), (5, 1), (5, 2), (6, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second) and not np.array_equal(first, other)
    # Full batches only, without repetition, from the training part; each epoch leaves out others.
    assert len(first) == 320 and len(set(first)) == 320
    assert set(first) <= set(trainer.data.train)
    assert set(first) != set(second)
    # Another network of the same data and batch size goes the same way.
    deeper = trainer.network(cohort_of(replace(SMALL, depth=3)))
    np.testing.assert_array_equal(order(deeper, 5, 1), first)


def epoch_values(val_ce, running_ce=1.0):
    return dict(zip(CURVES, (val_ce, 0.5, 0.9, 0.6, running_ce), strict=True))


def record_all(progress, *values):
    return [progress.record(epoch_values(*value)) for value in values]


def test_a_batch_that_is_larger_than_the_training_part_is_all_of_it(trainer_for):
    dataset = digits()
    num_train = len(dataset.train)
    sizes = (num_train, num_train + 1, 5_000)
    losses = []
    for size in sizes:
        config = replace(SMALL, batch_size=size, learning_rate=1e-2)
        (outcome,) = run(trainer_for(dataset), cohort_of(config)).outcomes
        assert (outcome.state, outcome.measurement.epochs) == ("COMPLETE", 3)
        losses.append(outcome.measurement.val_ce)
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


def test_progress_counts_patience_from_the_best_epoch():
    progress = Progress(patience=2)
    assert record_all(progress, (1.0,), (0.8,), (0.9,)) == [True, True, False]
    assert not progress.done
    assert record_all(progress, (0.8,)) == [False]  # equal is not better
    assert progress.done and not progress.diverged and not progress.pruned
    assert (progress.best_epoch, progress.best_ce, progress.epochs) == (2, 0.8, 4)
    assert progress.curves["val_ce"] == [1.0, 0.8, 0.9, 0.8]


@pytest.mark.parametrize("bad", [(float("nan"),), (float("inf"),), (0.5, float("nan"))])
def test_progress_ends_where_a_number_is_not_finite(bad):
    progress = Progress(patience=9)
    record_all(progress, (1.0,), bad)
    assert progress.done and progress.diverged
    assert progress.epochs == 2


def test_progress_ends_at_its_limit_though_the_last_epoch_is_its_best():
    progress = Progress(patience=9, limit=2)
    assert record_all(progress, (1.0,), (0.8,)) == [True, True]
    assert progress.done and (progress.best_epoch, progress.epochs) == (2, 2)


def test_progress_without_a_finite_epoch_has_no_best():
    progress = Progress(patience=9)
    assert record_all(progress, (float("nan"), float("nan"))) == [False]
    assert progress.best_epoch == 0 and progress.done

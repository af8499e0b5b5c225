"""A trial's numbers are its own: not its neighbours', not its slot's, the same every time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_samples import (
    SETTINGS,
    SMALL,
    SMALL_CNN,
    cohort_of,
    digits,
    newswires,
    pictures,
    run,
    same_numbers,
)

from pipeline.records import TrialOutcome
from pipeline.training import cohort as cohort_module
from pipeline.training.cohort import CohortTrainer
from pipeline.training.fit import CURVES

SGD = {"optimizer": "sgd", "learning_rate": 1e-2}
MLP_SGD = replace(SMALL, **SGD, depth=3)
CNN_SGD = replace(SMALL_CNN, **SGD, batch_size=16, batch_norm=True)

# With SGD a step multiplies a weight by 1 - 2 * rate * lambda: -1.08 grows for some epochs before
# it overflows, -2e4 overflows in the first.
GROWS, EXPLODES, BEHAVES = 104.0, 1e6, 1e-3


EVERYTHING = {**SETTINGS["all"], "dropout_rate": 0.3, "input_noise": 0.2, "ema": 0.5}
"""Every technique with a number per trial."""


def with_l2(config, lambda_l2):
    return replace(config, regularizer="l2", lambda_l2=lambda_l2)


def neighbours(config, troublemaker):
    """Returns a cohort of varied trials with one in the middle whose L2 is given."""
    return cohort_of(
        replace(config, dropout_rate=0.3),
        replace(config, **SETTINGS["max_norm"]),
        with_l2(config, troublemaker),
        replace(config, **SETTINGS["l1_l2"], dropout_rate=0.5),
        config,
        epochs=4,
    )


@pytest.mark.parametrize(
    ("load", "config"), [(digits, MLP_SGD), (pictures, CNN_SGD)], ids=["mlp", "cnn"]
)
def test_a_trial_that_explodes_leaves_its_neighbours_bit_identical(trainer_for, load, config):
    well, ill = (
        run(trainer_for(load()), neighbours(config, lambda_l2)).outcomes
        for lambda_l2 in (BEHAVES, EXPLODES)
    )
    assert [outcome.state for outcome in well] == ["COMPLETE"] * 5
    assert [outcome.state for outcome in ill] == ["COMPLETE"] * 2 + ["FAIL"] + ["COMPLETE"] * 2
    for k in (0, 1, 3, 4):
        assert same_numbers(well[k], ill[k])
        assert well[k].measurement.finite and not well[k].measurement.diverged


@pytest.mark.parametrize(
    ("load", "config"), [(digits, MLP_SGD), (pictures, CNN_SGD)], ids=["mlp", "cnn"]
)
def test_it_does_so_with_every_technique_on(trainer_for, load, config):
    on = replace(config, **EVERYTHING)
    unlimited = replace(on, max_norm=None, lambda_l1=None)
    well, ill = (
        run(trainer_for(load()), cohort_of(on, with_l2(unlimited, lambda_l2), config)).outcomes
        for lambda_l2 in (BEHAVES, EXPLODES)
    )
    assert [outcome.state for outcome in ill] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert same_numbers(well[0], ill[0]) and same_numbers(well[2], ill[2])


def test_a_trial_that_diverges_from_the_start_fails_and_says_so(trainer_for):
    outcome = run(trainer_for(digits()), neighbours(MLP_SGD, EXPLODES)).outcomes[2]
    assert outcome.state == "FAIL"
    assert outcome.cause == "diverged: no finite validation cross-entropy in 1 epoch(s)"
    assert outcome.measurement is None and outcome.validation is None and outcome.weights is None
    assert [len(outcome.curves[name]) for name in CURVES] == [1] * len(CURVES)
    assert not np.isfinite(outcome.curves["val_ce"][0])


def test_a_trial_that_diverges_later_is_restored_and_flagged(trainer_for):
    cohort = cohort_of(MLP_SGD, with_l2(MLP_SGD, GROWS), epochs=30, patience=30)
    outcome = run(trainer_for(digits()), cohort).outcomes[1]
    measurement, curve = outcome.measurement, outcome.curves["val_ce"]
    assert outcome.state == "COMPLETE" and outcome.cause is None
    assert measurement.diverged and measurement.finite
    assert 1 < measurement.epochs == len(curve) < 30
    assert np.isfinite(curve[:-1]).all() and not np.isfinite(curve[-1])
    assert measurement.val_ce == pytest.approx(curve[measurement.best_epoch - 1], rel=1e-4)
    assert all(np.isfinite(weight).all() for weight in outcome.weights)


COMPANY = {
    "mlp": (digits, SMALL),
    "mlp batch norm": (digits, replace(SMALL, batch_norm=True)),
    "cnn": (pictures, replace(SMALL_CNN, batch_size=16, pooling=True)),
    "words": (newswires, replace(SMALL, optimizer="rmsprop", standardize=False)),
}
SLOW = ("mlp batch norm", "words")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in COMPANY]
)
def test_a_trial_alone_and_in_company_is_the_same(trainer_for, name):
    load, base = COMPANY[name]
    config = replace(base, **SETTINGS["l1_l2"], dropout_rate=0.4)
    others = [replace(base, dropout_rate=0.7), replace(base, **SETTINGS["max_norm"]), base]
    company = cohort_of(*others, config, replace(config, dropout_rate=0.1), seeds=[5, 6, 7, 42, 9])
    alone = cohort_of(config, seeds=[42])
    (one,), five = (run(trainer_for(load()), cohort).outcomes for cohort in (alone, company))
    for curve in CURVES:
        assert five[3].curves[curve] == pytest.approx(one.curves[curve], rel=1e-4, abs=1e-6)
    assert five[3].measurement.gap_ce == pytest.approx(one.measurement.gap_ce, abs=1e-4)
    for ours, theirs in zip(five[3].weights, one.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    # The same config with another seed is another trial.
    assert five[4].curves["val_ce"] != pytest.approx(one.curves["val_ce"], rel=1e-3)


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_a_trial_with_every_technique_is_the_same_alone_and_in_company(trainer_for, name):
    load, base = COMPANY[name]
    config = replace(base, **EVERYTHING)
    others = [replace(base, input_noise=0.9), replace(base, label_smoothing=0.5), base]
    company = cohort_of(*others, config, config, seeds=[5, 6, 7, 42, 9])
    alone = cohort_of(config, seeds=[42])
    (one,), five = (run(trainer_for(load()), cohort).outcomes for cohort in (alone, company))
    for curve in CURVES:
        assert five[3].curves[curve] == pytest.approx(one.curves[curve], rel=1e-4, abs=1e-6)
    assert five[4].curves["val_ce"] != pytest.approx(one.curves["val_ce"], rel=1e-3)


def test_the_seed_decides_initialization_and_masks(trainer_for):
    twins = cohort_of(*[replace(SMALL, dropout_rate=0.5)] * 5, seeds=[3, 4, 3, 5, 6])
    first, second, third, *_ = run(trainer_for(digits()), twins).outcomes
    assert first.curves["val_ce"] == pytest.approx(third.curves["val_ce"], rel=1e-4)
    assert first.curves["val_ce"] != pytest.approx(second.curves["val_ce"], rel=1e-3)


DETERMINISTIC = """
import sys
sys.path.insert(0, {folder!r})
from test_cohort import fingerprint
print("numbers", fingerprint())
"""


def fingerprint():
    """Returns every number of a cohort with everything on, spelled to the last bit."""
    configs = [
        replace(SMALL, dropout_rate=0.5, batch_norm=True),
        replace(SMALL, **SETTINGS["all"], batch_norm=True),
    ]
    outcomes = run(CohortTrainer(digits()), cohort_of(*configs)).outcomes
    shown = [
        (outcome.measurement, outcome.curves, [w.tobytes().hex() for w in outcome.weights])
        for outcome in outcomes
    ]
    return repr(shown)


def test_the_same_cohort_twice_gives_the_same_numbers(trainer_for):
    cohort = cohort_of(replace(SMALL, dropout_rate=0.5), replace(SMALL, **SETTINGS["all"]))
    first, second = (run(trainer_for(digits()), cohort).outcomes for _ in range(2))
    assert all(map(same_numbers, first, second))


@pytest.mark.slow
def test_two_processes_give_the_same_numbers():
    script = DETERMINISTIC.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"numbers {fingerprint()}" in done.stdout


def test_another_order_seed_is_another_course(trainer_for):
    one, other = (
        run(trainer_for(digits()), cohort_of(SMALL, SMALL, order_seed=seed)).outcomes[0]
        for seed in (0, 1)
    )
    assert one.curves["val_ce"] != other.curves["val_ce"]


def test_neither_validation_nor_test_changes_what_is_trained(trainer_for):
    dataset, cohort = digits(), cohort_of(SMALL, replace(SMALL, dropout_rate=0.5))
    noise = np.random.RandomState(3).randint(0, 17, dataset.validation.inputs.shape)
    validation = replace(
        dataset.validation,
        inputs=noise.astype(np.uint8),
        labels=dataset.validation.labels[::-1].copy(),
    )
    corrupted = replace(dataset, validation=validation, test=None)
    ours, theirs = (
        run(trainer, cohort) for trainer in (trainer_for(dataset), CohortTrainer(corrupted))
    )
    for one, other in zip(ours.outcomes, theirs.outcomes, strict=True):
        for name in ("train_ce", "train_accuracy", "running_ce"):
            assert one.curves[name] == other.curves[name]
        assert one.curves["val_ce"] != other.curves["val_ce"]


def test_outcomes_come_in_the_cohorts_order_with_device_and_share_of_the_time(trainer_for):
    cohort = cohort_of(*[SMALL] * 5, epochs=1)
    outcomes = run(trainer_for(digits(), "gpu: a good one"), cohort).outcomes
    assert [outcome.number for outcome in outcomes] == [0, 1, 2, 3, 4]
    assert {outcome.device for outcome in outcomes} == {"gpu: a good one"}
    assert len({outcome.seconds for outcome in outcomes}) == 1 and outcomes[0].seconds > 0
    assert set(outcomes[0].curves) == set(CURVES)


def test_weights_are_carried_only_when_asked(trainer_for):
    cohort = cohort_of(SMALL, SMALL, epochs=1, keep_weights=False)
    outcome = run(trainer_for(digits()), cohort).outcomes[0]
    assert isinstance(outcome, TrialOutcome) and outcome.weights is None
    assert outcome.measurement is not None and len(outcome.validation.nll) == 359


def test_cohorts_of_one_structure_and_size_share_a_compiled_network(trainer_for):
    trainer = trainer_for(digits())
    plain, strong = cohort_of(SMALL, SMALL), cohort_of(*[replace(SMALL, dropout_rate=0.5)] * 2)
    assert trainer.network(plain) is trainer.network(strong)
    assert trainer.network(plain) is not trainer.network(cohort_of(SMALL))
    deeper = replace(SMALL, depth=3)
    assert trainer.network(plain) is not trainer.network(cohort_of(deeper, deeper))


def test_nothing_of_an_earlier_cohort_is_left_in_the_network(trainer_for):
    quiet = {"weight_decay": 1e-3, "label_smoothing": 0.01, "input_noise": 0.01}
    quiet |= {"class_weight": "balanced", "ema": 0.1}
    trainer = trainer_for(digits())
    cohort = cohort_of(SMALL, replace(SMALL, dropout_rate=0.2, **quiet))
    first = run(trainer, cohort).outcomes
    loud = [replace(SMALL, **{**EVERYTHING, "dropout_rate": rate}) for rate in (0.6, 0.7)]
    others = cohort_of(*loud, seeds=[8, 9])
    assert trainer.network(others) is trainer.network(cohort), "one program, other numbers"
    run(trainer, others)
    assert all(map(same_numbers, first, run(trainer, cohort).outcomes))


@pytest.mark.parametrize(
    ("load", "config"),
    [
        pytest.param(digits, MLP_SGD, id="mlp"),
        pytest.param(pictures, CNN_SGD, id="cnn", marks=pytest.mark.slow),
    ],
)
def test_when_most_trials_are_done_the_rest_trains_on_in_a_smaller_network(
    monkeypatch, load, config
):
    trainer, calm = CohortTrainer(load()), CohortTrainer(load())
    monkeypatch.setattr(calm, "smaller_network", lambda *left: None)
    # What grows is stopped before it overflows.
    stops = [with_l2(config, GROWS)] * 5
    stays = [replace(config, dropout_rate=rate) for rate in (0.0, 0.3, 0.5)]
    cohort = cohort_of(*stops[:3], *stays, *stops[3:], epochs=12, patience=2)
    monkeypatch.setattr(cohort_module, "COMPILATION_WORK", 0)
    moved, whole = run(trainer, cohort), run(calm, cohort)
    sizes = sorted(network.spec.trials for network in trainer.networks.values())
    assert sizes == [3, 8] and len(calm.networks) == 1
    assert [len(outcome.curves["val_ce"]) for outcome in moved.outcomes][3:6] == [12] * 3
    assert not any(outcome.measurement.diverged for outcome in moved.outcomes)
    assert [set(report.curves) for report in moved.reports] == [
        set(report.curves) for report in whole.reports
    ]
    for ours, theirs in zip(moved.outcomes, whole.outcomes, strict=True):
        assert ours.state == theirs.state
        if ours.state == "FAIL":
            continue
        same = ours.measurement.best_epoch, ours.measurement.epochs
        assert same == (theirs.measurement.best_epoch, theirs.measurement.epochs)
        assert ours.curves["val_ce"] == pytest.approx(
            theirs.curves["val_ce"], rel=1e-4, nan_ok=True
        )
        for one, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, batch_norm=True),
        replace(SMALL_CNN, batch_size=16, optimizer="rmsprop"),
        replace(SMALL, weight_decay=0.01, label_smoothing=0.1, input_noise=0.3),
    ],
    ids=["adam with batch norm", "cnn", "noise"],
)
def test_a_smaller_network_takes_everything_over(config):
    trainer = CohortTrainer(digits() if config.family == "mlp" else pictures())
    large = trainer.network(cohort_of(*[config] * 4))
    run(trainer, cohort_of(*(replace(config, dropout_rate=rate) for rate in (0.1, 0.2, 0.3, 0.4))))
    small = trainer.compiled(replace(large.spec, trials=2))
    small.continue_from(large, [3, 1])
    moved = 0
    for mine, its in zip(small.variables, large.variables, strict=True):
        ours, theirs = np.asarray(mine), np.asarray(its)
        axes = [axis for axis, n in enumerate(theirs.shape) if n != ours.shape[axis]]
        np.testing.assert_array_equal(ours, np.take(theirs, [3, 1], axes[0]) if axes else theirs)
        moved += bool(axes) and bool(theirs.any())
    # Kernel and bias of each layer with their slots of the optimizer, rates, ...
    assert moved >= 12


def test_what_is_pruned_and_when_leaves_no_trace_in_the_neighbours(monkeypatch):
    monkeypatch.setattr(cohort_module, "COMPILATION_WORK", 0)
    cohort = cohort_of(*[replace(SMALL, dropout_rate=rate / 10) for rate in range(8)], epochs=5)
    trainer = CohortTrainer(digits())
    early, late = (
        run(trainer, cohort, lambda epoch, at=at: [1, 2, 3, 4, 5, 6] if epoch == at else [])
        for at in (1, 3)
    )
    assert all(same_numbers(early.outcomes[k], late.outcomes[k]) for k in (0, 7))


@pytest.mark.parametrize(
    ("load", "config", "products"),
    [
        # 3 forward passes of a batch: of two dense layers and the output; dropout adds its width.
        (digits, replace(SMALL, batch_size=10), 64 * 16 + 16 * 16 + 16 * 10 + 2 * 16),
        # Two convolutions on 12x12x3, one dense layer and the output.
        (
            pictures,
            replace(SMALL_CNN, batch_size=10),
            (100 * 27 + 64 * 36) * 4 + (100 + 64) * 4 + 256 * 16 + 16 + 16 * 3,
        ),
        # Rows of the first kernel are summed, not multiplied.
        (newswires, replace(SMALL, batch_size=10), 16 * 16 + 16 * 4 + 2 * 16),
    ],
    ids=["mlp", "cnn", "words"],
)
def test_work_counts_every_product_of_an_epoch(trainer_for, load, config, products):
    trainer = trainer_for(load())
    network = trainer.network(cohort_of(config))
    parameters = sum(weight.size for weight in network.per_trial()[0])
    steps = len(trainer.dataset.train.labels) // 10
    training = steps * (3 * 10 * products + 16 * parameters)
    # The validation part and as many training examples, where there are, are scored.
    validation = len(trainer.data.validation)
    scored = validation + min(validation, len(trainer.data.measured))
    assert trainer.work(config) == training + scored * products
    noise = steps * 10 * 30 * int(np.prod(trainer.dataset.input_shape))
    if trainer.dataset.kind != "multi_hot":
        assert trainer.work(replace(config, input_noise=0.1)) == trainer.work(config) + noise


def test_spare_slots_are_taken_where_they_cost_less_than_compiling():
    trainer, short, long = CohortTrainer(digits()), 30, 30_000
    assert [trainer.slots(SMALL, trials, short) for trials in (1, 2, 8, 9, 40)] == [1, 8, 8, 16, 64]
    assert [trainer.slots(SMALL, trials, long) for trials in (1, 2, 8, 9, 40)] == [1, 2, 8, 9, 40]
    assert trainer.slots(SMALL, 300, short) == 300, "beyond the ladder"
    large = replace(SMALL, width=2048)
    assert trainer.slots(large, 2, epochs=1) == 2, "too large to be shared"


def test_a_smaller_network_is_built_only_where_it_pays():
    trainer = CohortTrainer(digits())
    network = trainer.network(cohort_of(*[SMALL] * 32))
    assert trainer.smaller_network(network, 20, 10_000) is None, "most are left"
    assert trainer.smaller_network(network, 4, 2) is None, "compiling takes longer than two epochs"
    assert trainer.smaller_network(network, 4, 10_000).spec.trials == 4

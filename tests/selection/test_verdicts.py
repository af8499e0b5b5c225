"""Verdicts: precedence, thresholds, and the numbers in their sentences."""

import pytest

from pipeline.selection.verdicts import verdict_of


@pytest.fixture
def best(make_trial):
    return make_trial(0, val_ce=0.4, gap_ce=0.05)


@pytest.mark.parametrize(
    ("changes", "skilled", "name", "because"),
    [
        ({"state": "FAIL", "cause": "out of memory"}, True, "failed", "out of memory"),
        ({"state": "FAIL"}, True, "failed", "no cause was recorded"),
        ({"measurement": None}, True, "failed", "no cause was recorded"),
        ({"state": "RUNNING", "measurement": None}, True, "running", "it has not ended yet"),
        (
            {"state": "PRUNED", "diverged": True, "curves": {"val_ce": (2.0, 1.9, 1.8)}},
            False,
            "pruned",
            "stopped after 3 epochs",
        ),
        (
            {"diverged": True},
            False,
            "diverged",
            "a loss was not finite; the weights of epoch 4 were restored",
        ),
        ({"val_ce": float("nan")}, True, "diverged", "a loss was not finite"),
        (
            {"val_ce": 2.5, "accuracy": 0.1},
            False,
            "no_skill",
            "validation accuracy 0.1000 and cross-entropy 2.5000 are no better than chance",
        ),
        (
            {"val_ce": 0.5, "gap_ce": 0.06},
            True,
            "underfit",
            "its training cross-entropy 0.4400 is above even the best validation cross-entropy "
            "0.4000 by more than 5%",
        ),
        (
            {"val_ce": 0.4, "gap_ce": 0.2},
            True,
            "overfit",
            "gap 0.2000 nats (95% 0.1804 to 0.2196), 50% of the validation cross-entropy, and 2.0 "
            "points of accuracy: more than 25% and more than 0.105 nats",
        ),
        (
            {"val_ce": 0.4, "gap_ce": 0.04},
            True,
            "healthy",
            "gap 0.0400 nats (95% 0.0204 to 0.0596), 10% of the validation cross-entropy, and 2.0 "
            "points of accuracy: within 25%",
        ),
        (
            {"val_ce": 0.12, "gap_ce": 0.1},
            True,
            "healthy",
            "gap 0.1000 nats (95% 0.0804 to 0.1196), 83% of the validation cross-entropy, and 2.0 "
            "points of accuracy: a large share, but it costs no more than 0.105 nats and 3 points",
        ),
        (
            {"val_ce": 0.12, "gap_ce": 0.1, "gap_accuracy": 0.031},
            True,
            "overfit",
            "gap 0.1000 nats (95% 0.0804 to 0.1196), 83% of the validation cross-entropy, and 3.1 "
            "points of accuracy: more than 25% and more than 3 points",
        ),
        (
            {"val_ce": 0.4, "gap_ce": 0.2, "gap_ce_se": 0.11},
            True,
            "healthy",
            "gap 0.2000 nats (95% -0.0156 to 0.4156), 50% of the validation cross-entropy, and 2.0 "
            "points of accuracy: not certain, for the interval includes 0",
        ),
    ],
)
def test_verdict_and_its_sentence(make_trial, best, changes, skilled, name, because):
    found = verdict_of(make_trial(1, **changes), best, skilled)
    assert (found.name, found.because) == (name, because)


def test_a_large_but_uncertain_gap_is_not_called_overfitting(make_trial, best):
    assert verdict_of(make_trial(1, val_ce=0.4, gap_ce=0.2, gap_ce_se=0.11), best).name == "healthy"
    assert verdict_of(make_trial(1, val_ce=0.4, gap_ce=0.2, gap_ce_se=0.10), best).name == "overfit"


def test_a_certain_but_small_gap_is_not_called_overfitting(make_trial, best):
    assert (
        verdict_of(make_trial(1, val_ce=0.4, gap_ce=0.09, gap_ce_se=1e-6), best).name == "healthy"
    )
    assert (
        verdict_of(make_trial(1, val_ce=0.4, gap_ce=0.11, gap_ce_se=1e-6), best).name == "overfit"
    )


def test_the_best_trial_itself_is_not_underfit(best):
    assert verdict_of(best, best).name == "healthy"


def test_without_a_best_trial_nothing_is_underfit(make_trial):
    assert verdict_of(make_trial(1, val_ce=2.0, gap_ce=0.0), None).name == "healthy"


def test_between_perfect_models_nothing_is_underfit(make_trial):
    best = make_trial(0, val_ce=0.00001, gap_ce=0.000001)
    assert verdict_of(make_trial(1, val_ce=0.00003, gap_ce=0.0), best).name == "healthy"
    assert verdict_of(make_trial(1, val_ce=0.02, gap_ce=0.0), best).name == "underfit"
    all_right = make_trial(1, val_ce=0.3, gap_ce=0.0, train_accuracy=1.0)
    assert verdict_of(all_right, best).name == "healthy"

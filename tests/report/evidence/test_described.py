"""Optimism, isolation view, place, importance, class errors and calibration, on known figures."""

from dataclasses import replace

import numpy as np
import pytest
from full_reports import searched_study

from pipeline.records import PerExample, TestExamples, TrialConfig
from pipeline.report.evidence.calibration import calibration
from pipeline.report.evidence.class_errors import class_errors
from pipeline.report.evidence.importance import FEWEST_TRIALS, _shuffled, encoded, importances
from pipeline.report.evidence.optimism import optimism
from pipeline.report.evidence.place import place_of
from pipeline.report.evidence.techniques import isolation
from pipeline.selection.baseline import baseline_of
from pipeline.selection.statistics import expected_calibration_error, paired_standard_error
from pipeline.training.techniques import used


def part(nll, correct=None, predicted=None, confidence=None):
    num = len(nll)
    zeros = np.zeros(num)
    return PerExample(
        np.asarray(nll, float),
        np.asarray(zeros if correct is None else correct, bool),
        np.asarray(zeros if predicted is None else predicted, np.int32),
        np.asarray(zeros if confidence is None else confidence, np.float32),
    )


# Optimism


def test_optimism_is_the_difference_of_two_independent_samples(make_trial):
    trial = replace(make_trial(4), validation=part([0.1, 0.3], [1, 1]))
    test = TestExamples(np.zeros(4), {4: part([0.2, 0.4, 0.6, 0.8], [1, 0, 1, 0])}, ("a",))
    found = optimism(trial, test)
    assert found.ce == pytest.approx(0.2 - 0.5)
    assert found.accuracy == pytest.approx(0.5)
    # s^2 / n of both sides: 0.02 / 2 and (0.2 / 3) / 4
    assert found.ce_se == pytest.approx(np.sqrt(0.01 + 0.2 / 12))
    assert found.accuracy_se == pytest.approx(np.sqrt(1 / 12))


def test_without_test_results_of_the_delivered_model_there_is_no_optimism(make_trial):
    assert optimism(make_trial(4), None) is None
    assert optimism(make_trial(4), TestExamples(np.zeros(1), {5: part([0.1])}, ("a",))) is None
    assert optimism(None, None) is None


# Techniques


def isolated(study):
    return isolation(study, baseline_of(study, used))


def test_each_technique_is_shown_by_its_best_trial_alone(make_trial, make_study):
    base = make_trial(0, name="baseline", config=TrialConfig(), val_ce=0.4, gap_ce=0.2)
    weak = make_trial(1, config=TrialConfig(dropout_rate=0.5), val_ce=0.5)
    good = make_trial(2, config=TrialConfig(dropout_rate=0.2, depth=3), val_ce=0.35, gap_ce=0.05)
    both = make_trial(3, config=TrialConfig(dropout_rate=0.1, batch_norm=True), val_ce=0.2)
    pruned = make_trial(4, config=TrialConfig(max_norm=2.0), state="PRUNED")
    view = isolated(make_study(base, weak, good, both, pruned))
    effects = {effect.technique: effect for effect in view.effects}
    dropout = effects["dropout"]
    assert (view.baseline.number, dropout.trial.number, dropout.num_trials) == (0, 2, 2)
    assert dropout.val_ce.value == pytest.approx(-0.05)
    error = paired_standard_error(good.validation.nll, base.validation.nll)
    assert dropout.val_ce.high - dropout.val_ce.value == pytest.approx(1.96 * error, rel=1e-3)
    assert dropout.gap_ce.value == pytest.approx(-0.15)
    assert dropout.differs == ("depth",)
    assert effects["combination"].trial.number == 3
    assert effects["batch_norm"].missing == "tried only together with others"
    assert effects["max_norm"].missing == "tried alone, but not measured (pruned)"
    assert effects["l1_l2"].missing == "not searched"


def test_the_train_side_of_the_gap_adds_its_own_error(make_trial, make_study):
    trials = [
        make_trial(0, name="baseline", config=TrialConfig(), gap_ce_se=0.1),
        make_trial(1, config=TrialConfig(batch_norm=True), gap_ce_se=0.1),
    ]
    effect = next(e for e in isolated(make_study(*trials)).effects if e.trial)
    paired = paired_standard_error(*(t.validation.nll for t in reversed(trials)))
    sides = [0.1**2 - t.validation.nll.var(ddof=1) / t.validation.nll.size for t in trials]
    expected = 1.96 * np.sqrt(paired**2 + sum(sides))
    assert effect.gap_ce.high - effect.gap_ce.value == pytest.approx(expected, rel=1e-3)


def test_without_a_baseline_nothing_is_compared(make_trial, make_study):
    view = isolated(make_study(make_trial(0, config=TrialConfig(batch_norm=True))))
    assert view.baseline is None
    shown = [e for e in view.effects if e.trial is not None]
    assert [e.missing for e in shown] == ["no baseline to compare with"]


def test_the_elastic_net_is_one_technique():
    assert used(TrialConfig(regularizer="l1_l2", lambda_l1=0.1, lambda_l2=0.1)) == {"l1_l2"}


# Place


@pytest.mark.parametrize(
    ("name", "value", "entry", "position", "edge"),
    [
        ("lambda_l2", 1e-3, {"low": 1e-5, "high": 1e-1, "log": True}, 0.5, ""),
        ("lambda_l2", 0.09, {"low": 1e-5, "high": 1e-1, "log": True}, 0.9886, "high"),
        ("lambda_l2", 1.2e-5, {"low": 1e-5, "high": 1e-1, "log": True}, 0.0198, "low"),
        ("dropout_rate", 0.0, {"low": 0.0, "high": 0.7, "log": False}, 0.0, ""),
        ("dropout_rate", 0.68, {"low": 0.0, "high": 0.7, "log": False}, 0.9714, "high"),
        ("dropout_rate", 0.65, {"low": 0.0, "high": 0.7, "log": False}, 0.9286, ""),
        ("dropout_rate", 0.11, {"low": 0.1, "high": 0.7, "log": False}, 0.0167, "low"),
        ("depth", 3, {"low": 1, "high": 3, "step": 1, "log": False}, 1.0, "high"),
        ("depth", 1, {"low": 1, "high": 3, "step": 1, "log": False}, 0.0, ""),
        ("depth", 3, {"low": 2, "high": 3, "step": 1, "log": False}, 1.0, ""),
        ("depth", 5, {"low": 1, "high": 3, "step": 1, "log": False}, 2.0, "high"),
        ("max_norm", 1.0, {"choices": [None, 1.0, 2.0, 4.0]}, 0.0, "low"),
        ("max_norm", 4.0, {"choices": [None, 1.0, 2.0, 4.0]}, 1.0, ""),
        ("width", 128, {"choices": [32, 128, 64]}, 1.0, "high"),
        ("max_norm", None, {"choices": [None, 1.0, 2.0, 4.0]}, None, ""),
        ("weight_decay", 0.0, {"low": 1e-4, "high": 1e-1, "log": True}, None, ""),
        ("dropout_rate", 0.0, {"low": 0.1, "high": 0.7, "log": False}, -0.1667, "low"),
        ("lambda_l1", None, {"low": 1e-5, "high": 1e-1, "log": True}, None, ""),
    ],
)  # fmt: skip
def test_place_and_edge(name, value, entry, position, edge):
    found = place_of(name, value, entry)
    assert found.position == (position if position is None else pytest.approx(position, abs=1e-4))
    assert found.edge == edge


@pytest.mark.parametrize("choices", [["none", "l1"], [False, True]])
def test_what_has_no_order_has_no_place(choices):
    assert place_of("x", choices[0], {"choices": choices}) is None


# Importance


@pytest.mark.slow
def test_each_target_is_decided_by_the_hyperparameter_that_made_it(make_trial, make_study):
    study = searched_study(make_trial, make_study, num=60)
    searched = replace(study, trials=study.trials[4:])
    found = importances(searched)
    assert found.ranking["val_ce"][0].name == "depth"
    assert found.ranking["gap_ce"][0].name == "dropout_rate"
    first, second = found.ranking["val_ce"][:2]
    assert first.mean > 0.5 > 5 * second.mean
    assert 0 < first.deviation < 0.5
    assert importances(searched) == found


@pytest.mark.slow
def test_noise_has_no_importance(make_trial, make_study):
    rng = np.random.default_rng(1)
    trials = [
        make_trial(n, config=TrialConfig(dropout_rate=rng.random()), val_ce=rng.random() + 0.1)
        for n in range(30)
    ]
    found = importances(make_study(*trials))
    assert "val_ce" not in found.ranking
    why = found.missing["val_ce"]
    assert "do not predict val_ce well on trials that the forest has not seen" in why


def test_few_trials_have_no_importance_and_it_says_why(make_trial, make_study):
    found = importances(searched_study(make_trial, make_study, num=FEWEST_TRIALS - 1))
    assert found.ranking == {}
    assert found.missing["gap_ce"] == (
        "19 measured trials are too few to tell which hyperparameter matters: expected at least 20"
    )


def test_a_lambda_is_shuffled_among_its_users_and_the_regularizer_with_its_lambdas(make_trial):
    kinds = ["none", "l2"] * 20
    trials = [make_trial(n, config=TrialConfig(regularizer=kind)) for n, kind in enumerate(kinds)]
    table = np.stack([encoded(kinds, False), np.arange(40.0)], axis=1)
    names, rng = ["regularizer", "lambda_l2"], np.random.default_rng(0)
    again = _shuffled(table, names, "lambda_l2", trials, rng)
    assert (again[::2] == table[::2]).all()
    assert sorted(again[1::2, 1]) == sorted(table[1::2, 1]) != again[1::2, 1].tolist()
    together = _shuffled(table, names, "regularizer", trials, rng)
    assert {tuple(row) for row in together} == {tuple(row) for row in table}
    assert (together[:, 0] != table[:, 0]).any()


def test_off_lies_beyond_the_end_that_it_resembles():
    lambdas = encoded([None, 1e-4, 1e-2], True)
    assert lambdas[0] < lambdas[1] < lambdas[2] == -2
    limits = encoded([None, 1.0, 4.0], False)
    assert limits[0] > limits[2]
    assert encoded(["l2", "l1", "l2"], False).tolist() == [1, 0, 1]


# Errors per class


def test_class_errors_are_counted_sorted_and_named():
    labels = np.array([0] * 4 + [1] * 4 + [2] * 2, np.int32)
    predicted = np.array([0, 0, 0, 0, 2, 2, 0, 1, 2, 1], np.int32)
    test = TestExamples(
        labels, {7: part(np.ones(10), labels == predicted, predicted)}, tuple("abcd")
    )
    found = class_errors(test, 7)
    assert [(e.name, e.num_examples, e.errors) for e in found.classes] == [
        ("b", 4, 3), ("c", 2, 1), ("a", 4, 0),
    ]  # fmt: skip
    assert (found.classes[0].taken_for, found.classes[0].times) == ("c", 2)
    assert (found.classes[2].taken_for, found.num_absent) == (None, 1)
    # F1: a 8/9, b 2/6, c 2/5
    assert found.macro_f1 == pytest.approx((8 / 9 + 1 / 3 + 2 / 5) / 3)
    low, high = found.macro_f1_interval
    assert 0 <= low < found.macro_f1 < high <= 1
    assert class_errors(test, 8) is None


# Calibration


def test_the_bins_of_the_diagram_give_the_calibration_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.4, 1, 3000).astype(np.float32)
    right = rng.random(3000) < sure - 0.1
    found = calibration(part(np.ones(3000), right, confidence=sure), "test")
    from_bins = sum(b.num_examples * abs(b.accuracy - b.confidence) for b in found.bins) / 3000
    assert len(found.bins) == 15
    assert found.ece == pytest.approx(from_bins) == expected_calibration_error(sure, right)
    assert found.ece == pytest.approx(0.1, abs=0.03)


def test_equal_confidences_share_a_bin_as_in_the_calibration_error():
    sure = np.repeat([0.5, 0.75, 1.0], [400, 300, 500])
    right = np.random.default_rng(0).random(1200) < sure
    found = calibration(part(np.ones(1200), right, confidence=sure), "test")
    assert [b.num_examples for b in found.bins] == [400, 300, 500]
    from_bins = sum(b.num_examples * abs(b.accuracy - b.confidence) for b in found.bins) / 1200
    assert found.ece == pytest.approx(from_bins)


def test_few_examples_give_a_diagram_but_no_number():
    sure = np.linspace(0.5, 1, 359)
    found = calibration(part(np.ones(359), sure > 0.6, confidence=sure), "validation")
    assert (found.ece, len(found.bins), found.num_examples) == (None, 5, 359)
    assert calibration(part([0.1], confidence=[np.nan]), "validation") is None

"""Winner, best and baseline: one definition each, which every part of a page uses."""

from dataclasses import replace

import pytest

from pipeline.records import TrialConfig
from pipeline.report.evidence import evidence_of
from pipeline.report.figures import tradeoff
from pipeline.report.figures.curves import compared
from pipeline.report.report import NO_REGULARIZATION
from pipeline.report.sections import answer, comparison
from pipeline.selection.baseline import baseline_of
from pipeline.training.techniques import used

CURVES = {"val_ce": (0.9, 0.3), "train_ce": (0.8, 0.2)}
DROPOUT = TrialConfig(dropout_rate=0.3)


@pytest.fixture
def trials(make_trial):
    """Two plain trials, the second of them better, then the best one, then the winner."""
    return [
        make_trial(0, config=TrialConfig(), val_ce=0.304, gap_ce=0.2, curves=CURVES),
        make_trial(1, config=TrialConfig(width=32), val_ce=0.303, gap_ce=0.3, curves=CURVES),
        make_trial(2, config=DROPOUT, val_ce=0.300, gap_ce=0.15, curves=CURVES),
        make_trial(3, config=replace(DROPOUT, depth=3), val_ce=0.302, gap_ce=0.01, curves=CURVES),
    ]


def roles_everywhere(report):
    """The baseline's number by each part of the page that names it."""
    return {
        "report": report.baseline.number,
        "evidence": evidence_of(report).isolation.baseline.number,
        "comparison": {role: t.number for role, t in comparison.others(report)}[NO_REGULARIZATION],
        "answer": dict(answer._named(report))[NO_REGULARIZATION].number,
        "curves": {role.split(",")[0]: t.number for role, t in compared(report)}[NO_REGULARIZATION],
        "tradeoff": {
            label.split(" (")[0]: trial.number
            for trial, label, *_ in tradeoff._named(report, report.study.trials)
        }[NO_REGULARIZATION],
    }


@pytest.mark.parametrize(
    ("name", "named", "expected"),
    [
        ("baseline", 0, 0),  # the reference of that name, though another plain one is better
        ("notebook_plain", 0, 1),  # another name: the best without any technique
        ("baseline", 2, 1),  # what uses a technique is no unregularized baseline
    ],
)
def test_every_part_of_a_page_means_the_same_baseline(trials, report_on, name, named, expected):
    trials[named] = replace(trials[named], name=name)
    report = report_on(*trials)
    assert (report.winner.number, report.best.number) == (3, 2)
    assert set(roles_everywhere(report).values()) == {expected}, roles_everywhere(report)


@pytest.mark.parametrize("state", ["FAIL", "PRUNED", "RUNNING"])
def test_a_baseline_that_did_not_end_is_none(trials, make_study, state):
    trials[0] = replace(trials[0], name="baseline", state=state)
    assert baseline_of(make_study(*trials), used).number == 1


def test_a_diverged_baseline_is_none(trials, make_trial, make_study):
    trials[0] = make_trial(0, name="baseline", config=TrialConfig(), val_ce=float("nan"))
    assert trials[0].state == "COMPLETE"
    assert baseline_of(make_study(*trials), used).number == 1


def test_of_a_model_of_the_users_own_only_the_reference_is_a_baseline(make_trial, make_study):
    """What such a trial does to overfit less is not known, whatever its techniques say."""
    config = TrialConfig(family="my_model.py:build")
    mine = [make_trial(number, config=config) for number in range(3)]
    assert baseline_of(make_study(*mine), used) is None
    mine[2] = replace(mine[2], name="baseline")
    assert baseline_of(make_study(*mine), used).number == 2


def test_without_a_plain_trial_there_is_no_baseline(trials, report_on):
    report = report_on(*trials[2:])
    assert report.baseline is None
    assert NO_REGULARIZATION not in dict(comparison.others(report))

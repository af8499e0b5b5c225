"""Demands on a report: which end of which interval is judged, and what is said."""

import math
from dataclasses import replace

import pytest

from pipeline.records import TestResult
from pipeline.report.gates import unmet
from pipeline.report.report import Report
from pipeline.selection.confirm import average_seeds
from pipeline.selection.records import Confirmation, RuleSettings
from pipeline.selection.select import select

TEST = TestResult(
    ce=0.3, ce_low=0.28, ce_high=0.32, accuracy=0.92, accuracy_low=0.90, accuracy_high=0.94,
    gap_ce=0.04, gap_ce_low=0.02, gap_ce_high=0.06, reads=1,
)  # fmt: skip


@pytest.fixture
def report(make_trial, make_study):
    study = make_study(make_trial(0, gap_ce=0.1, accuracy=0.9))
    return Report(study, select(study, RuleSettings()))


def test_the_worse_end_of_the_test_interval_is_judged(report):
    read = replace(report, test=TEST)
    assert unmet(read, 0.06, 0.90) == []
    assert unmet(read, 0.05, None) == [
        "--max-gap 0.05: the gap on the test part may be 0.0600 nats (95% 0.0200 to 0.0600)"
    ]
    assert unmet(read, None, 0.91) == [
        "--min-accuracy 0.91: the accuracy on the test part may be 0.9000 (95% 0.9000 to 0.9400)"
    ]


def test_every_failure_is_named(report):
    assert len(unmet(replace(report, test=TEST), 0.0, 1.0)) == 2


def test_without_a_demand_nothing_fails(report):
    assert unmet(report, None, None) == []


def test_where_the_test_part_was_not_read_validation_is_judged_and_it_is_said(report):
    assert unmet(report, 0.12, 0.87) == []
    gap, accuracy = unmet(report, 0.11, 0.89)
    where = "on validation (the test part was not read for this choice) may be"
    # 0.1 + 1.96 * 0.01; Wilson's lower end of 900 of 1000.
    assert gap == f"--max-gap 0.11: the gap {where} 0.1196 nats (95% 0.0804 to 0.1196)"
    assert accuracy.startswith(f"--min-accuracy 0.89: the accuracy {where} 0.8798 (95% 0.8798")


def test_with_finalists_the_mean_over_seeds_is_judged(report, make_trial):
    runs = [make_trial(0, gap_ce=gap, accuracy=0.9) for gap in (0.1, 0.3, 0.5)]
    confirmation = Confirmation((1, 2, 3), (average_seeds(0, runs),), 0)
    (gap,) = unmet(replace(report, confirmation=confirmation), 0.2, 0.87)
    assert "95% 0.07" in gap  # 0.3 -+ 1.96 * (0.2 / sqrt(3)), and a little for the examples


def test_without_a_winner_every_demand_fails(report):
    none = replace(report, selection=select(report.study, RuleSettings("pareto")))
    assert unmet(none, 0.0, None) == ["--max-gap 0: there is no winner"]


def test_what_is_not_a_number_does_not_pass(report):
    broken = replace(TEST, gap_ce_high=math.nan, accuracy_low=math.nan)
    assert len(unmet(replace(report, test=broken), 9.0, 0.0)) == 2

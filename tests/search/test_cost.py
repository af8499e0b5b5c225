"""The estimate grows in proportion to what has to be computed, and speaks plainly."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_space import small_space

from pipeline.formatting import duration
from pipeline.records import StepTiming, TrialConfig
from pipeline.search.cost import (
    CALL_COST,
    UNTIMED_TRIALS,
    DataSize,
    Estimate,
    threads,
    typical_configs,
)
from pipeline.search.space import space

DATA = DataSize((64,), num_train=1000, num_validation=300)
CONFIG = TrialConfig(depth=1, width=64, batch_size=100)
SCORING = 1 + 2 * 300 / (3 * 1000)
"""An epoch with its scoring, in epochs without."""


def timed(config=CONFIG, seconds_per_step=0.01, data=DATA, epochs=5, setup_seconds=0.0):
    estimate = Estimate(data, epochs)
    estimate.add([config], StepTiming(seconds_per_step, 10, setup_seconds))
    return estimate


def test_nothing_is_said_before_the_first_timing():
    assert Estimate(DATA, 5).seconds([CONFIG], 1) is None


def test_the_timed_config_takes_its_steps_and_a_third_more_per_scored_example():
    assert timed().seconds([CONFIG], 1) == pytest.approx(5 * 10 * 0.01 * SCORING)


def test_setting_up_counts_once_per_cohort():
    calm, slow = timed(), timed(setup_seconds=2.0)
    trials = [CONFIG] * 6
    assert slow.seconds(trials, 1) == pytest.approx(calm.seconds(trials, 1) + 12.0)
    assert slow.seconds(trials, 1, 3.0) == pytest.approx(calm.seconds(trials, 1, 3.0) + 4.0)


def test_time_is_shared_by_workers_and_grows_with_trials_and_epochs():
    one = timed().seconds([CONFIG], 1)
    assert timed().seconds([CONFIG] * 8, 1) == pytest.approx(8 * one)
    assert timed().seconds([CONFIG] * 8, 4) == pytest.approx(2 * one)
    assert timed(epochs=50).seconds([CONFIG], 1) == pytest.approx(10 * one)
    assert timed().seconds([], 1) == 0.0


def test_a_trial_takes_its_own_epochs_and_never_more_than_the_studys():
    few, more = (replace(CONFIG, more=(("epochs", count),)) for count in (2, 9))
    one = timed().seconds([CONFIG], 1)
    assert timed().seconds([few], 1) == pytest.approx(one * 2 / 5)
    assert timed().seconds([more], 1) == pytest.approx(one)
    both = timed().seconds([few, CONFIG], 1, together=2)
    assert both == pytest.approx(timed().seconds([CONFIG] * 2, 1, together=2) * 7 / 10)
    assert timed().num_in_time([few] * 50, 2.0) > timed().num_in_time([few, CONFIG] * 25, 2.0)


def test_a_larger_net_takes_longer_in_proportion_to_its_work():
    wide = replace(CONFIG, width=6400)
    estimate = timed()
    work = 3 * 100 * 64 * 64 + CALL_COST
    wide_work = 3 * 100 * 64 * 6400 + CALL_COST
    assert estimate.seconds([wide], 1) / estimate.seconds([CONFIG], 1) == pytest.approx(
        wide_work / work, rel=0.02
    )


def test_smaller_batches_pay_for_more_calls():
    small = replace(CONFIG, batch_size=10)
    assert timed().seconds([small], 1) > 2 * timed().seconds([CONFIG], 1)


def together(trials, setup_seconds=0.0):
    estimate = Estimate(DATA, 5)
    estimate.add([CONFIG] * trials, StepTiming(0.01, 10, setup_seconds))
    return estimate


def test_a_cohort_takes_its_own_steps_whatever_it_holds():
    seconds = 5 * 10 * 0.01 * SCORING
    assert together(4).seconds([CONFIG] * 4, 1, together=4) == pytest.approx(seconds)
    assert together(100).seconds([CONFIG] * 100, 1, together=100) == pytest.approx(seconds)
    assert together(100).seconds([CONFIG] * 200, 2, together=100) == pytest.approx(seconds)


def test_trials_of_small_cohorts_take_longer():
    estimate = together(100, setup_seconds=3.0)
    large, small = (estimate.seconds([CONFIG] * 100, 1, size) for size in (100, 2))
    assert small > 10 * large


@pytest.mark.parametrize("setup_seconds", [0.0, 8.0])
def test_as_many_train_together_as_the_time_allows(setup_seconds):
    estimate = together(4, setup_seconds)
    seconds = 5 * 10 * 0.01 * SCORING + setup_seconds
    assert estimate.num_in_time([CONFIG] * 50, 1.001 * seconds) == 4
    assert estimate.num_in_time([CONFIG] * 50, 0.999 * seconds) == 3
    assert estimate.num_in_time([CONFIG] * 3, 1e9) == 3
    assert (
        estimate.num_in_time([CONFIG] * 50, 0.0) == estimate.num_in_time([CONFIG] * 50, -1.0) == 1
    )


def test_before_the_first_timing_a_few_train_together():
    assert Estimate(DATA, 5).num_in_time([CONFIG] * 50, 1e9) == UNTIMED_TRIALS
    assert Estimate(DATA, 5).num_in_time([CONFIG] * 3, 0.0) == 3


def test_one_slow_cohort_does_not_spoil_the_estimate():
    estimate = timed()
    before = estimate.seconds([CONFIG], 1)
    for seconds in (0.01, 5.0):
        estimate.add([CONFIG], StepTiming(seconds, 10))
    assert estimate.seconds([CONFIG], 1) == pytest.approx(before)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "1 s"),
        (0.4, "1 s"),
        (40.2, "40 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (720, "12 min"),
        (5369, "89 min"),
        (5400, "1 h 30 min"),
        (12000, "3 h 20 min"),
        (360000, "100 h 0 min"),
    ],
)
def test_durations_are_words(seconds, words):
    assert duration(seconds) == words


@given(st.floats(0, 1e7))
def test_every_duration_has_words(seconds):
    assert duration(seconds).split()[1] in ("s", "min", "h")


@pytest.mark.parametrize("name", space.names())
def test_typical_configs_lie_within_their_space(name):
    chosen = space.load(name)
    drawn = typical_configs(chosen)
    assert len(drawn) == 64
    assert all(chosen.parameters_of(config) is not None for config in drawn)
    assert len(set(drawn)) > 32


def test_typical_configs_are_the_same_every_time_and_repeat_in_turn():
    chosen = small_space()
    drawn = typical_configs(chosen, 70)
    assert drawn == typical_configs(chosen, 70)
    assert drawn[64:] == drawn[:6]
    assert typical_configs(chosen, 0) == []


def test_small_networks_get_one_thread_and_larger_ones_their_share():
    small, large = TrialConfig(depth=1, width=16, batch_size=32), TrialConfig(depth=1, width=1024)
    assert threads([small], DATA) == 1
    assert threads([small], DATA, workers=3) == 1
    assert threads([small, large], DATA) is None
    assert threads([small, large], DATA, workers=2) == max((os.cpu_count() or 1) // 2, 1)
    assert threads([large], DATA, workers=10_000) == 1

"""What is told about time: a range, from this study's steps or an earlier one's on this machine."""

import pytest

from pipeline.records import StepTiming, TrialConfig
from pipeline.search import foreseen
from pipeline.search.cohort_sizing import Sizing, fixed
from pipeline.search.cost import DataSize, Estimate
from pipeline.search.foreseen import (
    Span,
    cohort_size,
    remember,
    remembered,
    report_span,
    search_span,
    speed_file,
)

DATA = DataSize((64,), num_train=1000, num_validation=300)
CONFIG = TrialConfig(depth=1, width=64, batch_size=100)
WIDE = TrialConfig(depth=1, width=6400, batch_size=100)


@pytest.fixture(autouse=True)
def _own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)


def timed(seconds_per_step=0.01, setup_seconds=2.0):
    estimate = Estimate(DATA, 5)
    estimate.add([CONFIG], StepTiming(seconds_per_step, 10, setup_seconds))
    return estimate


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (12, 63, "12 to 63 s"),
        (40, 600, "40 s to 10 min"),
        (120, 600, "2 to 10 min"),
        (4000, 40_000, "67 min to 11 h 7 min"),
        (1, 1, "1 s"),
    ],
)
def test_a_range_in_words(low, high, text):
    assert str(Span(low, high)) == text


def test_the_upper_end_holds_all_epochs_and_what_is_done_beside_training():
    most = timed().seconds([CONFIG] * 8, 1, 4.0)
    span = search_span(timed(), [CONFIG] * 8, 1, 4.0)
    assert span.low < most < span.high
    assert search_span(timed(), [], 1, 4.0) == Span(0.0, 0.0)


def test_a_report_takes_longer_with_more_finalists_and_without_any_hardly_anything():
    none, some, many = (report_span(timed(), [CONFIG], count) for count in (0, 6, 15))
    assert none == Span(*foreseen.REPORT_SECONDS)
    assert none.high < some.high < many.high
    assert none.low < some.low <= many.low
    # The largest network may be a finalist.
    assert report_span(timed(), [CONFIG, CONFIG, WIDE], 15).high > many.high


def test_trials_train_together_as_they_are_asked_for_and_by_structure():
    deep = TrialConfig(depth=2, width=64, batch_size=100)
    assert cohort_size([CONFIG] * 12, fixed(4)) == 4.0
    assert cohort_size([CONFIG, deep] * 6, fixed(4)) == 2.0
    assert cohort_size([CONFIG] * 12, Sizing(first=6, later=2, largest=6)) == 3.0
    assert cohort_size([], fixed(4)) == 0.0


def test_before_the_first_search_on_a_machine_a_default_is_said_to_be_one():
    estimate, was_timed = remembered(DATA, 5, "auto")
    assert not was_timed
    assert estimate.seconds([CONFIG], 1) > 0


def test_what_a_search_timed_is_what_the_next_one_goes_by():
    remember(timed(seconds_per_step=0.5), "cpu")
    estimate, was_timed = remembered(DATA, 5, "auto")
    assert was_timed
    assert estimate.seconds([CONFIG], 1) == pytest.approx(timed(0.5).seconds([CONFIG], 1))
    assert remembered(DATA, 5, "gpu")[1] is False
    assert remembered(DATA, 5, "cpu")[1] is True


def test_another_backends_timings_are_not_this_ones(monkeypatch):
    remember(timed(), "cpu")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert remembered(DATA, 5, "auto")[1] is False


def test_the_device_used_last_counts_and_only_the_last_timings_are_kept():
    for seconds in range(1, 30):
        remember(timed(seconds_per_step=seconds), "gpu: A")
    remember(timed(seconds_per_step=0.01), "cpu")
    assert remembered(DATA, 5, "auto")[0].rates == timed().rates
    slow = remembered(DATA, 5, "gpu")[0]
    assert min(slow.rates) == pytest.approx(timed(22).rates[0])
    assert len(slow.rates) == foreseen.KEPT - 1


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '[{"rate": "x", "setup": 1}]', "[null]"])
def test_a_file_of_something_else_is_as_good_as_none(text):
    speed_file().parent.mkdir(parents=True)
    speed_file().write_text(text)
    assert remembered(DATA, 5, "auto")[1] is False
    remember(timed(), "cpu")
    assert remembered(DATA, 5, "auto")[1] is True


def test_a_state_folder_that_cannot_be_written_is_no_error(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    remember(timed(), "cpu")
    assert remembered(DATA, 5, "auto")[1] is False


def test_a_search_that_timed_nothing_keeps_nothing():
    remember(Estimate(DATA, 5), "cpu")
    assert not speed_file().exists()

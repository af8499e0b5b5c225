"""How a failed cohort is tried again, and when a study stops."""

import pytest

from pipeline.records import Trial, TrialConfig, TrialOutcome
from pipeline.search.executors.interface import ERROR, MEMORY, TIMEOUT, Failed, Limits
from pipeline.search.retries import (
    Capacity,
    FailureCount,
    advice,
    as_option,
    cause_of,
    groups_to_retry,
    kind_of,
    limits_of,
)
from pipeline.training.techniques import structure


def outcomes(*causes):
    return [
        TrialOutcome(n, "FAIL" if cause else "COMPLETE", cause=cause)
        for n, cause in enumerate(causes)
    ]


def group(size):
    return [Trial(number, TrialConfig(), 0) for number in range(size)]


def numbers(groups):
    return [[suggestion.number for suggestion in group] for group in groups]


def test_failures_of_one_kind_in_a_row_stop_a_study():
    count = FailureCount(3)
    assert count.reason_to_stop(outcomes("E: trial 1 of 8")) is None
    assert count.reason_to_stop(outcomes("E: trial 2 of 8")) is None
    assert count.reason_to_stop(outcomes("E: trial 3 of 8")) == (
        "3 trials failed in a row, the last one with: E: trial 3 of 8. The search stops here "
        "(--max-failures 3); what was trained is kept. Mend the cause and run the same command "
        "again; it goes on regardless with a larger --max-failures"
    )


def test_failures_of_other_kinds_count_apart_and_a_trained_trial_ends_every_row():
    count = FailureCount(2)
    assert count.reason_to_stop(outcomes("one")) is None
    assert count.reason_to_stop(outcomes("other")) is None
    assert count.reason_to_stop(outcomes("one", None, "one", "one")) is None
    assert count.reason_to_stop(outcomes("other")) is None
    assert count.reason_to_stop(outcomes("one", "other")) is not None


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ("ValueError: 1.5e-3 at 0xff2a in 12", "ValueError: # at # in #"),
        ("the worker process died (exit code 3): step 5", "the worker process died (exit code 3)"),
        ("E: " + "x" * 90, "E: " + "x" * 57),
    ],
)  # fmt: skip
def test_a_kind_leaves_out_numbers_and_details(cause, kind):
    assert kind_of(cause) == kind


def test_what_usually_mends_a_cause_is_said():
    assert advice("ValueError: no") == ""
    assert advice("ResourceExhaustedError: OOM").startswith(" (less memory is needed with a")
    assert advice("ran longer than --trial-timeout 1m").startswith(" (give a longer --trial")


def test_only_what_ran_out_of_memory_is_halved():
    assert numbers(groups_to_retry(group(5), MEMORY)) == [[0, 1, 2], [3, 4]]
    assert numbers(groups_to_retry(group(2), MEMORY)) == [[0], [1]]
    for fault in (ERROR, TIMEOUT):
        assert numbers(groups_to_retry(group(3), fault)) == [[0], [1], [2]]


def test_later_cohorts_of_a_structure_are_as_large_as_one_that_fitted():
    capacity = Capacity()
    assert numbers(capacity.split(group(3))) == [[0, 1, 2]]
    kind = structure(TrialConfig())
    capacity.ran_out(kind, 12)
    assert capacity.largest(kind) == 6
    capacity.ran_out(kind, 6)
    capacity.fitted(kind, 3)
    assert capacity.largest(kind) == 3
    assert numbers(capacity.split(group(7))) == [[0, 1, 2], [3, 4, 5], [6]]
    assert capacity.largest(structure(TrialConfig(depth=3))) is None


def test_one_poison_trial_does_not_make_later_cohorts_small():
    capacity, kind = Capacity(), structure(TrialConfig())
    for size in (8, 4, 2, 1):
        capacity.ran_out(kind, size)
        capacity.fitted(kind, size // 2 or 1)
    assert capacity.largest(kind) is None


def test_a_cohort_may_take_as_long_as_its_trials_and_be_silent_as_long_as_one():
    assert limits_of(4, None) is None
    assert limits_of(4, 60.0) == Limits(silence_seconds=60.0, total_seconds=240.0)


def test_the_cause_names_the_option():
    late = Failed(0, "gave no sign of life for 600 s", TIMEOUT)
    assert cause_of(late, 600.0) == "ran longer than --trial-timeout 10m"
    assert cause_of(Failed(0, "E: x"), 600.0) == "E: x"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(600.0, "10m"), (90.0, "1m30s"), (5400.0, "1h30m"), (0.5, "0.5s"), (3600.0, "1h")],
)
def test_a_duration_is_spelled_as_the_option_takes_it(seconds, text):
    assert as_option(seconds) == text

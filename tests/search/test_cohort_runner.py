"""One loop runs cohorts for the search and for finalists: what fails is tried again smaller."""

from dataclasses import dataclass, field

import pytest

from pipeline.records import EpochReport, Trial, TrialConfig, TrialOutcome
from pipeline.search.cohort_runner import CohortRunner, CohortSettings
from pipeline.search.executors.interface import (
    ERROR,
    MEMORY,
    TIMEOUT,
    Executor,
    Failed,
    Finished,
    Limits,
    Progressed,
)


class Scripted(Executor):
    """Answers every job at the next wait: ``answer(cohort)`` gives the events."""

    def __init__(self, answer, workers=1):
        self.answer, self.workers = answer, workers
        self.jobs, self.limits, self.told = [], [], []
        self._waiting = []

    def submit(self, key, job, limits=None):
        self.jobs.append([trial.number for trial in job.trials])
        self.limits.append(limits)
        self._waiting.append(job)

    def wait(self, handle, timeout_seconds):
        for event in self.answer(self._waiting.pop(0)):
            handle(event)

    def tell(self, key, message):
        self.told.append((key, message))

    def close(self):
        pass


@dataclass
class Owner:
    most: int = 99
    notes: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)
    new: list = field(default_factory=list)

    def label(self, cohort):
        return f"cohort {cohort.number}"

    def note(self, message):
        self.notes.append(message)

    def num_to_start(self, group):
        return min(self.most, len(group))

    def cohort_started(self, cohort):
        pass

    def step_timed(self, running, timing):
        pass

    def epoch_ended(self, running, report, new):
        self.new.append(sorted(new))

    def trials_ended(self, outcomes):
        self.outcomes += outcomes

    def event_handled(self, event):
        pass


def trials(count):
    return [Trial(number, TrialConfig(), number) for number in range(count)]


def complete(cohort):
    return Finished(cohort.number, [TrialOutcome(t.number, "COMPLETE") for t in cohort.trials])


def run(answer, count, owner, **settings):
    executor = Scripted(answer)
    runner = CohortRunner(executor, CohortSettings(3, 3, **settings), owner)
    runner.add([trials(count)])
    runner.start_waiting()
    while runner.running:
        runner.wait()
        runner.start_waiting()
    return executor


def failing(fault, bad):
    """Cohorts of these sizes, or with these trials, fail; the others end well."""

    def answer(cohort):
        return [Failed(cohort.number, "broken", fault) if bad(cohort) else complete(cohort)]

    return answer


@pytest.mark.parametrize(
    ("fault", "jobs", "how"),
    [
        (ERROR, [[0, 1, 2, 3], [0], [1], [2], [3]], "one by one"),
        (MEMORY, [[0, 1, 2, 3], [0, 1], [2, 3]], "in halves"),
    ],
)
def test_a_cohort_that_fails_is_tried_again(fault, jobs, how):
    owner = Owner()
    executor = run(failing(fault, lambda cohort: len(cohort.trials) > 2), 4, owner)
    assert executor.jobs == jobs
    assert owner.notes == [f"cohort 0 failed (broken): its trials are tried {how}"]
    assert [(o.number, o.state) for o in owner.outcomes] == [(n, "COMPLETE") for n in range(4)]


def test_a_single_trial_that_fails_ends_with_its_cause():
    owner = Owner()
    run(failing(ERROR, lambda cohort: cohort.trials[0].number == 0), 2, owner)
    assert [(o.number, o.state, o.cause) for o in owner.outcomes] == [
        (0, "FAIL", "broken"),
        (1, "COMPLETE", None),
    ]


def test_a_trial_past_its_limit_says_which():
    owner = Owner()
    executor = run(failing(TIMEOUT, lambda cohort: True), 1, owner, trial_timeout_seconds=90.0)
    assert executor.limits == [Limits(silence_seconds=90.0, total_seconds=90.0)]
    assert owner.outcomes[0].cause == "ran longer than --trial-timeout 1m30s"


def test_the_owner_says_how_many_start_together():
    executor = run(failing(ERROR, lambda cohort: False), 5, Owner(most=2))
    assert executor.jobs == [[0, 1], [2, 3], [4]]


def test_epochs_of_a_trial_that_is_tried_again_are_not_new():
    def answer(cohort):
        numbers = {trial.number: {"val_ce": 1.0} for trial in cohort.trials}
        yield Progressed(cohort.number, EpochReport(1, numbers, 0.1))
        if len(cohort.trials) > 1:
            yield Failed(cohort.number, "broken")
        else:
            yield Progressed(cohort.number, EpochReport(2, numbers, 0.1))
            yield complete(cohort)

    owner = Owner()
    run(answer, 2, owner)
    assert owner.new == [[0, 1], [], [0], [], [1]]


def test_nothing_starts_after_a_stop_and_a_prune_reaches_the_worker():
    executor = Scripted(failing(ERROR, lambda cohort: False))
    runner = CohortRunner(executor, CohortSettings(3, 3), Owner(), first_number=7)
    runner.add([trials(1), trials(1)])
    runner.start_waiting()
    runner.prune(runner.running[7].cohort, 0)
    runner.stopping = True
    runner.wait()
    assert (len(executor.jobs), len(runner.waiting), executor.told) == (1, 1, [(7, 0)])

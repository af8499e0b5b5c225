"""Faults planted in real worker processes: the guilty trial fails, nothing else is lost."""

import pytest

from pipeline import tracking
from pipeline.errors import InputError, PipelineError
from pipeline.search.options import SearchOptions, prepare

GUILTY = 5
FAULTS = {
    "exception": "RuntimeError: trial 5 is poison",
    "nan": "diverged: no finite epoch",
    "memory": "MemoryError: unable to allocate 9 GiB for trial 5",
    "kill": "the worker process died (signal SIGKILL, as the kernel sends it when memory runs out)",
    "crash": "the worker process died (signal SIGSEGV)",
    "hang": "ran longer than --trial-timeout 4s",
}


def numbers(record):
    return {t.number: (t.config, t.measurement, t.curves) for t in record.trials}


@pytest.fixture(scope="module")
def calm():
    return {}


@pytest.fixture
def undisturbed(faulty, calm):
    """Every trial's numbers in a search without faults, made once."""
    if not calm:
        record, _ = faulty(study="calm", storage="calm.journal")
        assert [trial.state for trial in record.trials] == ["COMPLETE"] * 8
        calm.update(numbers(record))
    return calm


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_only_the_guilty_trial_fails_with_its_cause_and_its_mates_keep_their_numbers(
    faulty, undisturbed, fault
):
    limit = {"trial_timeout_seconds": 4.0} if fault == "hang" else {}
    record, _ = faulty({GUILTY: fault}, **limit)
    states = {trial.number: trial.state for trial in record.trials}
    assert states == {n: "FAIL" if n == GUILTY else "COMPLETE" for n in range(8)}
    given = numbers(record)
    assert given.pop(GUILTY)[1] is None
    assert given == {n: value for n, value in undisturbed.items() if n != GUILTY}

    store = tracking.connect()
    kept = {trial.number: trial for trial in store.read_study(study="digits").trials}
    assert kept[GUILTY].cause == FAULTS[fault]
    runs = {n: store.get_run(trial.mlflow_run_id) for n, trial in kept.items()}
    assert {n: run.info.status for n, run in runs.items()} == {
        n: "FAILED" if n == GUILTY else "FINISHED" for n in range(8)
    }
    assert runs[GUILTY].data.tags["cause"] == FAULTS[fault]


def test_a_cohort_that_runs_out_of_memory_is_halved_until_it_fits_and_the_size_is_kept(
    faulty, undisturbed
):
    record, lines = faulty(room=3, cohort_size=4)
    assert numbers(record) == undisturbed
    failed = [line for line in lines if "failed" in line]
    # Eight trials are asked for in two rounds of four; only the first one had to be halved.
    assert failed == [
        "cohort 0 (4 trials) failed (ResourceExhaustedError: OOM when allocating tensor of 4): its "
        "trials are tried in halves"
    ]


@pytest.mark.slow
def test_a_cohort_that_takes_too_long_is_tried_one_by_one(faulty, undisturbed):
    record, lines = faulty({2: "hang"}, trial_timeout_seconds=4.0)
    assert (
        "cohort 0 (8 trials) failed (gave no sign of life for 4 s): its trials are tried one by one"
    ) in lines
    assert record.trials[2].cause == "ran longer than --trial-timeout 4s"
    assert {n: v for n, v in numbers(record).items() if n != 2} == {
        n: v for n, v in undisturbed.items() if n != 2
    }


@pytest.mark.slow
def test_failures_of_one_kind_stop_the_study_with_a_diagnosis(faulty):
    everywhere = dict.fromkeys(range(1, 99), "kill")
    with pytest.raises(PipelineError) as caught:
        faulty(everywhere, cohort_size=1, max_failures=3)
    assert str(caught.value) == (
        "3 trials failed in a row, the last one with: the worker process died (signal SIGKILL, as "
        "the kernel sends it when memory runs out). The search stops here (--max-failures 3); what "
        "was trained is kept. Mend the cause (less memory is needed with a smaller batch_size or "
        "width, or fewer --workers) and run the same command again; it goes on regardless with a "
        "larger --max-failures"
    )
    kept = tracking.connect().read_study().trials
    assert [trial.state for trial in kept] == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
    record, _ = faulty(cohort_size=1)
    assert [trial.state for trial in record.trials] == [
        "COMPLETE",
        *["FAIL"] * 3,
        *["COMPLETE"] * 4,
    ]


def test_a_limit_that_the_executor_cannot_keep_is_refused():
    with pytest.raises(InputError) as caught:
        prepare(SearchOptions(executor="inline", trial_timeout_seconds=5.0))
    assert str(caught.value) == (
        "--trial-timeout: --executor inline trains in this process and cannot end a trial; use "
        "--executor processes, or leave the limit out"
    )

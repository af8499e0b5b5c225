"""A trial trained again: what counts as agreement; a real one that agrees, and some that do not."""

import contextlib
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline import tracking
from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.records import Measurement, PerExample, TrialConfig, TrialOutcome, TrialRecord
from pipeline.reproduce import Row, as_text, check_comparable, compare
from pipeline.search.options import SearchOptions, prepare
from pipeline.search.run import run_search
from pipeline.tracking.reproducible_run import ReproducibleRun

DEFINITION = {
    "source": "digits", "seed": 0, "train_examples": None, "precision": "float32",
    "space": {"epochs": 4, "patience": 4},
}  # fmt: skip
NLL = np.random.default_rng(0).exponential(0.4, 400).astype(np.float32)
VALIDATION = PerExample(NLL, NLL < 1.2, np.zeros(400, np.int32), np.full(400, 0.5, np.float32))
MEASURED = Measurement(0.4, 0.95, 0.3, 0.97, 0.1, 0.02, 0.02, 0.0, 3, 4, 100)
CURVES = {"val_ce": (0.9, 0.5, 0.4, 0.401), "val_accuracy": (0.7, 0.9, 0.95, 0.95),
          "train_ce": (0.8, 0.4, 0.3, 0.25)}  # fmt: skip
STANDARD_ERROR = float(NLL.std(ddof=1) / 20)


def recorded(state="COMPLETE", measurement=MEASURED, **changes):
    trial = TrialRecord(7, state, TrialConfig(), "split", measurement=measurement,
                        validation=VALIDATION, curves=CURVES, **changes)  # fmt: skip
    return ReproducibleRun("run7", "digits", 11, trial, DEFINITION, "cpu", "")


def again(state="COMPLETE", **changes):
    measured = replace(MEASURED, **changes)
    return TrialOutcome(7, state, measured, VALIDATION, CURVES, device="cpu")


def test_equal_numbers_agree():
    found = compare(recorded(), again())
    assert found.agrees
    assert [row.name for row in found.rows] == [
        "val_ce", "val_accuracy", "train_ce", "gap_ce", "best_epoch"
    ]  # fmt: skip
    text = as_text(found)
    assert "run7: recorded on cpu, reproduced alone on cpu." in text
    assert "The same class for 400 of 400 validation examples." in text
    assert text.endswith("The numbers agree.\n")


@pytest.mark.parametrize("name", ["val_ce", "train_ce", "gap_ce"])
def test_a_quarter_of_a_standard_error_is_the_tolerance(name):
    value = getattr(MEASURED, name)
    assert compare(recorded(), again(**{name: value + 0.24 * STANDARD_ERROR})).agrees
    found = compare(recorded(), again(**{name: value - 0.26 * STANDARD_ERROR}))
    assert [row.name for row in found.rows if not row.agrees] == [name]
    assert re.search(rf"^{name} .* differs$", as_text(found), re.M)
    assert as_text(found).endswith("The numbers do not agree.\n")


def test_on_large_parts_a_hundredth_is_the_tolerance():
    exact = replace(VALIDATION, nll=np.full(400, 0.4, np.float32))
    for change, agrees in ((0.0039, True), (0.0041, False)):
        outcome = replace(again(val_ce=0.4 + change), validation=exact)
        assert compare(recorded(), outcome).agrees is agrees


def test_numbers_that_are_not_finite_never_agree():
    assert not compare(recorded(), again(val_ce=float("nan"))).agrees
    assert not Row("val_ce", float("nan"), float("nan"), 1.0).agrees


def test_the_best_epoch_may_move_along_a_flat_curve_only():
    assert compare(recorded(), again(best_epoch=4)).agrees
    found = compare(recorded(), again(best_epoch=2))
    assert [row.name for row in found.rows if not row.agrees] == ["best_epoch"]


def test_curves_of_a_part_of_validation_may_differ_by_more():
    run = recorded()
    part = replace(run, definition=DEFINITION | {"validation_per_epoch": 16})
    far = replace(run.trial, curves=CURVES | {"val_ce": (0.9, 0.42, 0.4, 0.401)})
    moved = again(best_epoch=2)
    moved = replace(moved, curves=far.curves)
    # 25 times fewer examples: five times the standard error. What is measured has the usual one.
    assert 0.25 * STANDARD_ERROR < 0.02 < 5 * 0.25 * STANDARD_ERROR
    assert not compare(replace(run, trial=far), moved).agrees
    assert compare(replace(part, trial=far), moved).agrees
    worse = replace(moved, measurement=replace(moved.measurement, val_ce=0.42))
    found = compare(replace(part, trial=far), worse)
    assert [row.name for row in found.rows if not row.agrees] == ["val_ce"]
    pruned = replace(part, trial=recorded("PRUNED", None).trial)
    off = replace(again(), curves=CURVES | {"val_ce": (0.9, 0.52, 0.4, 0.401)})
    assert compare(pruned, off).agrees
    assert not compare(replace(pruned, definition=DEFINITION), off).agrees


def test_a_pruned_trial_compares_its_curves_up_to_there():
    run = recorded("PRUNED", None)
    found = compare(run, again())
    assert found.agrees
    assert [row.name for row in found.rows] == [
        "val_ce, epoch 1", "val_ce, epoch 4", "val_accuracy, epoch 4", "train_ce, epoch 4",
    ]  # fmt: skip
    assert "It was pruned after epoch 4" in as_text(found)
    off = replace(again(), curves=CURVES | {"val_ce": (0.9, 0.7, 0.4, 0.401)})
    found = compare(run, off)
    assert [row.name for row in found.rows if not row.agrees] == ["val_ce, epoch 2"]


def test_a_trial_that_diverged_has_to_diverge_again():
    run = recorded("FAIL", None, cause="diverged: no finite validation cross-entropy in 2 epoch(s)")
    check_comparable(run)
    assert compare(run, TrialOutcome(7, "FAIL", cause="diverged: again")).agrees
    found = compare(run, again())
    assert not found.agrees
    assert "Reproduced: it was measured." in as_text(found)
    assert not compare(recorded(), TrialOutcome(7, "FAIL", cause="diverged: now")).agrees


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (recorded("RUNNING"), "run run7 has not ended"),
        (recorded("FAIL", cause="out of memory"), r"run run7 failed \(out of memory\)"),
        (recorded("FAIL"), "no cause is recorded"),
        (replace(recorded(), definition={}), "has not ended"),
    ],
)
def test_runs_without_numbers_are_refused(run, message):
    with pytest.raises(InputError, match=message):
        check_comparable(run)


SPACE = """
family: mlp
trials: 2
epochs: 4
patience: 4
fixed: {depth: 1, width: 16, batch_size: 16}
search:
  dropout_rate: {low: 0.1, high: 0.5}
references: {}
"""


class Silent:
    def note(self, message):
        pass

    warn = detail = note

    def show(self, snapshot):
        pass


def save(path, seed):
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], 60)
    np.savez(path, x=random.normal(labels[:, None], 1.0, (180, 5)), y=labels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a searched study of a user's own file."""
    path = tmp_path_factory.mktemp("reproduce")
    with contextlib.chdir(path):
        (path / "small.yaml").write_text(SPACE)
        save("mine.npz", 0)
        options = SearchOptions("mine.npz", search_space="small.yaml", executor="inline")
        run_search(options, prepare(options), Silent())
        yield path


@pytest.mark.slow
# Keras hands its variables to numpy in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_a_study_that_scores_a_part_of_validation_is_measured_on_all_and_reproduced(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPACE)
    random, labels = np.random.default_rng(0), np.arange(12_000) % 3
    np.savez("large.npz", x=random.normal(labels[:, None], 2.0, (12_000, 5)), y=labels)
    options = SearchOptions(
        "large.npz", search_space="small.yaml", executor="inline", train_examples=300
    )
    run_search(options, prepare(options), Silent())
    study = tracking.connect().read_study("large")
    assert study.validation_per_epoch == 2_000
    for trial in study.trials:
        assert len(trial.validation.nll) == 2_400
        measured, curve = trial.measurement, trial.curves["val_ce"]
        assert measured.val_ce == pytest.approx(float(trial.validation.nll.mean()), rel=1e-6)
        assert measured.val_ce != min(curve)
        assert measured.best_epoch == int(np.argmin(curve)) + 1
    result = reproduce(study.trials[0].mlflow_run_id)
    assert result.exit_code == 0, result.output
    assert "The numbers agree." in result.stdout
    # The report restores the winner and compares it with what was recorded: all of validation.
    command = ["report", "--study", "large", "--seeds", "1", "--format", "json"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["status"], told["validation_per_epoch"]) == ("ok", 2_000)
    assert told["test"]["reads"] == 1


LIMITS = """
family: mlp
trials: 6
epochs: 6
patience: 4
fixed: {width: 16, batch_size: 16}
search:
  depth: [1, 2]
  hidden_activation: [relu, gelu]
  epochs: {low: 1, high: 6}
  patience: [1, 4]
references: {baseline: {}}
"""


@pytest.mark.slow
# Keras hands its variables to numpy in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_activation_epochs_and_patience_are_searched_reported_and_reproduced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "limits.yaml").write_text(LIMITS)
    save("mine.npz", 0)
    words = ["--dataset", "mine.npz", "--search-space", "limits.yaml", "--executor", "inline"]

    def called(*words):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "6 complete of 6 trials" in called("search", *words)
    assert "7 complete of 7 trials" in called("search", *words, "--trials", "7")
    store = tracking.connect()
    study = store.read_study("mine")
    configs = [trial.config for trial in study.trials]
    assert (configs[0].epochs, configs[0].patience) == (6, 4)  # the baseline: the study's
    assert len({config.epochs for config in configs}) > 2
    assert {config.hidden_activation for config in configs} == {"relu", "gelu"}
    for trial in study.trials:
        best, trained = trial.measurement.best_epoch, trial.measurement.epochs
        assert trained == min(trial.config.epochs, best + trial.config.patience)
        params = store.get_run(trial.mlflow_run_id).data.params
        assert params["epochs"] == str(trial.config.epochs)
    assert store.get_run(study.run_id).data.params["search.epochs"] == "1 to 6"
    short = min(study.trials, key=lambda trial: trial.config.epochs)
    gelu = next(trial for trial in study.trials if trial.config.hidden_activation == "gelu")
    for trial in (short, gelu):
        assert "The numbers agree." in called("reproduce", trial.mlflow_run_id)
    command = ("report", "--study", "mine", "--seeds", "2", "--finalists", "3", "--format")
    told = json.loads(called(*command, "json"))
    by_number = {trial["number"]: trial for trial in told["trials"]}
    assert by_number[short.number]["config"]["epochs"] == short.config.epochs
    finalists = store.read_finalists(study).trained.values()
    assert len(finalists) >= 4
    for training in finalists:
        config = by_number[training.number]["config"]
        assert training.measurement.epochs <= config["epochs"]
        assert training.config.hidden_activation == config.get("hidden_activation", "relu")
    page = " ".join(called(*command, "markdown").split())
    assert "activation gelu" in page and "patience 1" in page and "epochs 6" in page


def reproduce(run_id):
    return CliRunner().invoke(main, ["reproduce", str(run_id)])


@pytest.mark.slow
# Keras hands its variables to numpy in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")
def test_a_searched_trial_agrees_and_what_was_changed_does_not(folder):
    """One test, because its steps change the store one after the other."""
    from mlflow import MlflowClient

    store = tracking.connect()
    study = store.read_study("mine")
    client = MlflowClient(store.tracking_uri)
    count = len(client.search_runs(["0", "1"]))
    first, second = study.trials
    result = reproduce(first.mlflow_run_id)
    assert result.exit_code == 0, result.output
    assert "The numbers agree." in result.stdout
    assert "training trial 0 again on" in result.stderr
    assert result.stderr.endswith("Next: pipeline report --study mine\n")
    client.set_tag(study.run_id, "winner", str(second.number))
    assert "Trial 1 of study 'mine'" in reproduce(study.run_id).stdout
    assert len(client.search_runs(["0", "1"])) == count

    client.set_tag(first.mlflow_run_id, "seed", "5")
    result = reproduce(first.mlflow_run_id)
    assert result.exit_code == 1
    assert "The numbers do not agree." in result.stdout

    save("mine.npz", 1)
    result = reproduce(second.mlflow_run_id)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"was measured on split {study.split_id}, but" in result.stderr
    assert "the data changed" in result.stderr
    assert json.dumps(result.stderr).count("\\n") == 1

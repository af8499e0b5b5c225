"""The command as a user meets it: exit codes, messages, what it writes; one real search and report.

Fast tests call it in this process and train by a script (``scripted_trainer``); slow ones run the
installed command with Keras.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from pretended_gpus import A100, pretend
from scripted_trainer import Script, write_executor

from pipeline import tracking
from pipeline.cli import main
from pipeline.cli_study import _wrapped
from pipeline.cli_types import Auto, Duration
from pipeline.errors import DatasetError, DeviceError, TrackingError
from pipeline.formatting import decimal
from pipeline.report.completion import Completion
from pipeline.search import executors
from pipeline.search.executors.inline import InlineExecutor

HEAVY = ("keras", "tensorflow", "mlflow", "optuna", "numpy", "pydantic", "rich")
SCRIPTS = {
    "poisoned": {"poison": tuple(range(99))},
    "hopeless": {"hopeless": tuple(range(99))},
    "willing": {},
}
BROKEN = """\
family: mlp
trials: 6
epochs: 3
patience: 3
search:
  dropot_rate: {low: 0.0, high: 0.7}
"""


@pytest.fixture
def call(folder):
    """Calls the command in this process, in a folder of its own."""
    return lambda *arguments: CliRunner().invoke(main, arguments)


def fails(result, code, message):
    """Checks a failure: its code, one message and nothing else."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr == f"Error: {message}\n"


# Help and options


def in_a_new_process(code, *arguments):
    """Runs code that ends with the heavy modules it imported, on the last line of stdout."""
    ending = f"\nimport sys\nprint(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code + ending, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip().split("\n")[-1]


@pytest.mark.parametrize("command", ["", "search", "report", "datasets list", "space check"])
def test_help_imports_nothing_heavy(command):
    arguments = [*command.split(), "--help"]
    code = f"from pipeline.cli import main\nmain({arguments!r}, standalone_mode=False)"
    assert in_a_new_process(code) == "[]"


@pytest.mark.parametrize(
    ("model", "output", "following"),
    [
        ("m.keras", None, "pipeline predict --model m.keras --input x.npy --output "
         "predictions.csv"),
        ("m.keras", "y.csv", "pipeline predict --model m.keras --input FILE"),
        ("models:/m@champion", "y.csv", "mlflow models serve --model-uri models:/m@champion "
         "--env-manager local"),
        ("models:/m/1", None, "pipeline predict --model models:/m/1 --input x.npy --output "
         "predictions.csv"),
    ],
)  # fmt: skip
def test_predictions_are_kept_next_and_then_their_model_is_served(
    call, folder, monkeypatch, model, output, following
):
    monkeypatch.setattr("pipeline.predict.predict.predict", lambda *asked: None)
    monkeypatch.setattr("pipeline.predict.predict.as_csv", lambda found, every_class: ["row\n"])
    words = ("--output", output) if output else ()
    result = call("predict", "--model", model, "--input", "x.npy", *words)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == f"Next: {following}"


def test_help_names_every_command_and_is_also_h(call):
    result = call("-h")
    assert result.exit_code == 0
    for name in ("search", "report", "datasets", "space"):
        assert re.search(rf"^  {name} ", result.stdout, re.MULTILINE)
    assert call("--help").stdout == result.stdout


def test_every_option_of_every_command_has_help():
    def commands(group):
        for command in group.commands.values():
            yield command
            if isinstance(command, click.Group):
                yield from commands(command)

    for command in commands(main):
        assert command.help, command.name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{command.name} {option.name}"


def test_the_version_is_told(call):
    assert re.fullmatch(r"pipeline, version \d+\.\d+\.\d+\n", call("--version").stdout)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1h30m", 5400), ("1.5h", 5400),
        ("1h2m3s", 3723), (" 5m ", 300),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["soon", "30x", "m", "0", "0s", "-5m", "5m1h", "1h 30m"])
def test_what_is_no_duration_is_told(text):
    with pytest.raises(click.BadParameter) as caught:
        Duration().convert(text, None, None)
    assert caught.value.message == (f"'{text}' is no duration; expected 90s, 30m, 1h30m or seconds")


def test_auto_and_nothing_mean_the_default():
    inner = Auto(click.IntRange(min=1))
    assert inner.convert("auto", None, None) is None
    assert inner.convert("", None, None) is None
    assert inner.convert("7", None, None) == 7
    with pytest.raises(click.BadParameter, match="0 is not in the range"):
        inner.convert("0", None, None)


def test_every_option_of_a_search_takes_auto_but_those_with_a_default(call):
    options = [
        "search-space", "trials", "timeout", "epochs", "train-examples", "storage", "cohort-size",
        "data-dir",
    ]  # fmt: skip
    plain = call("search", "--dry-run")
    for word in ("auto", ""):
        arguments = [part for option in options for part in (f"--{option}", word)]
        result = call("search", "--dry-run", *arguments)
        assert (result.exit_code, result.stdout) == (0, plain.stdout), result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["searhc"], "No such command 'searhc'"),
        (["search", "--trials", "0"], "0 is not in the range x>=1"),
        (["search", "--timeout", "soon"], "'soon' is no duration; expected 90s, 30m, 1h30m or"),
        (["search", "--workers", "0"], "0 is not in the range x>=1"),
        (["report", "--workers", "some"], "'some' is not a valid integer range"),
        (["search", "--device", "tpu"], "'tpu' is not one of 'auto', 'cpu', 'gpu'"),
        (["search", "--data-dir", "nowhere"], "Directory 'nowhere' does not exist"),
        (["report", "--format", "pdf"], "'pdf' is not one of 'text', 'json', 'markdown', 'html'"),
        (["report", "--k", "one"], "'one' is not a valid float"),
        (["report", "--seeds", "0"], "0 is not in the range x>=1"),
        (["report", "--finalists", "1"], "1 is not in the range x>=2"),
        (["report", "--max-gap", "-1"], "-1.0 is not in the range x>=0.0"),
        (["report", "--min-accuracy", "93"], "93.0 is not in the range 0.0<=x<=1.0"),
        (["search", "--seed", "-1"], "-1 is not in the range"),
    ],
)
def test_usage_errors_are_2(call, arguments, message):
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


# Errors of the project


def test_an_unknown_dataset_is_2_and_told_with_the_closest_name(call):
    fails(
        call("search", "--dataset", "digit"),
        2,
        "There is no dataset 'digit' (did you mean 'digits'?). Known are cifar10, cifar100, "
        "digits, fashion_mnist, imdb, mnist, reuters; your own data are given by path, such as "
        "my.npz, my.csv or a folder of pictures or texts.",
    )


def test_an_unknown_executor_is_2_and_nothing_is_written(call, folder):
    fails(
        call("search", "--executor", "proceses"),
        2,
        "unknown executor 'proceses' (did you mean 'processes'?); known: inline, processes, ray",
    )
    assert list(folder.iterdir()) == []


def test_debug_shows_the_error_itself(call):
    result = call("--debug", "datasets", "show", "digit")
    assert isinstance(result.exception, DatasetError)


def test_debug_shows_a_traceback_and_without_it_there_is_none(folder):
    code = "from pipeline.cli import main; main()"
    for debug in ([], ["--debug"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *debug, "datasets", "show", "digit"],
            capture_output=True,
            text=True,
        )
        assert ("Traceback" in done.stderr) == bool(debug)
        assert "There is no dataset 'digit'" in done.stderr
        assert done.returncode == (1 if debug else 2)


def test_an_address_that_is_no_stores_is_2(call, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "ftp://me:secret@nowhere/x")
    result = call("report")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: 'ftp://***@nowhere/x' is no tracking store that this")
    assert "secret" not in result.stderr


def test_a_store_that_does_not_answer_is_1(call, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    result = call("report")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: MLflow at http://***@127.0.0.1:9 could not be reached")
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--weight", "0.3"],
            "The rule 'least_overfit' has no constant --weight. It has --k (1), --tau (0.05), "
            "--tau-accuracy (0.01), --alpha (0.05); --weight belongs to penalised.",
        ),
        (
            ["--rule", "constraint", "--tau-accuracy", "0.1"],
            "The rule 'constraint' has no constant --tau-accuracy. It has --epsilon (0.05), "
            "--alpha (0.05); --tau-accuracy belongs to least_overfit, best_val, fewest_params.",
        ),
        (
            ["--rule", "penalised", "--weight", "2"],
            "The rule 'penalised' cannot use weight = 2.0; expected 0 to 1: above 1 the gap "
            "outweighs quality and useless models win.",
        ),
        (
            ["--tau", "nan"],
            "The rule 'least_overfit' cannot use tau = nan; expected a share of the best "
            "cross-entropy, 0 or more.",
        ),
    ],
)
def test_a_constant_that_the_rule_has_not_or_not_so_is_2(call, folder, arguments, message):
    fails(call("report", *arguments), 2, message)
    assert list(folder.iterdir()) == []


# Datasets and search spaces


def test_the_datasets_are_listed(call):
    result = call("datasets", "list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        "cifar10", "cifar100", "digits", "fashion_mnist", "imdb", "mnist", "reuters",
    ]  # fmt: skip
    assert "with scikit-learn" in lines[2]
    assert "my.npz" in lines[-1]
    assert result.stderr == "Next: pipeline datasets show digits\n"
    assert call("datasets").stdout == result.stdout


def test_a_dataset_is_shown_and_nothing_is_written(call, folder):
    result = call("datasets", "show", "digits")
    assert result.exit_code == 0, result.output
    assert "digits: image, inputs [8, 8, 1] (uint8), 10 classes" in result.stdout
    assert "train 1,079, validation 359, test 359 (sealed)" in result.stdout
    assert list(folder.iterdir()) == []
    assert result.stderr == "Next: pipeline search --dataset digits\n"


def test_a_picture_of_the_images_goes_where_it_is_asked_for(call, folder):
    result = call("datasets", "show", "digits", "--picture", "mine.png")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("samples per class: mine.png\n")
    assert [path.name for path in folder.iterdir()] == ["mine.png"]
    assert (folder / "mine.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_shipped_space_is_checked_and_printed(call):
    result = call("space", "check", "digits")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["hyperparameter", "values", "asked", "when"]
    assert any(re.match(r"depth +searched +1 to 3$", line) for line in lines)
    assert any(re.match(r"lambda_l1 +searched +1e-06 to 0\.01, log +\S", line) for line in lines)
    assert lines[-1].endswith(
        "digits.yaml: valid; 30 trials of at most 30 epochs; references: baseline, l2, l1, "
        "dropout, max_norm, batch_norm"
    )


def test_a_broken_space_is_2_with_file_line_and_key(call, folder):
    (folder / "broken.yaml").write_text(BROKEN)
    result = call("space", "check", "broken.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: broken.yaml:6: search.dropot_rate: unknown")
    assert "(did you mean 'dropout_rate'?)" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(call, folder):
    result = call("search", "--trials", "9", "--dry-run")
    assert result.exit_code == 0, result.output
    told = "trials: 6 references + 3 searched = 9 trials of at most 30 epochs, patience 5"
    assert told in result.stdout
    assert result.stdout.endswith("dry run: nothing was trained or written\n")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["search", "report", "run"])
@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_of_a_study_is_refused(command, name, call):
    result = call(command, "--study", name)
    assert result.exit_code == 2
    assert (
        "Invalid value for '--study': it is empty; give a name, or leave the option out"
        in result.stderr
    )


def test_no_more_workers_than_can_be_busy_are_started_and_it_is_told(call):
    result = call("search", "--workers", "99", "--dry-run")
    (told,) = [line for line in result.stdout.splitlines() if line.startswith("--workers 99: ")]
    cores = len(os.sched_getaffinity(0))
    used = int(re.match(r"--workers 99: (\d+) ", told).group(1))
    assert 1 <= used <= cores
    assert re.search(rf"this machine has {cores} cores?, and this study makes \d+ cohorts?", told)
    assert f"executor: processes, {used} worker(s)" in result.stdout


@pytest.mark.parametrize("words", [(), ("--storage", "auto"), ("--storage", "")])
def test_the_storage_may_be_named_where_no_list_of_processes_shows_it(call, monkeypatch, words):
    secret = "postgresql+psycopg://me:hush-hush@db/studies"
    for value, used in (
        (None, "studies.journal"),
        ("", "studies.journal"),
        ("auto", "studies.journal"),
        ("other.journal", "other.journal"),
        (secret, "postgresql+psycopg://***@db/studies"),
    ):
        if value is not None:
            monkeypatch.setenv("PIPELINE_STORAGE", value)
        for command in ("search", "run"):
            result = call(command, "--dry-run", *words, "--format", "json")
            assert json.loads(result.stdout)["storage"] == used
            assert "hush-hush" not in result.output
    given = call("search", "--dry-run", "--storage", "mine.journal", "--format", "json")
    assert json.loads(given.stdout)["storage"] == "mine.journal", "the option counts more"


def test_auto_workers_are_a_number_and_a_reason_before_anything_is_done(
    call, monkeypatch, tmp_path_factory
):
    pretend(monkeypatch, tmp_path_factory.mktemp("tool"), A100, A100)
    result = call("search", "--workers", "auto", "--dry-run")
    told = f"--workers auto: 2 workers, one per GPU: GPU 0 ({A100}), GPU 1 ({A100})"
    lines = result.stdout.splitlines()
    assert told in lines
    assert "executor: processes, 2 worker(s), device auto, float32" in lines
    found = json.loads(call("run", "--workers", "auto", "--dry-run", "--format", "json").stdout)
    assert (found["workers"], found["notes"]) == (2, [told])
    for words in ((), ("--workers", ""), ("--workers", "1")):
        alone = json.loads(call("search", *words, "--dry-run", "--format", "json").stdout)
        assert (alone["workers"], alone["notes"]) == (1, [])


# A search by script


@pytest.fixture
def scripted(call, folder, migrated, tmp_path_factory, monkeypatch):
    """Calls the command where there is a store and executors that follow scripts."""
    shutil.copy(migrated, folder / "mlflow.db")
    scripts = tmp_path_factory.mktemp("executors")
    for name, arguments in SCRIPTS.items():
        write_executor(scripts, name, **arguments)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(scripts)])
    yield call
    for name in SCRIPTS:
        sys.modules.pop(f"pipeline.search.executors.{name}", None)


def test_a_search_talks_to_stderr_and_a_study_without_skill_is_3(scripted, folder):
    arguments = ("--executor", "hopeless", "--trials", "3", "--epochs", "2", "--study", "my study")
    result = scripted("search", *arguments)
    assert result.exit_code == 0, result.output
    ended, chosen, following = result.stdout.splitlines()
    assert ended.startswith("Study 'my study' has 3 complete of 3 trials; this search took ")
    assert chosen == "Nothing can be recommended so far: no trial is better than guessing."
    assert following == "Next: pipeline report --study 'my study'"
    assert re.search(r"trial 2 \(l1\): .*l1\(.*\) -> no_skill, gap ", result.stderr)
    look = f"MLflow: mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db\n"
    assert result.stderr.endswith(look) and "Next:" not in result.stderr

    quiet = scripted("search", *arguments, "--trials", "4", "--quiet", "--format", "json")
    found = json.loads(quiet.stdout)
    assert found["trials"] == {"asked": 4, "complete": 4, "pruned": 0, "failed": 0, "running": 0}
    assert (found["status"], found["preliminary_choice"]) == ("no_skill", None)
    assert "MLflow:" not in quiet.stderr
    assert found["next"] == "pipeline report --study 'my study'"
    assert not [line for line in quiet.stderr.splitlines() if line.startswith("trial ")]
    talkative = scripted("search", *arguments, "--trials", "5", "--verbose")
    assert re.search(r"\[ *[\d.]+ s\] cohort \d+ starts: trials 4; the first is ", talkative.stderr)
    both = scripted("search", *arguments, "-q", "-v")
    assert both.exit_code == 2
    assert "--quiet and --verbose contradict each other: give one of them" in both.stderr

    text, page = scripted("report"), scripted("report", "--format", "json", "--output", "pages")
    assert (text.exit_code, page.exit_code) == (3, 3)
    assert text.stdout and "Traceback" not in text.stderr
    # The page says what to do; there is no model to use.
    assert "Next:" not in text.stderr + page.stderr
    assert text.stderr.endswith(look) and "MLflow:" not in page.stderr
    told = json.loads(page.stdout)
    assert (told["status"], told["winner"], told["test"]) == ("no_skill", None, None)
    assert {path.name for path in (folder / "pages").iterdir()} >= {
        "report.html", "report.json", "report.md", "report.txt",
    }  # fmt: skip

    other = scripted("report", "--study", "my stdy")
    fails(
        other,
        2,
        f"there is no study 'my stdy' in sqlite:///{folder}/mlflow.db (did you mean 'my study'?); "
        "there are: my study (dataset digits)",
    )

    changed = scripted("search", *arguments, "--epochs", "3")
    assert changed.exit_code == 2
    assert "space: epochs was 2, is 3" in changed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trial", "3"], "No such option '--trial'. (Did you mean one of: "),
        (["--rule", "leastoverfit"], "Unknown selection rule 'leastoverfit' (did you mean 'least_"),
        (["--rule", "pareto", "--epsilon", "1"], "The rule 'pareto' has no constant --epsilon."),
        (["--k", "-1"], "cannot use k = -1.0; expected a number of standard errors"),
        (["--seeds", "abc"], "Invalid value for '--seeds': 'abc' is not a valid integer range."),
        (["--min-accuracy", "93"], "Invalid value for '--min-accuracy': 93.0 is not in the range"),
        (["--output", "mlflow.db/x"], "--output mlflow.db/x: the report cannot be written there ("),
    ],
)  # fmt: skip
def test_what_the_report_will_need_is_wrong_before_anything_is_trained(
    arguments, message, scripted, folder
):
    result = scripted("run", "--executor", "hopeless", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not (folder / "studies.journal").exists()


def test_a_registry_that_takes_no_model_is_told_before_anything_is_trained(
    scripted, folder, monkeypatch
):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = scripted("run", "--executor", "hopeless", "--trials", "3", "--epochs", "2")
    assert result.exit_code == 1, result.stderr
    message = "could not register a model named digits-least-overfit, which the report will do: "
    assert message in result.stderr
    assert "trial 0" not in result.stderr


def test_a_disk_too_small_for_the_models_is_told_before_anything_is_trained(scripted, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage)
    result = scripted("search", "--executor", "hopeless")
    assert result.exit_code == 2
    assert "has 0.00 GiB free; this study needs about 0.05 GiB for the weights" in result.stderr


def test_run_ends_as_its_report_does_and_leaves_no_registered_model(scripted):
    arguments = ("run", "--executor", "hopeless", "--trials", "3", "--epochs", "2")
    result = scripted(*arguments, "--format", "json")
    assert result.exit_code == 3, result.stderr
    assert json.loads(result.stdout)["status"] == "no_skill"
    assert tracking.connect().search_registered_models() == []
    assert scripted(*arguments, "--dry-run").stdout.endswith("nothing was trained or written\n")


def test_a_report_before_any_search_is_2(scripted, folder):
    fails(
        scripted("report"),
        2,
        f"there is no study in sqlite:///{folder}/mlflow.db: run `pipeline search` first",
    )


def test_a_search_in_which_everything_fails_is_1(scripted):
    result = scripted("search", "--executor", "poisoned", "--epochs", "2")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("Error: 5 trials failed in a row, the last")
    assert "Traceback" not in result.stderr


# A real search, slow


def command(folder, *arguments, **options):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment |= {name: options.pop(name) for name in [*options] if name.isupper()}
    program = [str(Path(sys.executable).with_name("pipeline")), *arguments]
    settings = {"capture_output": True, "text": True, "timeout": 500} | options
    return subprocess.run(program, cwd=folder, env=environment, **settings)


@pytest.mark.slow
def test_a_search_and_its_finalists_are_spread_over_the_gpus_that_were_found(
    folder, monkeypatch, tmp_path_factory
):
    """The pretended ones train on the CPU, which is told."""
    pretend(monkeypatch, tmp_path_factory.mktemp("tool"), A100, A100)
    arguments = ("--trials", "6", "--epochs", "3", "--cohort-size", "2", "--no-references")
    done = command(
        folder, "run", *arguments, "--workers", "auto", "--format", "json", KERAS_BACKEND="jax"
    )
    assert done.returncode in (0, 3), done.stderr
    assert len(json.loads(done.stdout)["trials"]) == 6
    lines = done.stderr.splitlines()
    told = f"--workers auto: 2 workers, one per GPU: GPU 0 ({A100}), GPU 1 ({A100})"
    assert lines[0] == told
    warned = "2 GPUs were found, but jax does not see them all: workers train on the CPU."
    assert sum(warned in line for line in lines) >= 1
    if done.returncode == 0:
        assert lines.count(told) == 2, "of the search and of the finalists"


def test_run_has_finalists_train_in_the_processes_of_the_search(scripted, monkeypatch):
    kind = executors.find("willing")
    begun, closed = [], []

    def begin(self, opener, workers=1, variables=()):
        begun.append(opener)
        InlineExecutor.__init__(self, Script(), workers)

    monkeypatch.setattr(kind, "__init__", begin)
    monkeypatch.setattr(kind, "close", lambda self: closed.append(self))
    monkeypatch.setattr(kind, "shares_cores", True)

    def restore(self, report, dataset):
        raise TrackingError("scripts train no weights")

    monkeypatch.setattr(Completion, "restore", restore)
    result = scripted("run", "--executor", "willing", "--trials", "4", "--epochs", "2")
    assert "trainings in 1 cohort" in result.stderr, result.stderr
    assert result.stderr.endswith("Error: scripts train no weights\n"), result.stderr
    assert (len(begun), len(closed)) == (1, 1), begun


def test_a_gpu_that_is_missing_is_told_alike_by_a_dry_run_and_a_search(scripted, monkeypatch):
    def prepare(device, precision, num_threads):
        raise DeviceError(f"--device {device}: there is none")

    monkeypatch.setattr("pipeline.training.backend.prepare", prepare)
    arguments = ("search", "--dataset", "digits", "--device", "gpu", "--executor", "inline")
    dry, real = scripted(*arguments, "--dry-run"), scripted(*arguments)
    fails(dry, 2, "--device gpu: there is none")
    assert (real.exit_code, real.stdout) == (2, "")
    assert real.stderr.splitlines()[-1] == dry.stderr.splitlines()[-1]


def test_a_terminals_summary_breaks_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    line = "Best validation cross-entropy: trial 2 (l1), 1.7053; by one training each"
    shown = _wrapped(line, SimpleNamespace(isatty=lambda: True)).splitlines()
    assert " ".join(shown) == line and max(map(len, shown)) <= 40
    assert _wrapped(line, SimpleNamespace(isatty=lambda: False)) == line


SEARCH = ("search", "--dataset", "digits", "--trials", "7", "--epochs", "4")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder in which digits were searched and reported, and what was said."""
    folder = tmp_path_factory.mktemp("real")
    said = {"folder": folder, "search": command(folder, *SEARCH)}
    for format_ in ("text", "json", "markdown"):
        said[format_] = command(folder, "report", "--dataset", "digits", "--format", format_)
    return said


TRIAL_KEYS = [
    "number", "state", "name", "config", "val_ce", "val_accuracy", "train_ce", "train_accuracy",
    "gap_ce", "gap_ce_se", "gap_accuracy", "penalty", "best_epoch", "epochs", "num_parameters",
    "seconds", "verdict", "diverged", "excluded_because", "mlflow_run_id",
]  # fmt: skip
KEYS = [
    "status", "dataset", "study", "split_id", "validation_per_epoch", "rule", "winner",
    "reference", "eligible", "trials",
    "delivered", "test", "test_reads_by_other_studies", "model_uri", "alias", "alias_because",
    "notes", "finalists", "frequencies", "frequencies_search", "optimism", "compared",
    "side_by_side", "warnings", "data_findings",
]  # fmt: skip
TEST_KEYS = [
    "ce", "ce_low", "ce_high", "accuracy", "accuracy_low", "accuracy_high", "gap_ce", "gap_ce_low",
    "gap_ce_high", "reads",
]  # fmt: skip
LOGGED = TRIAL_KEYS[TRIAL_KEYS.index("val_ce") : TRIAL_KEYS.index("num_parameters") + 1]


@pytest.mark.slow
def test_a_real_search_trains_every_reference_and_says_what_to_do_next(real):
    done = real["search"]
    assert done.returncode == 0
    assert done.stdout.count("\n") == 3
    assert done.stdout.endswith("Next: pipeline report --study digits\n")
    for name in ("baseline", "l2", "l1", "dropout", "max_norm", "batch_norm"):
        line = rf"(?m)^trial \d \({name}\): .* -> \w+, gap .*val accuracy 0\.\d+"
        assert re.search(line, done.stderr)
    assert "the search takes" in done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_a_real_report_names_a_winner_in_every_format(real):
    for format_ in ("text", "json", "markdown"):
        assert real[format_].returncode == 0, real[format_].stderr
    told = json.loads(real["json"].stdout)
    assert list(told) == KEYS
    assert [list(trial) for trial in told["trials"]] == [TRIAL_KEYS] * 7
    assert list(told["test"]) == TEST_KEYS
    assert (told["status"], told["dataset"], told["study"]) == ("ok", "digits", "digits")
    assert told["winner"] in told["eligible"]
    assert told["model_uri"] == "models:/digits-least-overfit/1"
    first = real["text"].stdout.splitlines()[0]
    assert first.startswith(f"Trial {told['winner']} ")
    assert "overfits least on digits" in first


@pytest.mark.slow
def test_the_numbers_are_the_same_in_mlflow_json_and_markdown(real):
    store = tracking.connect(f"sqlite:///{real['folder']}/mlflow.db")
    told = json.loads(real["json"].stdout)
    for trial in told["trials"]:
        metrics = store.get_run(trial["mlflow_run_id"]).data.metrics
        assert {key: metrics[key] for key in LOGGED} == {key: trial[key] for key in LOGGED}
        for key in ("val_ce", "gap_ce", "val_accuracy"):
            assert decimal(trial[key]) in real["markdown"].stdout
    parent = store.get_run(store.read_study().run_id)
    logged = {key: parent.data.metrics[f"test_{key}"] for key in TEST_KEYS if key != "reads"}
    assert logged == {key: told["test"][key] for key in logged}


@pytest.mark.slow
def test_the_test_part_is_read_once_however_often_it_is_reported(real):
    assert json.loads(real["json"].stdout)["test"]["reads"] == 1
    assert "reading the test part" in real["text"].stderr
    assert "reading the test part" not in real["json"].stderr + real["markdown"].stderr


@pytest.mark.slow
def test_gates_judge_the_test_part_and_name_every_failure(real):
    test = json.loads(real["json"].stdout)["test"]
    above, below = str(test["gap_ce_high"] + 1e-4), str(test["accuracy_low"] - 1e-4)
    met = command(real["folder"], "report", "--max-gap", above, "--min-accuracy", below)
    following = "Next: pipeline predict --model models:/digits-least-overfit@champion --input FILE"
    look = f"MLflow: mlflow ui --backend-store-uri sqlite:///{real['folder']}/mlflow.db"
    assert (met.returncode, met.stderr) == (0, f"{look}\n{following}\n")
    failed = command(real["folder"], "report", "--max-gap", "0", "--min-accuracy", "1")
    assert failed.returncode == 4
    assert failed.stdout == met.stdout
    *told, gap, accuracy = failed.stderr.splitlines()
    assert told == [look, following]
    assert gap.startswith("gate not met: --max-gap 0: the gap on the test part may be ")
    assert accuracy.startswith("gate not met: --min-accuracy 1: the accuracy on the test part may")
    assert decimal(test["gap_ce_high"]) in gap and decimal(test["accuracy_low"]) in accuracy


@pytest.mark.slow
def test_the_page_for_a_browser_is_a_file_whose_path_is_printed(real):
    done = command(real["folder"], "report", "--format", "html")
    assert (done.returncode, done.stdout) == (0, "report-digits.html\n")
    assert (real["folder"] / "report-digits.html").read_text().count("<html") == 1
    placed = command(real["folder"], "report", "--format", "html", "--output", "site")
    assert placed.stdout == "site/report.html\n"
    names = {path.suffix for path in (real["folder"] / "site").iterdir()}
    assert names == {".html", ".json", ".md", ".png", ".txt"}


@pytest.mark.slow
def test_another_report_imports_no_keras(real):
    code = (
        "import contextlib, os, sys\n"
        f"os.chdir({str(real['folder'])!r})\n"
        "from pipeline.cli import main\n"
        "with contextlib.redirect_stdout(sys.stderr):\n"
        "    main(['report', '--format', 'json'], standalone_mode=False)\n"
    )
    imported = in_a_new_process(code)
    assert "mlflow" in imported
    assert "keras" not in imported and "tensorflow" not in imported


@pytest.mark.slow
def test_the_same_search_again_trains_nothing_and_the_lock_holds(real):
    again = command(real["folder"], *SEARCH)
    assert again.returncode == 0
    assert "7 trials, 7 of them done" in again.stderr
    assert not re.search(r"^trial \d", again.stderr, re.MULTILINE)
    report = command(real["folder"], "report", "--format", "json")
    assert json.loads(report.stdout) == json.loads(real["json"].stdout)


@pytest.mark.slow
def test_the_same_command_elsewhere_gives_the_same_numbers(real, tmp_path):
    assert command(tmp_path, *SEARCH).returncode == 0
    here = tracking.connect(f"sqlite:///{tmp_path}/mlflow.db").read_study()
    there = tracking.connect(f"sqlite:///{real['folder']}/mlflow.db").read_study()
    assert [t.config for t in here.trials] == [t.config for t in there.trials]
    assert [t.measurement for t in here.trials] == [t.measurement for t in there.trials]


@pytest.mark.slow
def test_a_search_that_was_killed_reaches_its_total_when_it_is_run_again(tmp_path):
    log = tmp_path / "stderr.txt"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    program = [str(Path(sys.executable).with_name("pipeline")), *SEARCH]
    with (
        log.open("w") as file,
        subprocess.Popen(program, cwd=tmp_path, env=environment, stderr=file) as supervisor,
    ):
        end = time.monotonic() + 300
        while "trial 1 (l2): " not in log.read_text() and time.monotonic() < end:
            assert supervisor.poll() is None, log.read_text()
            time.sleep(0.05)
        supervisor.send_signal(signal.SIGKILL)
    store = tracking.connect(f"sqlite:///{tmp_path}/mlflow.db")
    left = [trial.state for trial in store.read_study().trials]
    assert left.count("COMPLETE") < 7

    again = command(tmp_path, *SEARCH)
    assert again.returncode == 0, again.stderr
    trials = store.read_study().trials
    assert [trial.state for trial in trials].count("COMPLETE") == 7
    assert {trial.state for trial in trials} <= {"COMPLETE", "FAIL"}
    assert {t.cause for t in trials if t.state == "FAIL"} <= {"the search was killed while it ran"}
    names = [trial.name for trial in trials if trial.state == "COMPLETE" and trial.name]
    assert sorted(names) == ["baseline", "batch_norm", "dropout", "l1", "l2", "max_norm"]
    runs = [store.get_run(run_id) for run_id in (store.read_study().run_id,)]
    runs += [store.get_run(trial.mlflow_run_id) for trial in trials]
    assert "RUNNING" not in {run.info.status for run in runs}


def test_a_plan_in_json_names_what_would_be_searched_and_the_command(call, folder):
    shown = call("search", "--trials", "9", "--dry-run", "--format", "json")
    assert shown.exit_code == 0, shown.output
    plan = json.loads(shown.stdout)
    assert (plan["dry_run"], plan["study"], plan["trials"]) == (True, "digits", 9)
    assert plan["references"][0] == "baseline"
    assert plan["searched"]["depth"] == "1 to 3"
    assert (plan["sampler"], plan["pruner"], plan["validation_per_epoch"]) == (
        "tpe", "percentile", None,
    )  # fmt: skip
    assert plan["next"].endswith("search --trials 9 --format json")
    assert "--trials 9 leaves 3 to the search" in " ".join(plan["notes"])
    assert list(folder.iterdir()) == []

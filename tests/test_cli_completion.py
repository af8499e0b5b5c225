"""Completion in a shell: right names, fast, without Keras, MLflow or Optuna, never a traceback."""

import json
import os
import shutil
import subprocess
import sys
import time

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from pipeline import datasets, tracking
from pipeline.search import executors
from pipeline.search.space import space
from pipeline.selection.rules import RULES

SECONDS = 1.0
"""Longest time of a processor for a Tab: how long a busy machine lets it wait says nothing."""


def ask(folder, *words, shell="bash"):
    """Returns what a shell that asks is answered: type and value of each item, and stderr."""
    *given, last = words
    environment = os.environ | {
        "_PIPELINE_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(("pipeline", *given, last)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipeline"],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    return [tuple(line.split(",", 1)) for line in done.stdout.splitlines() if line]


def of_children():
    """Returns the time of a processor that the commands which ended took."""
    times = os.times()
    return times.children_user + times.children_system


def plain(items):
    return [value for kind, value in items if kind == "plain"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def studies(folder, migrated):
    """Studies in a journal, one of which was deleted, and one more in MLflow's store."""
    storage = JournalStorage(JournalFileBackend(str(folder / "studies.journal")))
    for name in ("digits", "gone", "my study", "données"):
        optuna.create_study(storage=storage, study_name=name)
    optuna.delete_study(study_name="gone", storage=storage)
    shutil.copy(migrated, folder / "mlflow.db")
    store = tracking.connect(f"sqlite:///{folder / 'mlflow.db'}")
    store.open_study("tracked", "digits", {"dataset": "digits"}, {})
    return folder


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("search", "--dataset", ""), datasets.names()),
        (("run", "--dataset", "cif"), ("cifar10", "cifar100")),
        (("report", "--dataset", "di"), ("digits",)),
        (("search", "--workers", "a"), ("auto",)),
        (("report", "--workers", "2"), ()),
        (("datasets", "show", "r"), ("reuters",)),
        (("space", "init", "--dataset", "im"), ("imdb",)),
        (("report", "--rule", ""), tuple(RULES)),
        (("run", "--rule", "p"), ("penalised", "pareto")),
        (("search", "--executor", ""), executors.names()),
        (("search", "--search-space", ""), space.names()),
        (("space", "check", "ci"), ("cifar10", "cifar100")),
        (("search", "--device", "g"), ("gpu",)),
        (("doctor", "--format", ""), ("text", "json")),
    ],
)
def test_values_of_options_are_completed(words, expected, folder):
    assert plain(ask(folder, *words)) == list(expected)


@pytest.mark.parametrize(
    "words", [("search", "--dataset", "m"), ("datasets", "show", ""), ("search", "--storage", "")]
)
def test_files_are_completed_beside_names(words, folder):
    assert [kind for kind, _ in ask(folder, *words)][-1] == "file"


@pytest.mark.parametrize("command", ["search", "run", "report"])
def test_studies_are_completed_from_both_stores(command, studies):
    found = plain(ask(studies, command, "--study", ""))
    assert found == ["digits", "'my study'", "'données'", "tracked"]
    assert plain(ask(studies, command, "--study", "t")) == ["tracked"]
    # zsh and fish quote for themselves.
    assert ("my study",) in ask(studies, command, "--study", "", shell="zsh")


def test_studies_are_completed_from_the_storage_that_is_given(folder):
    address = f"sqlite:///{folder / 'other.db'}"
    optuna.create_study(storage=address, study_name="elsewhere")
    assert plain(ask(folder, "search", "--storage", address, "--study", "")) == ["elsewhere"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("studies.journal", b"\x00\xff not a journal"),
        ("studies.journal", b'{"op_code":0,"study_na'),
        ("studies.journal", b'{"op_code":0,"name":"x"}\n'),
        ("mlflow.db", b"no database at all"),
        ("mlflow.db", b""),
    ],
)
def test_what_cannot_be_read_completes_nothing_and_says_nothing(name, content, folder):
    (folder / name).write_bytes(content)
    assert ask(folder, "report", "--study", "") == []
    assert sorted(path.name for path in folder.iterdir()) == [name]


def test_a_folder_without_studies_stays_empty(folder):
    assert ask(folder, "report", "--study", "") == []
    assert list(folder.iterdir()) == []


def test_a_tab_takes_less_than_a_second(studies):
    with (studies / "studies.journal").open("a") as journal:
        for number in range(20_000):
            journal.write(json.dumps({"op_code": 9, "number": number, "x": "y" * 100}) + "\n")
    for words in (("report", "--study", ""), ("search", "--dataset", ""), ("run", "--rule", "")):
        seconds = []
        while min(seconds, default=SECONDS) >= SECONDS and len(seconds) < 3:
            begun, before = time.monotonic(), of_children()
            assert ask(studies, *words)
            # It waits for nothing else: for no server, and no lock.
            assert time.monotonic() - begun < 20 * SECONDS
            seconds.append(of_children() - before)
        assert min(seconds) < SECONDS, (words, seconds)


@pytest.mark.parametrize("word", ["--study", "--dataset", "--rule"])
def test_a_tab_imports_nothing_heavy(word, studies):
    code = (
        "import os, sys\n"
        "from pipeline.cli import main\n"
        "try:\n"
        "    main(prog_name='pipeline')\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'keras', 'tensorflow', 'mlflow', 'optuna', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    environment = os.environ | {
        "_PIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": f"pipeline report {word} ",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=studies, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell, folder):
    environment = os.environ | {"_PIPELINE_COMPLETE": f"{shell}_source"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline"], capture_output=True, text=True, env=environment
    )
    assert f"_PIPELINE_COMPLETE={shell}_complete" in done.stdout
    assert done.stderr == ""

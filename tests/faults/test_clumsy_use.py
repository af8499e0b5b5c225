"""Options, variables and places that cannot be used: one line each, nothing trained."""

import shutil

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.doctor import backend_chosen, database_found, tracking_found
from pipeline.errors import InputError
from pipeline.search.storage import is_journal

NOWHERE = "/proc/nowhere"


@pytest.fixture
def call(tmp_path, monkeypatch, migrated):
    """Returns a function that runs a command in a folder with a fresh store, with variables."""
    shutil.copy(migrated, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, arguments)

    return run


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (("search",), {"KERAS_BACKEND": "torch"}, "KERAS_BACKEND is 'torch': set KERAS_BACKEND to"),
        (("search", "--dry-run"), {"KERAS_BACKEND": "x"}, "KERAS_BACKEND is 'x': set"),
        (("predict", "--model", "m", "--input", "x"), {"KERAS_BACKEND": "x"}, "KERAS_BACKEND is"),
        (("reproduce", "1"), {"KERAS_BACKEND": "x"}, "KERAS_BACKEND is 'x': set"),
        (("search", "--storage", "/dev/full"), {}, "--storage /dev/full: this is no journal file"),
        (("search", "--storage", "/etc/passwd"), {}, "this is no journal file"),
        (("search",), {"PIPELINE_DATA_DIR": "/etc/passwd"}, "Directory '/etc/passwd' is a file."),
        (("search", "--executor", "../x\x1b"), {}, "unknown executor '../x?'; known: inline, pro"),
        (("search", "--dataset", "x\x1b[31m"), {}, "There is no dataset 'x?[31m'"),
        (("report", "--study", "a'b\"c"), {}, "holds both kinds of quotes"),
        (("datasets", "show", "digits", "--picture", f"{NOWHERE}/x.png"), {}, "cannot be used: No"),
    ],
)
def test_it_is_told_in_one_line(arguments, variables, message, call):
    if arguments[0] == "search":
        arguments = (*arguments, "--trials", "1", *(() if "--executor" in arguments else INLINE))
    result = call(*arguments, **variables)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert "\x1b" not in result.stderr


INLINE = ("--executor", "inline")


@pytest.mark.parametrize("address", ["postgresql://u:pw@h:port/x", "http://[bad", "sqlite://x:y:z"])
def test_the_doctor_takes_any_address(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    for found in (tracking_found(), database_found(address)):
        assert found.status == "problem"
        assert "is no address" in found.text
        assert ":pw" not in found.as_line()


def test_a_device_or_a_folder_is_no_journal(tmp_path):
    assert not is_journal(tmp_path)
    assert [path for path in ("/dev/full", "/dev/zero") if is_journal(type(tmp_path)(path))] == []
    long = tmp_path / "long"
    long.write_bytes(b"[" * 2**21)
    assert not is_journal(long)


def test_a_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr("pipeline.doctor.version_of", lambda package: None)
    monkeypatch.setattr("pipeline.doctor.find_spec", lambda package: None)
    with pytest.raises(InputError, match="'jax', which is not installed: pip install jax"):
        backend_chosen()

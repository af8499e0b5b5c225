"""What users are shown and logs keep: addresses without secrets, errors as one line, no escapes."""

import ast
import io
import logging
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline import redaction
from pipeline.cli_group import Commands
from pipeline.redaction import MaskedRecord, masked, redacted, unexpected_error
from pipeline.tracking.address import tracking_address

PROJECT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _own_memory(monkeypatch):
    monkeypatch.setattr(redaction, "_remembered", set())


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ada:pw@tracking:5000/a", "https://***@tracking:5000/a"),
        ("https://token@tracking:5000", "https://***@tracking:5000"),
        ("postgresql://ada:p@ss/w0rd@db:5432/runs", "postgresql://***@db:5432/runs"),
        ("postgresql+psycopg://me:s:e:c@host:5432/x", "postgresql+psycopg://***@host:5432/x"),
        ("mysql://me:p/w@host/x", "mysql://***@host/x"),
        ("postgresql://db/runs?user=ada&password=pw&x=1", "postgresql://db/runs?user=ada&password=***&x=1"),
        ("https://tracking/?access_token=abc", "https://tracking/?access_token=***"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("studies.journal", "studies.journal"),
    ],
)  # fmt: skip
def test_credentials_are_masked(address, shown):
    assert masked(address) == shown


def test_the_address_is_the_argument_then_the_variable_then_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tracking_address(None) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking_address(None) == "http://tracking:5000"
    assert tracking_address("sqlite:///x.db") == "sqlite:///x.db"


def test_a_remembered_secret_is_hidden_wherever_it_turns_up():
    redaction.remember("postgresql://ada:p%40ss@w0rd@db/x?sslpassword=qwer")
    told = redacted('could not translate host name "w0rd@db"; p%40ss, p@ss@w0rd, qwer')
    assert told == 'could not translate host name "***@db"; ***, ***, ***'


def test_control_characters_are_shown_as_question_marks():
    assert redacted("a\x1b[31m\nb\x00\u202e") == "a?[31m\nb??"


@pytest.fixture
def failing():
    """Returns a function that runs a command which raises this."""

    def run(error, *options):
        @click.group(cls=Commands)
        @click.option("--debug", is_flag=True)
        def group(debug):
            pass

        @group.command()
        def fail():
            raise error

        return CliRunner().invoke(group, [*options, "fail"])

    return run


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyError("a b"), 1, "Error: KeyError: 'a b' in cli_group.py, line"),
        (ValueError("at http://me:pw@host\x1b"), 1, "at http://***@host? in cli_group.py"),
        (
            PermissionError(13, "Permission denied", "/a/b"), 2,
            "Error: /a/b cannot be used: Permission denied. Change it, or name another\n",
        ),
        (OSError(28, "No space left on device", "/a"), 1, "OSError: [Errno 28] No space left"),
    ],
)  # fmt: skip
def test_what_nobody_foresaw_is_one_line_without_a_traceback(error, code, message, failing):
    result = failing(error)
    assert (result.exit_code, result.stderr.count("\n")) == (code, 1)
    assert message in result.stderr


def test_click_says_its_own_errors(failing):
    result = failing(click.UsageError("odd \x1b[31m http://me:pw@host"))
    assert result.exit_code == 2
    assert "Error: odd ?[31m http://***@host" in result.stderr
    assert failing(click.exceptions.Exit(4)).exit_code == 4


def test_debug_raises_what_nobody_foresaw(failing, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    assert isinstance(failing(KeyError("x"), "--debug").exception, KeyError)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    try:
        raise ValueError("http://me:pw@host")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    assert sys.stderr.getvalue().endswith("ValueError: http://***@host\n")
    assert "test_redaction.py" in sys.stderr.getvalue()


def test_an_unforeseen_error_says_where_in_the_project_it_was(monkeypatch):
    # A secret in the environment, such as a token of Ray's, would make another error of it.
    monkeypatch.setattr(redaction, "_known", list)
    with pytest.raises(TypeError) as caught:
        redaction.masked(None)
    assert " in redaction.py, line " in unexpected_error(caught.value)[0]


def test_log_lines_hold_no_secrets():
    record = MaskedRecord(
        "urllib3", logging.WARNING, __file__, 1, "Retrying %s", ("/?token=abc",), None
    )
    assert logging.Formatter().format(record) == "Retrying /?token=***"
    try:
        raise ValueError("http://me:pw@host")
    except ValueError:
        record = MaskedRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())
    text = logging.Formatter().format(record)
    assert "Traceback" in text
    assert text.endswith("ValueError: http://***@host")


def test_the_command_masks_the_logs_of_libraries():
    code = (
        "import logging; from pipeline.cli import main; main(['datasets'], standalone_mode=False); "
        "logging.getLogger('urllib3').warning('at %s', 'http://me:pw@host')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "at http://***@host"


def shells(tree):
    """Yields calls that hand a string to a shell, or text to an interpreter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            by_shell = any(
                word.arg == "shell" and ast.unparse(word.value) != "False" for word in node.keywords
            )
            words = name.startswith("subprocess.") and node.args
            text = words and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
            if by_shell or text or name in FORBIDDEN:
                yield f"line {node.lineno}: {ast.unparse(node)[:80]}"


FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "pickle.load", "pickle.loads", "marshal.loads", "yaml.load", "asyncio.create_subprocess_shell",
}  # fmt: skip


@pytest.mark.parametrize("code", ["subprocess.run('ls')", "f(shell=True)", "eval(x)"])
def test_a_shell_would_be_found(code):
    assert list(shells(ast.parse(code)))


ALLOWED = {
    "loading.py": "runs the user's own model file, because --family names it",
    "try_out.py": "reads the job that the command itself wrote to a temporary folder",
}
"""File -> why one such call is right there."""


def test_no_subprocess_gets_a_shell_string_and_nothing_is_evaluated():
    sources = list((PROJECT / "pipeline").rglob("*.py"))
    assert len(sources) > 50
    found = {
        source.name: calls
        for source in sources
        if (calls := list(shells(ast.parse(source.read_text(encoding="utf-8")))))
    }
    assert {name: len(calls) for name, calls in found.items()} == dict.fromkeys(ALLOWED, 1), found

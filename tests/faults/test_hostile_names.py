"""Names that users and their files give: refused before anything is written, or taken as given."""

import pytest
from click.testing import CliRunner
from odd_names import ODD

from pipeline.cli import main


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Returns a function that runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a'b\"c", "'a\\'b\"c', holds both kinds of quotes, which MLflow cannot look up"),
        ("a\nb", "'a\\nb', holds signs that cannot be shown"),
        ("a\x00b", "'a\\x00b', holds signs that cannot be shown"),
        ("\x1b[31mred", "'\\x1b[31mred', holds signs that cannot be shown"),
        ("\u202eevil", "'\\u202eevil', holds signs that cannot be shown"),
        ("\udcff", "'\\udcff', holds signs that cannot be shown"),
        ("x" * 251, "has 251 characters; expected at most 250"),
    ],
)
def test_a_name_that_no_store_can_keep_is_refused_at_the_start(name, message, call, tmp_path):
    result = call("search", "--executor", "inline", "--study", name)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: the name of the study, ")
    assert message in result.stderr
    assert result.stderr.endswith(": give --study NAME\n")
    assert (result.stderr.count("\n"), list(tmp_path.iterdir())) == (1, [])


def test_a_blank_name_is_no_name(call, tmp_path):
    result = call("search", "--executor", "inline", "--study", "  ")
    assert result.exit_code == 2
    assert "--study': it is empty; give a name, or leave the option out" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_comes_from_a_file_is_refused_and_can_be_replaced(call, tmp_path):
    (tmp_path / "a'b\"c.csv").write_text("x,label\n" + "1,a\n2,b\n" * 40)
    search = ("search", "--dataset", "a'b\"c.csv", "--dry-run")
    refused, named = call(*search), call(*search, "--study", "fine")
    assert (refused.exit_code, named.exit_code) == (2, 0), named.stderr
    assert "holds both kinds of quotes" in refused.stderr


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_is_only_odd_is_taken_as_it_is(name, call):
    result = call("search", f"--study={name}", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"study: {name}\n")

"""The help of every command: whole summaries at every width, examples that parse, completion."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner
from test_documents import check_command, leaves

from pipeline.cli import main


def command_of(path):
    current = main
    for name in path:
        current = current.commands[name]
    return current


def examples_of(path):
    """Returns the commands at the end of a command's help, each on one line."""
    epilog = command_of(path).epilog or ""
    heading, *lines = epilog.replace("\\\n", "").removeprefix("\b\n").splitlines()
    assert heading == "Examples:", path
    return lines


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("path", [(), ("datasets",), ("space",)], ids=" ".join)
def test_summaries_are_not_cut(path, width):
    result = CliRunner().invoke(main, [*path, "--help"], terminal_width=width)
    shown = " ".join(result.stdout.partition("Commands:")[2].split())
    assert "..." not in shown
    for name, command in command_of(path).commands.items():
        summary = " ".join(command.help.split("\n\n")[0].split()).rstrip(".")
        assert f"{name} {summary}." in shown
    assert max(map(len, result.stdout.splitlines())) <= width


@pytest.mark.parametrize("path", leaves(main), ids=" ".join)
def test_every_command_has_examples_that_parse(path):
    lines = examples_of(path)
    assert lines
    for line in lines:
        first, *words = shlex.split(line)
        assert first == "pipeline"
        check_command(words)
    own = [" ".join(("pipeline", *path))]
    assert any(line.strip().startswith(tuple(own)) for line in lines)


@pytest.mark.parametrize("path", leaves(main), ids=" ".join)
def test_examples_stay_as_they_are_in_a_narrow_terminal(path):
    shown = CliRunner().invoke(main, [*path, "--help"], terminal_width=60).stdout
    _, found, after = shown.partition("Examples:\n")
    assert found
    typed = after.replace("\\\n", "").splitlines()
    assert [" ".join(line.split()) for line in typed] == [
        " ".join(line.split()) for line in examples_of(path)
    ]
    assert max(map(len, after.splitlines())) <= 60


def test_a_command_without_a_full_stop_gets_one():
    @click.command()
    def bare():
        """Do a thing"""

    from pipeline.cli_group import Group

    group = Group("group", commands=[bare])
    shown = CliRunner().invoke(group, ["--help"]).stdout
    assert re.search(r"^  bare  Do a thing\.$", shown, re.MULTILINE)

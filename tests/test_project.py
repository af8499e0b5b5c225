"""MLproject, conda.yaml, pyproject.toml and the commands of ``pipeline`` agree.

A new option of ``pipeline search`` has to become a parameter in MLproject, or to be named in
``NOT_IN_MLPROJECT`` with the reason.
"""

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from string import Formatter

import click
import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from pipeline.cli import main
from pipeline.selection.rules import constants

ROOT = Path(__file__).parents[1]

NOT_IN_MLPROJECT = {
    ("search", "dry_run"): "a run that only says what it would do is no run to track",
    ("search", "data_dir"): "where files lie is the machine's matter: PIPELINE_DATA_DIR",
    ("report", "data_dir"): "as for search",
    ("report", "read_test_again"): "a second reading is a decision, not a parameter",
    ("run", "dry_run"): "as for search",
    ("run", "data_dir"): "as for search",
    ("run", "format"): "the pages are on the run, in every format",
    ("run", "output"): "the pages are on the run, in every format",
    ("search", "format"): "what a search says is on its run",
    **{
        (command, option): "how much is told changes nothing that is tracked"
        for command in ("search", "report", "run")
        for option in ("quiet", "verbose")
    },
}

ENTRY_POINTS = {"main": "run", "search": "search", "report": "report"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def yaml(name: str):
    return YAML(typ="safe").load(text(name))


@cache
def pyproject():
    return tomllib.loads(text("pyproject.toml"))


def command(name: str) -> click.Command:
    return main.commands[name]


def options(name: str) -> dict[str, click.Option]:
    return {
        str(option.name).rstrip("_"): option
        for option in command(name).params
        if isinstance(option, click.Option)
    }


def is_switch(option: click.Option) -> bool:
    """Whether it is ``--name/--no-name``."""
    return bool(option.secondary_opts)


def words_of(entry_point: str) -> list[str]:
    """Returns the words of the command that an entry point runs, from its name on."""
    words = shlex.split(yaml("MLproject")["entry_points"][entry_point]["command"])
    # One process, in the place of MLflow's shell: signals reach it, and unknown -P.
    assert words[:2] == ["exec", "scripts/pipeline"]
    assert not {"&&", ";", "|"} & set(words)
    return words[2:]


def parameters(entry_point: str) -> dict:
    return yaml("MLproject")["entry_points"][entry_point]["parameters"]


def test_mlproject_names_the_distribution_and_the_environment():
    assert yaml("MLproject")["name"] == pyproject()["project"]["name"]
    assert (ROOT / yaml("MLproject")["conda_env"]).is_file()
    assert yaml("MLproject")["entry_points"].keys() == ENTRY_POINTS.keys()


@pytest.mark.parametrize(("entry_point", "name"), ENTRY_POINTS.items())
def test_an_entry_point_runs_a_command_with_options_that_exist(entry_point, name):
    first, *words = words_of(entry_point)
    assert first == name
    spelled = {option for entry in options(name).values() for option in entry.opts}
    given = [word for word in words if word.startswith("--")]
    switches = [f"--{{{key}}}" for key, entry in options(name).items() if is_switch(entry)]
    assert set(given) <= spelled | set(switches)
    assert len(given) == len(set(given))


@pytest.mark.parametrize(("entry_point", "name"), ENTRY_POINTS.items())
def test_every_parameter_is_passed_to_the_option_of_its_name(entry_point, name):
    passed, (_, *words) = set(), words_of(entry_point)
    for option, value in zip(words, [*words[1:], ""], strict=True):
        if option.startswith("--{"):
            passed.add(option[3:-1])
            assert is_switch(options(name)[option[3:-1]])
        elif option.startswith("--"):
            key = option[2:].replace("-", "_")
            assert value == f"{{{key}}}", f"{option} {value} in {entry_point}"
            passed.add(key)
    assert passed == parameters(entry_point).keys()


@pytest.mark.parametrize(("entry_point", "name"), ENTRY_POINTS.items())
def test_every_option_is_a_parameter_or_has_a_reason_not_to_be(entry_point, name):
    left_out = {option for command_, option in NOT_IN_MLPROJECT if command_ == name}
    assert options(name).keys() - left_out == parameters(entry_point).keys()
    assert left_out <= options(name).keys()


def test_main_takes_every_parameter_of_search_and_those_of_report_that_choose_or_judge():
    names = [constant.name for constant in constants()]
    own = ("rule", *names, "seeds", "finalists", "deliver", "promote")
    own += ("max_gap", "min_accuracy")
    report = {name: parameters("report")[name] for name in own}
    assert parameters("main") == parameters("search") | report


@pytest.mark.parametrize(("entry_point", "name"), ENTRY_POINTS.items())
def test_every_default_is_the_commands_own(entry_point, name):
    """Parsed by click itself: what MLflow would pass gives what leaving it out gives."""
    given = {key: entry["default"] for key, entry in parameters(entry_point).items()}
    arguments = [word.format(**given) for word in words_of(entry_point)[1:]]
    with command(name).make_context(name, arguments) as context:
        filled = dict(context.params)
    with command(name).make_context(name, []) as context:
        assert filled == dict(context.params)


def test_switches_can_be_turned_off_by_their_parameter():
    _, *words = words_of("search")
    given = {key: entry["default"] for key, entry in parameters("search").items()}
    for value, expected in (("references", True), ("no-references", False)):
        arguments = [word.format(**given | {"references": value}) for word in words]
        with command("search").make_context("search", arguments) as context:
            assert context.params["references"] is expected


@pytest.mark.parametrize(("entry_point", "name"), ENTRY_POINTS.items())
def test_workers_may_be_auto_by_their_parameter(entry_point, name):
    given = {key: entry["default"] for key, entry in parameters(entry_point).items()}
    arguments = [word.format(**given | {"workers": "auto"}) for word in words_of(entry_point)[1:]]
    with command(name).make_context(name, arguments) as context:
        assert context.params["workers"] == "auto"


def test_no_command_uses_an_undeclared_parameter():
    for entry in yaml("MLproject")["entry_points"].values():
        used = {field for _, field, _, _ in Formatter().parse(entry["command"]) if field}
        assert used == entry["parameters"].keys()


def requirement(line: str) -> tuple[str, frozenset[str], str]:
    parsed = Requirement(line)
    return parsed.name, frozenset(parsed.extras), str(parsed.specifier)


def conda_pip() -> list[str]:
    return next(
        entry["pip"] for entry in yaml("conda.yaml")["dependencies"] if isinstance(entry, dict)
    )


def test_conda_yaml_asks_for_what_pyproject_asks_for():
    project = pyproject()["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["gpu"]
    assert {requirement(line) for line in conda_pip()} == {requirement(line) for line in wanted}


def test_conda_yaml_gives_each_machine_one_tensorflow_and_cuda_where_it_can_be_had():
    markers = [
        (Requirement(line).extras, Requirement(line).marker)
        for line in conda_pip()
        if line.startswith("tensorflow")
    ]
    machines = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64")]
    for platform, machine in machines:
        here = {"sys_platform": platform, "platform_machine": machine}
        fitting = [extras for extras, marker in markers if marker and marker.evaluate(here)]
        cuda = {"and-cuda"} if (platform, machine) == ("linux", "x86_64") else set()
        assert fitting == [cuda], here


def test_python_versions_agree():
    project = pyproject()["project"]
    python = next(
        entry for entry in yaml("conda.yaml")["dependencies"] if str(entry).startswith("python")
    )
    # MLflow's uv and virtualenv take `python=X.Y` from conda.yaml and refuse a range.
    assert re.fullmatch(r"python=3\.\d+", python)
    oldest = project["requires-python"].removeprefix(">=")
    assert python.removeprefix("python=") == oldest
    assert tomllib.loads(text("uv.lock"))["requires-python"] == project["requires-python"]
    assert pyproject()["tool"]["mypy"]["python_version"] == oldest
    assert pyproject()["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert "({}, {}) <= sys.version_info".format(*oldest.split(".")) in text("scripts/install")


def test_the_license_is_named_and_its_text_is_there():
    project = pyproject()["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in text("LICENSE")
    # `mlflow run --env-manager uv` builds without the text: only a pattern may match nothing.
    assert project["license-files"] == ["LICENSE*"]
    assert not any(entry.startswith("License ::") for entry in project["classifiers"])


def test_classifiers_name_the_python_versions_that_the_installer_takes():
    listed = re.findall(r"Python :: (3\.\d+)", "\n".join(pyproject()["project"]["classifiers"]))
    first, end = re.findall(r"\(3, (\d+)\)", text("scripts/install"))
    assert listed == [f"3.{minor}" for minor in range(int(first), int(end))]

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
from pipeline.selection.records import CONSTANTS

ROOT = Path(__file__).parents[1]

NOT_IN_MLPROJECT = {
    ("search", "dry_run"): "a run that only says what it would do is no run to track",
    ("search", "data_dir"): "where files lie is the machine's matter: PIPELINE_DATA_DIR",
    ("report", "data_dir"): "as for search",
    ("report", "read_test_again"): "a second reading is a decision, not a parameter",
}

ENTRY_POINTS = {"main": ("search", "report"), "search": ("search",), "report": ("report",)}


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


def parts(entry_point: str) -> list[list[str]]:
    """Returns the words of each command that an entry point runs."""
    line = yaml("MLproject")["entry_points"][entry_point]["command"]
    return [shlex.split(part) for part in line.split("&&")]


def parameters(entry_point: str) -> dict:
    return yaml("MLproject")["entry_points"][entry_point]["parameters"]


def test_mlproject_names_the_distribution_and_the_environment():
    assert yaml("MLproject")["name"] == pyproject()["project"]["name"]
    assert (ROOT / yaml("MLproject")["conda_env"]).is_file()
    assert yaml("MLproject")["entry_points"].keys() == ENTRY_POINTS.keys()


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_an_entry_point_runs_its_commands_with_options_that_exist(entry_point):
    found = parts(entry_point)
    assert [words[:2] for words in found] == [
        ["scripts/pipeline", name] for name in ENTRY_POINTS[entry_point]
    ]
    for words, name in zip(found, ENTRY_POINTS[entry_point], strict=True):
        spelled = {option for entry in options(name).values() for option in entry.opts}
        given = [word for word in words[2:] if word.startswith("--")]
        switches = [f"--{{{key}}}" for key, entry in options(name).items() if is_switch(entry)]
        assert set(given) <= spelled | set(switches)
        assert len(given) == len(set(given))


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_parameter_is_passed_to_the_option_of_its_name(entry_point):
    passed = set()
    for words, name in zip(parts(entry_point), ENTRY_POINTS[entry_point], strict=True):
        for option, value in zip(words[2:], [*words[3:], ""], strict=True):
            if option.startswith("--{"):
                passed.add(option[3:-1])
                assert is_switch(options(name)[option[3:-1]])
            elif option.startswith("--"):
                key = option[2:].replace("-", "_")
                assert value == f"{{{key}}}", f"{option} {value} in {entry_point}"
                passed.add(key)
    assert passed == parameters(entry_point).keys()


@pytest.mark.parametrize("name", ["search", "report"])
def test_every_option_is_a_parameter_or_has_a_reason_not_to_be(name):
    left_out = {option for command_, option in NOT_IN_MLPROJECT if command_ == name}
    assert options(name).keys() - left_out == parameters(name).keys()
    assert left_out <= options(name).keys()


def test_main_takes_every_parameter_of_search_and_those_of_report_that_choose_or_judge():
    constants = [constant.name for constant in CONSTANTS]
    own = ("rule", *constants, "seeds", "finalists", "max_gap", "min_accuracy")
    report = {name: parameters("report")[name] for name in own}
    assert parameters("main") == parameters("search") | report


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_every_default_is_the_commands_own(entry_point):
    """Parsed by click itself: what MLflow would pass gives what leaving it out gives."""
    given = {key: entry["default"] for key, entry in parameters(entry_point).items()}
    for words, name in zip(parts(entry_point), ENTRY_POINTS[entry_point], strict=True):
        arguments = [word.format(**given) for word in words[2:]]
        with command(name).make_context(name, arguments) as context:
            filled = dict(context.params)
        with command(name).make_context(name, []) as context:
            plain = dict(context.params)
        if entry_point == "main" and name == "report":
            plain["dataset"] = given["dataset"]
        assert filled == plain


def test_switches_can_be_turned_off_by_their_parameter():
    words = next(part for part in parts("search"))
    given = {key: entry["default"] for key, entry in parameters("search").items()}
    for value, expected in (("references", True), ("no-references", False)):
        arguments = [word.format(**given | {"references": value}) for word in words[2:]]
        with command("search").make_context("search", arguments) as context:
            assert context.params["references"] is expected


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

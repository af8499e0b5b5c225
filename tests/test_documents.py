"""Documents, scripts and help texts are true: commands parse, links lead somewhere, every page
is linked, and no file holds what belongs to one machine.
"""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from pipeline.cli import main

ROOT = Path(__file__).parents[1]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"],
        capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout: " + listed.stderr.strip())
    return tuple(name for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def code_lines(name: str) -> list[str]:
    """Returns the lines of the console blocks of a Markdown file, without comments."""
    blocks = re.findall(r"^```(?:sh|console|bash)\n(.*?)^```", text(name), re.M | re.S)
    lines = (line.split("  #")[0].strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def test_the_first_screen_of_the_readme_starts_with_the_two_commands():
    assert code_lines("README.md")[:2] == ["scripts/demo", "scripts/test"]
    assert text("README.md").index("scripts/test") < 1_500


def test_ci_runs_the_commands_that_the_readme_names():
    ci = text(".ci/run")
    for script in ("scripts/check", 'scripts/test -m ""'):
        assert script in ci
        assert script in text("README.md")
    assert ci.rstrip().endswith('scripts/test -m "" -q')


SCRIPTS = (".ci/run", "scripts/check", "scripts/demo", "scripts/install", "scripts/pipeline",
           "scripts/test")  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_run_stop_at_a_failure_and_allow_bytecode(name):
    script = text(name)
    assert (ROOT / name).stat().st_mode & 0o111
    assert script.startswith("#!")
    assert re.search(r"^set -eu", script, re.M)
    if "python" in script or ".venv/bin/pipeline" in script:
        assert "unset PYTHONDONTWRITEBYTECODE" in script
    subprocess.run(["bash" if "bash" in script.splitlines()[0] else "sh", "-n", ROOT / name],
                   check=True)  # fmt: skip


PAGES = sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))
DOCUMENTS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "examples/README.md", *PAGES]


def links(name: str) -> set[Path]:
    """Returns the files that a document links to."""
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text(name))
    folder = (ROOT / name).parent
    return {(folder / target).resolve() for target in targets if "://" not in target}


def test_the_readme_is_one_screen_that_is_read_to_the_end():
    assert len(text("README.md").splitlines()) <= 150


def test_every_page_and_picture_is_linked():
    linked = links("README.md") | links("docs/architecture.md")
    assert {ROOT / name for name in (*PAGES, "CONTRIBUTING.md", "LICENSE")} <= linked
    linked |= {target for name in PAGES for target in links(name)}
    assert set((ROOT / "docs" / "pictures").iterdir()) <= linked


def test_the_demo_runs_the_study_that_the_readme_shows():
    commands = [line for line in text("scripts/demo").splitlines() if "bin/pipeline" in line]
    for line in commands:
        check_command(shlex.split(line)[1:])
    assert [shlex.split(line)[1] for line in commands] == ["search", "report"]
    assert all(line.endswith("--study demo") for line in commands)
    assert "report --study demo" in text("README.md")


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if "experiments" not in name])
def test_options_that_sentences_name_exist(name):
    """In `pipeline search --trials N` the option is one of ``search``."""
    for command, rest in re.findall(r"`pipeline (\w+)([^`]*)`", text(name)):
        assert command in main.commands, command
        found = main.commands[command]
        if isinstance(found, click.Group) and rest.split() and rest.split()[0] in found.commands:
            found = found.commands[rest.split()[0]]
        known = {one for param in found.params for one in (*param.opts, *param.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}, f"{command}{rest}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *PAGES])
def test_files_that_the_documents_name_exist(name):
    """Old entries of the experiments keep the names of their time."""
    if name == "docs/experiments.md":
        return
    for path in re.findall(r"`((?:pipeline|tests|scripts|search_spaces)/[\w./]*)`", text(name)):
        assert (ROOT / path).exists(), f"{name} names {path}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_in_the_documents_parse(name):
    """Every ``pipeline ...`` line is parsed by click; every script and file exists."""
    for line in code_lines(name):
        line = re.sub(r"^(\w+=\S* )+", "", line).removeprefix("$ ").removeprefix(".venv/bin/")
        words = shlex.split(line, comments=True)
        if words[0].startswith(("scripts/", "examples/")):
            assert (ROOT / words[0]).is_file(), line
        if words[0] == "python":
            assert (ROOT / words[1]).is_file(), line
        if words[0] == "pipeline" and "--help" not in words:
            check_command(words[1:])
        if words[:2] == ["mlflow", "run"]:
            check_mlflow_run(words)


def check_command(words: list[str]) -> None:
    current: click.Command = main
    while isinstance(current, click.Group) and words and words[0] in current.commands:
        current, words = current.commands[words[0]], words[1:]
    assert current is not main, words
    with current.make_context("pipeline", list(words)):
        pass


def check_mlflow_run(words: list[str]) -> None:
    entry_point = words[words.index("-e") + 1] if "-e" in words else "main"
    given = [words[place + 1] for place, word in enumerate(words) if word == "-P"]
    project = YAML(typ="safe").load(text("MLproject"))
    known = project["entry_points"][entry_point]["parameters"].keys()
    assert {pair.split("=")[0] for pair in given} <= known, words


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_in_the_documents_lead_somewhere(name):
    assert [str(target) for target in links(name) if not target.exists()] == []


LAYERS = (
    "__init__", "errors", "formatting", "redaction", "native_stderr", "records", "selection",
    "datasets", "training", "tracking", "search", "report", "predict", "reproduce", "doctor",
    "cli_types", "cli_options", "cli_group", "cli_study", "cli", "__main__",
)  # fmt: skip
"""The order of the tree: from the ground up."""


def tree_of(folder: Path, indent: int = 0) -> Iterator[str]:
    """Yields a line per module: its name and the first sentence of its docstring."""
    order = {name: place for place, name in enumerate(LAYERS)} if not indent else {}

    def key(path: Path) -> tuple[int, int, str]:
        return order.get(path.stem, -1 if indent else 99), path.stem != "__init__", path.name

    for path in sorted(folder.iterdir(), key=key):
        if path.is_dir() and (path / "__init__.py").exists():
            yield f"{'  ' * indent}{path.name}/"
            yield from tree_of(path, indent + 1)
        elif path.suffix == ".py" and path.name != "__main__.py":
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            first = (
                re.split(r"(?<=\.)\s|\n\n", doc, maxsplit=1)[0]
                .replace("\n", " ")
                .replace(":class:", "")
            )
            yield f"{'  ' * indent}{path.name:<{26 - 2 * indent}}{first}"


def test_the_architecture_page_has_the_tree_of_the_sources(request):
    page = ROOT / "docs" / "architecture.md"
    lines = "\n".join(tree_of(ROOT / "pipeline"))
    head, _, rest = page.read_text(encoding="utf-8").partition("```\n")
    _, _, tail = rest.partition("```")
    now = f"{head}```\n{lines}\n```{tail}"
    if request.config.getoption("--write-golden"):
        page.write_text(now, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == now


def as_row(entry) -> str:
    from pipeline.training import models

    families = [name for name in models.names() if entry.name in models.hyperparameters_of(name)]
    conditions = [] if set(families) == set(models.names()) else [f"`family: {families[0]}`"]
    if entry.needs is not None:
        name, values = entry.needs
        shown = " or ".join(str(value).lower() for value in values)
        conditions.append(f"`{name}`: {shown}")
    default = "null" if entry.default is None else str(entry.default)
    default = default.lower() if entry.kind is bool else default
    apart = "no" if entry.per_trial else "yes"
    cells = (
        f"`{entry.name}`",
        entry.expected,
        default,
        "; ".join(conditions),
        apart,
        entry.meaning,
    )
    return f"| {' | '.join(cells)} |"


def test_the_page_of_search_spaces_has_a_table_of_every_hyperparameter(request):
    from pipeline.training.techniques import hyperparameters

    page, head = ROOT / "docs" / "search-spaces.md", "| hyperparameter | values | default |"
    rows = [as_row(entry) for entry in hyperparameters().values()]
    assert all(entry.meaning for entry in hyperparameters().values())
    before, found, after = page.read_text(encoding="utf-8").partition(head)
    assert found
    first, rule, *rest = after.splitlines()
    tail = "\n".join(rest[next(n for n, line in enumerate([*rest, ""]) if line[:1] != "|") :])
    now = "\n".join([f"{before}{head}{first}", rule, *rows, tail]).rstrip("\n") + "\n"
    if request.config.getoption("--write-golden"):
        page.write_text(now, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == now


def test_the_documents_name_every_search_space_dataset_and_rule():
    from pipeline.datasets import catalogue
    from pipeline.selection.rules import RULES

    names = {path.stem for path in (ROOT / "search_spaces").glob("*.yaml")}
    pages = "".join(text(name) for name in ("README.md", *PAGES) if "experiments" not in name)
    for name in {*names, *catalogue(), *RULES}:
        assert f"`{name}`" in pages, name


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, entry in group.commands.items():
        here = (*path, name)
        found += leaves(entry, here) if isinstance(entry, click.Group) else [here]
    return found


@pytest.mark.parametrize("path", leaves(main), ids=" ".join)
def test_help_explains_every_option(path):
    current: click.Command = main
    for name in path:
        assert isinstance(current, click.Group)
        current = current.commands[name]
    # A command keeps the help option of its first context: this one must know -h, too.
    names = ["-h", "--help"]
    with click.Context(current, info_name="pipeline", help_option_names=names) as context:
        shown = current.get_help(context)
    assert current.help, f"pipeline {' '.join(path)} says nothing about itself"
    for option in current.params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.opts} says nothing about itself"
            assert all(spelling in shown for spelling in (*option.opts, *option.secondary_opts))


def test_the_json_contract_documents_every_key():
    from pipeline.report.render import json
    from pipeline.selection.records import RuleSettings
    from pipeline.selection.rules import constants

    document = text("docs/report-json.md")
    keys = {*json.REPORT_FIELDS, *json.TRIAL_FIELDS, *json.TEST_KEYS, *RuleSettings().as_dict()}
    keys |= {constant.name for constant in constants()}
    keys |= {*json.FINALIST_KEYS, *json.RUN_KEYS, *json.OPTIMISM_KEYS}
    assert len(keys) > 50
    for key in keys:
        assert f"`{key}`" in document, f"{key} is not explained in docs/report-json.md"


def test_the_page_on_data_lists_every_finding():
    from pipeline.datasets.findings import CODES

    section = text("docs/data.md").partition("## Findings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.M)
    assert dict(rows) == CODES


def test_the_changelog_has_this_version():
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert re.search(rf"^## ({re.escape(version)}|Unreleased)", text("CHANGELOG.md"), re.M)


TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sh", ".txt", ""}
MACHINE_PATHS = ("/wo" + "rk/", "/ho" + "me/", "/Us" + "ers/", "/ro" + "ot/", "/opt/py" + "pi")
REGISTRIES = ("py" + "pi.org", "pythonho" + "sted.org", "conda.ana" + "conda.org",
              "index" + "-url", "extra-" + "index")  # fmt: skip


def occurrences(words: tuple[str, ...], but: set[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name in tracked()
        if name not in but and Path(name).suffix in TEXT
        for number, line in enumerate(text(name).splitlines(), 1)
        if any(word in line for word in words)
    ]


def test_no_file_names_a_path_of_one_machine():
    assert occurrences(MACHINE_PATHS, {"uv.lock"}) == []


def test_no_file_but_the_lock_names_a_package_registry():
    assert occurrences(REGISTRIES, {"uv.lock"}) == []


def test_only_ci_looks_for_data_beside_the_checkout():
    assert occurrences(("../sha" + "red",), {".ci/run"}) == []


def test_no_data_models_or_databases_are_tracked():
    ends = (
        ".npz",
        ".npy",
        ".gz",
        ".pkl",
        ".keras",
        ".h5",
        ".db",
        ".sqlite",
        ".journal",
        ".parquet",
    )
    folders = ("mlruns/", "mlartifacts/", ".venv/")
    found = [name for name in tracked() if name.endswith(ends) or name.startswith(folders)]
    # The golden page of finalists has every picture twice, for wide screens and for phones.
    limits = {"uv.lock": 2_000_000, "tests/report/golden/finalists.html": 800_000}
    large = [name for name in tracked() if (ROOT / name).stat().st_size > limits.get(name, 400_000)]
    assert found + large == []


def test_what_a_search_writes_is_ignored_by_git():
    for name in ("mlflow.db", "mlruns/0/a", "mlartifacts/x", "studies.journal", ".venv/bin/python"):
        done = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", name])
        assert done.returncode == 0, f"{name} is not in .gitignore"


def test_the_module_can_be_run_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "--help"],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("Usage: pipeline ")


def test_tests_mirror_the_package_and_their_names_are_unique():
    files = list((ROOT / "tests").rglob("test_*.py"))
    names = [path.name for path in files]
    assert sorted(names) == sorted(set(names))
    for path in files:
        folder = path.parent.relative_to(ROOT / "tests")
        mirrored = (ROOT / "pipeline" / folder).is_dir() or folder == Path("faults")
        assert mirrored, f"{path} mirrors no folder of pipeline/"

"""The architecture, read off the sources: imports point down, one door per library, one reader of
the test part, and nothing heavy behind ``pipeline --help``.
"""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline"

# From the ground up, by folder: a module may import its own row and those above it here.
LAYERS = (
    (
        "pipeline",
        "pipeline.callable_module",
        "pipeline.collection",
        "pipeline.environment",
        "pipeline.errors",
        "pipeline.formatting",
        "pipeline.library_messages",
        "pipeline.native_stderr",
        "pipeline.option_values",
        "pipeline.processors",
        "pipeline.records",
        "pipeline.redaction",
    ),
    ("pipeline.selection",),
    ("pipeline.datasets",),
    ("pipeline.training",),
    ("pipeline.search.__init__", "pipeline.search.executors"),
    ("pipeline.tracking",),
    ("pipeline.search",),
    ("pipeline.report",),
    ("pipeline.predict", "pipeline.reproduce", "pipeline.doctor"),
    ("pipeline.api", "pipeline.arguments", "pipeline.notebook", "pipeline.prepared_search"),
    (
        "pipeline.cli",
        "pipeline.cli_completion",
        "pipeline.cli_datasets",
        "pipeline.cli_group",
        "pipeline.cli_options",
        "pipeline.cli_study",
        "pipeline.cli_types",
    ),
    ("pipeline.__main__",),
)

# Library -> the files and folders (with a slash) that may import it.
DOORS = {
    "click": {
        "cli.py",
        "cli_completion.py",
        "cli_datasets.py",
        "cli_group.py",
        "cli_options.py",
        "cli_study.py",
        "cli_types.py",
    },
    "jax": {"training/backend.py"},
    "keras": {"training/", "tracking/models/", "datasets/official_files.py"},
    "jinja2": {"report/render/html.py"},
    "matplotlib": {
        "datasets/pictures.py",
        "report/figures/canvas.py",
        "report/figures/names.py",
    },
    "mlflow": {"tracking/"},
    "optuna": {
        "search/journal.py",
        "search/samplers.py",
        "search/shared_study.py",
        "search/storage.py",
        "search/study.py",
    },
    "PIL": {"datasets/formats/pixels.py"},
    "pyarrow": {"datasets/formats/"},
    "pydantic": {"search/space/"},
    "ray": {"search/executors/ray/"},
    "rich": {"api.py", "cli_study.py", "search/progress.py", "report/render/text.py"},
    "ruamel": {"search/space/yaml_document.py"},
    "sklearn": {"datasets/digits.py", "report/evidence/importance.py"},
    "sqlalchemy": {"search/mutex.py", "tracking/"},
    "tensorflow": {"training/backend.py", "training/multi_hot.py"},
    "torch": set(),
    "yaml": set(),
}
LAZY = {
    "PIL",
    "jax",
    "keras",
    "matplotlib",
    "mlflow",
    "optuna",
    "pyarrow",
    "ray",
    "sklearn",
    "tensorflow",
}
"""Never imported by ``--help``; outside the folders below not even when a module is imported."""
AT_ONCE = {
    "keras": {"training/"},
    "mlflow": {"tracking/"},
    "optuna": {
        "search/journal.py",
        "search/samplers.py",
        "search/shared_study.py",
        "search/study.py",
    },
}


@dataclass(frozen=True)
class Import:
    """One import: of what, in which file and line.

    Attributes:
        at_once: Whether the module's own import does it.
        for_types: Whether only a type checker does it (TYPE_CHECKING).
    """

    target: str
    file: str
    line: int
    at_once: bool
    for_types: bool

    def __str__(self) -> str:
        return f"pipeline/{self.file}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = ("pipeline", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yields the modules that a statement imports: a name from a package may be a module, too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, "relative imports hide where a module stands"
    assert node.module is not None
    modules = [f"{node.module}.{alias.name}" for alias in node.names]
    modules = [module for module in modules if module in SOURCES]
    yield from modules
    if len(modules) < len(node.names):
        yield node.module


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(
    tree: ast.AST, at_once: bool = True, for_types: bool = False
) -> Iterator[tuple[ast.AST, bool, bool]]:
    """Yields every node below, whether importing the module runs it, and whether nothing does."""
    for node in ast.iter_child_nodes(tree):
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        never = for_types or is_type_checking(node)
        yield node, at_once, for_types
        yield from walk(node, at_once and not inside and not never, never)


def imports_of(path: Path) -> list[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    file = path.relative_to(PACKAGE).as_posix()
    return [
        Import(target, file, node.lineno, at_once, for_types)
        for node, at_once, for_types in walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for target in targets(node)
    ]


IMPORTS = {name: imports_of(path) for name, path in SOURCES.items()}


def layer(module: str) -> int:
    """Returns the height of a module; ``x.__init__`` in the table means the package x alone."""
    for place, row in enumerate(LAYERS):
        if module in row or f"{module}.__init__" in row:
            return place
    prefixes = [
        (len(prefix), place)
        for place, row in enumerate(LAYERS)
        for prefix in row
        if module.startswith(f"{prefix}.") and prefix != "pipeline"
    ]
    assert prefixes, f"{module} stands in no layer: add it to LAYERS"
    return max(prefixes)[1]


def within(file: str, places: set[str]) -> bool:
    return any(file == place or (place[-1] == "/" and file.startswith(place)) for place in places)


def test_there_is_something_to_check():
    assert len(SOURCES) > 50
    assert sum(map(len, IMPORTS.values())) > 300
    assert {"optuna", "mlflow", "click"} <= {
        entry.target.split(".")[0] for found in IMPORTS.values() for entry in found
    }


def test_every_module_stands_in_a_layer_and_every_layer_has_a_module():
    heights = {layer(module) for module in SOURCES}
    assert heights == set(range(len(LAYERS)))


def test_imports_only_point_down():
    upward = [
        f"{entry} (layer {layer(entry.target)}, its own is {layer(module)})"
        for module, found in IMPORTS.items()
        for entry in found
        if entry.target.split(".")[0] == "pipeline" and layer(entry.target) > layer(module)
    ]
    assert upward == []


def first_cycle(graph: dict[str, set[str]]) -> str:
    """Returns modules that import each other in a circle; empty where none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def imported_by(folder: str) -> dict[str, set[str]]:
    """Returns what the modules of a folder import of each other, late imports included."""
    inside = {m for m in SOURCES if m == folder or m.startswith(f"{folder}.")}
    return {
        module: {entry.target for entry in IMPORTS[module] if not entry.for_types} & inside
        for module in inside
    }


def test_no_circle_of_imports_at_import():
    graph = {
        module: {entry.target for entry in found if entry.at_once and entry.target in SOURCES}
        for module, found in IMPORTS.items()
    }
    assert first_cycle(graph) == ""


@pytest.mark.parametrize(
    "folder", sorted({".".join(module.split(".")[:2]) for module in SOURCES} - {"pipeline"})
)
def test_no_circle_inside_a_folder(folder):
    """Late imports count, too: two files that need each other are one."""
    assert first_cycle(imported_by(folder)) == ""


def test_no_circle_between_folders():
    """What points down only can still go in a circle inside one row."""
    assert first_cycle(imported_by("pipeline")) == ""


def test_the_check_itself_sees_a_circle_but_not_one_of_types(tmp_path, monkeypatch):
    sources = {name: tmp_path / f"{name}.py" for name in ("one", "two")}
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    monkeypatch.setattr(
        sys.modules[__name__], "SOURCES", {f"pipeline.{n}": p for n, p in sources.items()}
    )
    sources["one"].write_text("from pipeline import two")
    for late, circle in (
        ("def f():\n    from pipeline.one import x", True),
        ("if TYPE_CHECKING:\n    from pipeline.one import x", False),
    ):
        sources["two"].write_text(late)
        imports = {f"pipeline.{n}": imports_of(p) for n, p in sources.items()}
        monkeypatch.setattr(sys.modules[__name__], "IMPORTS", imports)
        assert bool(first_cycle(imported_by("pipeline"))) is circle


@pytest.mark.parametrize("library", DOORS)
def test_one_library_one_door(library):
    strangers = [
        str(entry)
        for found in IMPORTS.values()
        for entry in found
        if entry.target.split(".")[0] == library and not within(entry.file, DOORS[library])
    ]
    assert strangers == []


@pytest.mark.parametrize("library", sorted(LAZY))
def test_heavy_libraries_are_imported_late(library):
    early = [
        str(entry)
        for found in IMPORTS.values()
        for entry in found
        if entry.at_once
        and entry.target.split(".")[0] == library
        and not within(entry.file, AT_ONCE.get(library, set()))
    ]
    assert early == []


def test_pages_are_free_of_tracking_and_training():
    """What selects and what is shown are functions of records: no store, no Keras.

    The table of techniques has no Keras: reports read in it what they say of a technique.
    """
    table = tuple(
        f"pipeline.training.{name}" for name in ("techniques", "hyperparameters", "descriptions")
    )
    pure = ("selection", "report.evidence", "report.figures", "report.render", "report.sections")
    for module, found in IMPORTS.items():
        if module.startswith(tuple(f"pipeline.{folder}" for folder in pure)):
            for entry in found:
                above = entry.target.startswith(("pipeline.tracking", "pipeline.training"))
                assert not above or entry.target in table, entry


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def reads_a_test_part(node: ast.AST) -> bool:
    """Whether this is ``something.test.read`` or ``test.read``, or reaches into a sealed part."""
    if not isinstance(node, ast.Attribute):
        return False
    owner = node.value
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return (node.attr == "read" and name in {"test", "sealed"}) or (
        node.attr == "_loader" and name != "self"
    )


def readers_of_the_test_part() -> set[str]:
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in SOURCES.values()
        if any(map(reads_a_test_part, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }


def test_only_one_file_reads_the_test_part():
    assert readers_of_the_test_part() == {"report/test_part.py"}


def test_only_the_report_holds_the_key_and_asks_for_the_reading():
    using = {
        name: {
            path.relative_to(PACKAGE).as_posix()
            for path in SOURCES.values()
            if name in names_in(path) and path.parent.name != "datasets"
        }
        for name in ("SelectionLock", "SealedTest")
    }
    assert using["SealedTest"] == set()
    assert using["SelectionLock"] == {"report/completion.py", "report/test_part.py"}
    importing = {
        module
        for module, found in IMPORTS.items()
        if any(entry.target == "pipeline.report.test_part" for entry in found)
    }
    assert importing == {"pipeline.report.completion"}


@pytest.mark.parametrize(
    "source, caught",
    [
        ("part = dataset.test.read(lock)", True),
        ("read = self.dataset.test.read", True),
        ("dataset.test._loader()", True),
        ("text = file.read()", False),
        ("self._loader()", False),
    ],
)
def test_the_check_itself_sees_a_reader(source, caught):
    assert any(map(reads_a_test_part, ast.walk(ast.parse(source)))) is caught


@pytest.mark.parametrize(
    "source, target, at_once",
    [
        ("import optuna.trial as t", "optuna.trial", True),
        ("def f():\n    from keras import ops", "keras", False),
        ("if TYPE_CHECKING:\n    import mlflow", "mlflow", False),
        ("try:\n    import ray\nexcept ImportError:\n    ray = None", "ray", True),
        ("from pipeline.search import study", "pipeline.search.study", True),
        ("from pipeline.search.space.space import load", "pipeline.search.space.space", True),
    ],
)
def test_the_check_itself_sees_an_import(source, target, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "module.py").write_text(source)
    assert [(entry.target, entry.at_once) for entry in imports_of(tmp_path / "module.py")] == [
        (target, at_once)
    ]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["search", "--help"], ["report", "--help"], ["datasets", "--help"]]
)
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys\n"
        "from pipeline.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print('heavy:', sorted(set({sorted(LAZY | {'numpy', 'scipy'})!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_the_sources_are_those_that_are_imported():
    assert Path(importlib.import_module("pipeline").__file__ or "").parent == PACKAGE


@pytest.mark.parametrize("module", ["pipeline.search.run", "pipeline.report.run"])
def test_a_command_begins_without_the_stores_libraries(module):
    """Workers start before Optuna and MLflow are imported; a report may need neither."""
    code = f"import sys, {module}; print({{'optuna', 'mlflow', 'keras'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

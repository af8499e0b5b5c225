"""Which modules beside the user's model file belong to it, and that a change of one is noticed."""

import sys

import pytest

from pipeline.errors import InputError
from pipeline.training.own import loading, registry
from pipeline.training.own.imports import MOST, local_modules
from pipeline.training.own.loading import open_family

MODEL = (
    "import my_blocks\n\n\ndef build(config, input_shape, num_classes):\n    return my_blocks.N\n"
)


@pytest.fixture(autouse=True)
def _forgotten():
    before = {*sys.modules}
    yield
    registry.forget()
    for name in {*sys.modules} - before:
        if name.startswith("my_"):
            del sys.modules[name]


def written(folder, **files):
    """Writes modules, ``__`` in a name for ``/``; returns the path of the model file."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "my_model.py"


def found(file):
    return list(local_modules(file, file.read_bytes(), lambda path: path.read_bytes()))


def test_modules_beside_the_file_and_below_count_with_what_they_import(tmp_path):
    model = written(
        tmp_path,
        my_model="import json, keras\nimport my_a\n\ndef build():\n    from my_pkg import my_sub\n",
        my_a="import my_b as b\nimport my_model\n",
        my_b="from my_pkg.my_deep.my_end import value\n",
        my_pkg__my_sub="from .my_beside import x\nfrom . import my_other\nfrom ..my_top import y\n",
        my_pkg__my_beside="", my_pkg__my_other="", my_top="", my_unused="", json="", keras="",
    )  # fmt: skip
    (tmp_path / "my_pkg" / "__init__.py").write_text("import my_pkg.my_sub\n")
    (tmp_path / "my_pkg" / "my_deep").mkdir()
    (tmp_path / "my_pkg" / "my_deep" / "my_end.py").write_text("this is no Python\n")
    assert found(model) == [
        "my_a.py", "my_b.py", "my_pkg/__init__.py", "my_pkg/my_beside.py",
        "my_pkg/my_deep/my_end.py", "my_pkg/my_other.py", "my_pkg/my_sub.py", "my_top.py",
    ]  # fmt: skip


def test_a_file_that_imports_nothing_local_is_what_it_was(tmp_path):
    model = written(tmp_path, my_model="import keras\nfrom os import path\n", os="", my_other="")
    family = registry.family_of(f"{model}:build")
    assert family.modules == ()
    assert "modules" not in family.as_definition()
    assert found(written(tmp_path, my_model="def build(:\n")) == []


def test_too_many_modules_are_refused(tmp_path):
    names = [f"my_{number}" for number in range(MOST + 1)]
    model = written(tmp_path, my_model=f"import {', '.join(names)}", **dict.fromkeys(names, ""))
    with pytest.raises(InputError, match=f"imports more than {MOST} modules from its folder"):
        found(model)


def test_a_changed_module_is_run_anew_or_refused(tmp_path, monkeypatch):
    option = f"{written(tmp_path, my_model=MODEL, my_blocks='N = 1')}:build"
    first = registry.family_of(option)
    assert [name for name, _ in first.modules] == ["my_blocks.py"]
    assert registry.of_definition({"own_model": first.as_definition()}).modules == first.modules
    assert first.contents() == {"my_model.py": MODEL.encode(), "my_blocks.py": b"N = 1"}
    assert open_family(first)(None, None, None) == 1
    written(tmp_path, my_blocks="N = 1 + 1")
    second = registry.family_of(option)
    assert open_family(second)(None, None, None) == 2
    told = "my_blocks.py was changed since the study began"
    with pytest.raises(InputError, match=told):
        registry.checked_for({"own_model": first.as_definition()}, option, "this")
    written(tmp_path, my_blocks="N = 'three'")
    monkeypatch.setattr(loading, "_OPENED", {})  # as in a worker that starts now
    with pytest.raises(InputError, match=told):
        open_family(second)

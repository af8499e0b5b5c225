"""Knows the user's own model families and the hyperparameters they add; no Keras, no user's code.

A family of the user's own is a function in a Python file: ``--family my_model.py:build``. Its name
in configurations is ``my_model.py:build``. A search space declares which hyperparameters its
``build`` reads; a study that is read back declares the same from its definition, without the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.training.architecture import Opaque
from pipeline.training.hyperparameters import Hyperparameter
from pipeline.training.own.imports import local_modules

KEY = "own_model"
"""Key of a study's definition that says which file its models came from."""
MODULES = "modules"
"""Key in it of the modules that the file imports from its folder; studies of older versions, and of
files that import none, lack it."""
KINDS: dict[str, type[Any]] = {"bool": bool, "int": int, "float": float, "str": str}
EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a finite number",
    "str": "a text",
}
MAX_BYTES = 2**20
LARGEST = 2**53
UNKNOWN = Opaque()


class OwnHyperparameter(Hyperparameter):
    """A hyperparameter that only the user's function knows."""

    @property
    def expected(self) -> str:
        """The valid values in words, for messages."""
        return EXPECTED[self.kind.__name__]


@dataclass(frozen=True)
class OwnFamily:
    """A model family of the user's own; small enough to send to a worker.

    Attributes:
        file: Name of the file, without its folder.
        function: Name of the function in it.
        sha256: Hash of the file's bytes.
        path: Where the file is; empty where only a study tells of it, and its code is not run.
        kinds: Hyperparameters that a search space gives to the function, with their kinds.
        size: How large its models are.
        modules: Paths, below the file's folder, of the modules that it imports from there, each
            with the hash of its bytes.
    """

    file: str
    function: str
    sha256: str
    path: str = ""
    kinds: tuple[tuple[str, str], ...] = ()
    size: Opaque = UNKNOWN
    modules: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The family's name in configurations."""
        return f"{self.file}:{self.function}"

    @property
    def option(self) -> str:
        """The value of ``--family`` that names it."""
        return f"{self.path or self.file}:{self.function}"

    def as_definition(self) -> dict[str, Any]:
        """Returns what a study remembers of it, as JSON values."""
        # Only where there are some, so that studies of other files keep the definition they have.
        modules = {MODULES: dict(self.modules)} if self.modules else {}
        return {
            "file": self.file,
            "function": self.function,
            "sha256": self.sha256,
            "hyperparameters": dict(self.kinds),
            **modules,
        }

    def contents(self) -> dict[str, bytes]:
        """Returns the bytes of its file and of its modules, by their paths below its folder.

        Raises:
            InputError: One cannot be read.
        """
        folder = Path(self.path).parent
        return {name: read(folder / name) for name in (self.file, *dict(self.modules))}


def family_of(option: str) -> OwnFamily:
    """Returns the family that ``--family`` names; its file is read and hashed, not run.

    Raises:
        InputError: It names no function of a Python file, or the file cannot be read.
    """
    path, colon, function = option.rpartition(":")
    if not colon or not path.endswith(".py") or not function.isidentifier():
        raise InputError(
            f"--family {option}: expected FILE.py:FUNCTION, such as my_model.py:build; a family of "
            "this package, such as mlp, is named in the search space"
        )
    where = Path(path).absolute()
    content = read(where)
    modules = {name: sha256_of(text) for name, text in local_modules(where, content, read).items()}
    found = OwnFamily(where.name, function, sha256_of(content), str(where))
    return replace(found, modules=tuple(modules.items()))


def read(path: Path) -> bytes:
    """Returns the bytes of the user's file.

    Raises:
        InputError: It cannot be read, or is too large to be a program.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--family: {path} cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"--family: {path} has more than {MAX_BYTES:,} bytes: it is no model file")
    return content


def sha256_of(content: bytes) -> str:
    """Returns the hash of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def of_definition(definition: Mapping[str, Any]) -> OwnFamily | None:
    """Returns the family that a study's definition tells of; None for a family of ours."""
    entry = definition.get(KEY)
    if not entry:
        return None
    kinds = {name: kind for name, kind in entry["hyperparameters"].items() if kind in KINDS}
    found = OwnFamily(entry["file"], entry["function"], entry["sha256"], "", tuple(kinds.items()))
    return replace(found, modules=tuple(dict(entry.get(MODULES, {})).items()))


_FAMILIES: dict[str, OwnFamily] = {}


def register(family: OwnFamily) -> None:
    """Makes a family and its hyperparameters known in this process."""
    _FAMILIES[family.name] = family


def register_from(definition: Mapping[str, Any]) -> None:
    """Makes the hyperparameters of a study known that is read back; its code is not run for it."""
    family = of_definition(definition)
    if family is None:
        return
    known = _FAMILIES.get(family.name)
    if known is not None and not changed_file(family, known):
        # This very file was named in this process.
        family = replace(known, kinds=family.kinds)
    register(family)


def forget() -> None:
    """Forgets every family."""
    _FAMILIES.clear()


def known(name: str) -> OwnFamily | None:
    """Returns the family of this name; None where nothing told of it."""
    return _FAMILIES.get(name)


def taken_by(name: str) -> frozenset[str]:
    """Returns the hyperparameters that a search space gives to this family's function."""
    family = _FAMILIES.get(name)
    return frozenset(key for key, _ in family.kinds) if family else frozenset()


def declared() -> dict[str, Hyperparameter]:
    """Returns every hyperparameter that a known family reads; some are ours."""
    return {
        name: OwnHyperparameter(
            name,
            KINDS[kind],
            None,
            least=-LARGEST if kind == "int" else None,
            most=LARGEST if kind == "int" else None,
            optional=True,
            of_family=True,
        )
        for family in _FAMILIES.values()
        for name, kind in family.kinds
    }


def size_of(name: str) -> Opaque:
    """Returns about how large the models of a family are; of an unknown one nothing is known."""
    family = _FAMILIES.get(name)
    return family.size if family else UNKNOWN


def checked_for(definition: Mapping[str, Any], option: str | None, what: str) -> OwnFamily | None:
    """Returns the family whose code may be run for a study, registered; None for one of ours.

    Args:
        definition: The study's.
        option: The value of ``--family``; None where it was not given.
        what: What needs it, for the message.

    Raises:
        InputError: It was not given, or names another function or a file that was changed.
    """
    recorded = of_definition(definition)
    if recorded is None:
        if option is not None:
            raise InputError(f"--family {option}: the study did not train a model of your own")
        return None
    if option is None:
        raise code_missing(what, recorded.file, recorded.function)
    given = family_of(option)
    if given.name != recorded.name:
        raise InputError(f"--family {option}: the study trained {recorded.name}; give that one")
    if file := changed_file(recorded, given):
        raise InputError(f"--family {option}: {changed(file)}")
    found = replace(given, kinds=recorded.kinds)
    register(found)
    return found


def code_missing(what: str, file: str, function: str) -> InputError:
    """Returns the refusal of what needs the user's code where ``--family`` was not given."""
    return InputError(
        f"{what} needs your model's code: give --family FILE.py:{function}, the file {file} of the "
        "search; it is only run where the option names it"
    )


def changed_file(before: OwnFamily, after: OwnFamily) -> str:
    """Returns the first of a family's files that was changed; empty where none was.

    A family that an older version recorded has no modules: those of the file are not compared.
    """
    if before.sha256 != after.sha256:
        return after.file
    old, new = dict(before.modules), dict(after.modules)
    names = sorted(old.keys() | new.keys()) if old else ()
    return next((name for name in names if old.get(name) != new.get(name)), "")


def changed_between(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Returns the file that was changed between definitions of one function; empty for none."""
    before, after = of_definition(old), of_definition(new)
    if before is None or after is None or before.name != after.name:
        return ""
    return changed_file(before, after)


def without_modules(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a definition as a version made it that did not record the file's modules."""
    entry = dict(new[KEY])
    if MODULES not in old.get(KEY, {}):
        entry.pop(MODULES, None)
    return {**new, KEY: entry}


def changed(file: str) -> str:
    """Returns that a file is not the one that a study began with, and what to do."""
    return (
        f"{file} was changed since the study began, and models of two versions are not comparable: "
        "restore the file (the study's run in MLflow has a copy), or give --study NAME to start "
        "another study"
    )

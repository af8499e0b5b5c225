"""Holds a search space: what may vary, what is fixed and which known systems run along.

In: a YAML file of ``search_spaces/`` (read by ``search.space.yaml_document``, checked by
``search.space.schema``). Out: a :class:`SearchSpace`, which turns a trial of Optuna, or of anything
with its three ``suggest_*`` methods, into a ``records.TrialConfig``, and says what it consists of.

To ask another question: one more YAML file in ``search_spaces/``, or anywhere by its path. To add
a hyperparameter: an entry in ``training.techniques`` or ``training.hyperparameters``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.errors import SearchSpaceError, closest, printable
from pipeline.records import TrialConfig, Value
from pipeline.search.space import schema, yaml_document
from pipeline.search.space.definition import as_yaml, changes
from pipeline.search.space.hyperparameters import (
    condition,
    configure,
    defaults,
    formatted,
    is_active,
    taken_by,
)
from pipeline.search.space.own_names import name_family
from pipeline.search.space.parameters import (
    Choice,
    FloatRange,
    IntRange,
    Parameter,
    Suggester,
    largest_of,
)
from pipeline.search.space.strategies import DEFAULTS, PRUNERS, SAMPLERS
from pipeline.training import models
from pipeline.training.own.registry import OwnFamily
from pipeline.training.techniques import further_hyperparameters, hyperparameters

__all__ = [
    "Choice",
    "FloatRange",
    "GridRow",
    "IntRange",
    "Reference",
    "SearchSpace",
    "changes",
    "default_for",
    "load",
    "names",
    "parse",
]

_PACKAGE = Path(__file__).resolve().parents[2]
_MIN_IMAGE_SIDE = 8  # what two 3x3 convolutions with 2x2 pooling in between need


@dataclass(frozen=True)
class Reference:
    """A known system that is trained beside the search, under its name.

    Attributes:
        name: Such as ``baseline``.
        config: Its complete configuration.
        in_space: Whether the search could suggest exactly this configuration.
    """

    name: str
    config: TrialConfig
    in_space: bool


@dataclass(frozen=True)
class GridRow:
    """One hyperparameter of a search space, in words.

    Attributes:
        name: The hyperparameter.
        role: ``searched``, ``fixed`` (in the file) or ``default`` (not mentioned).
        values: Its range, choices or value.
        condition: When it counts; empty for always.
    """

    name: str
    role: str
    values: str
    condition: str


@dataclass(frozen=True)
class SearchSpace:
    """What a study may suggest.

    Attributes:
        name: The file's name without its suffix.
        path: The file.
        family: Model family of all trials.
        trials: The study's total, references included.
        epochs: Largest number of epochs of a trial.
        patience: Epochs without a smaller ``val_ce`` after which a trial stops.
        fixed: Hyperparameters that stay, as in the file.
        parameters: Hyperparameters that vary, what they depend on first.
        references: Known systems, in the order of the file.
        sampler: Name of what suggests trials, of ``strategies.SAMPLERS``.
        pruner: Name of what stops trials early, of ``strategies.PRUNERS``.
    """

    name: str
    path: Path
    family: str
    trials: int
    epochs: int
    patience: int
    fixed: Mapping[str, Value]
    parameters: Mapping[str, Parameter]
    references: tuple[Reference, ...] = ()
    sampler: str = SAMPLERS[0]
    pruner: str = PRUNERS[0]

    @property
    def constants(self) -> dict[str, Value]:
        """The value of every hyperparameter that does not vary: the fixed ones and defaults."""
        return {
            name: self.fixed.get(name, default)
            for name, default in defaults().items()
            if name not in self.parameters
        }

    def suggest(self, trial: Suggester) -> TrialConfig:
        """Returns the configuration that a trial suggests; only active hyperparameters are asked.

        Args:
            trial: Has ``suggest_float``, ``suggest_int`` and ``suggest_categorical`` as Optuna's.
        """
        values = self.constants
        for name, parameter in self.parameters.items():
            if is_active(name, values):
                values[name] = parameter.suggest(name, trial)
            else:
                values[name] = defaults()[name]
        return configure(self.family, values)

    def parameters_of(self, config: TrialConfig) -> dict[str, Value] | None:
        """Returns the suggestions that lead to a configuration; None if it is not in the space."""
        constants = self.constants
        if config.family != self.family:
            return None
        suggestions: dict[str, Value] = {}
        values = values_of(config)
        for name, default in defaults().items():
            if not is_active(name, values):
                fits = values[name] == default
            elif name in self.parameters:
                suggestions[name] = values[name]
                fits = self.parameters[name].contains(values[name])
            else:
                fits = values[name] == constants[name]
            if not fits:
                return None
        return suggestions

    def grid(self) -> list[GridRow]:
        """Returns a row per hyperparameter: first what may vary, then what is fixed."""
        rows = [
            GridRow(name, "searched", str(parameter), condition(name))
            for name, parameter in self.parameters.items()
        ]
        for name, value in self.constants.items():
            if name in self.fixed:
                rows.append(GridRow(name, "fixed", formatted(value), condition(name)))
            elif self._values_that_count({name: value}) and self._always_active(name):
                rows.append(GridRow(name, "default", formatted(value), ""))
        return sorted(rows, key=lambda row: ("searched", "fixed", "default").index(row.role))

    def largest(self, name: str) -> int:
        """Returns the largest ``epochs`` or ``patience`` that trials have of their own; else 0."""
        values = [self.fixed.get(name), *(values_of(one.config)[name] for one in self.references)]
        if name in self.parameters:
            values.append(largest_of(self.parameters[name]))
        return max((int(value) for value in values if value is not None), default=0)

    def definition(self) -> dict[str, Any]:
        """Returns what makes a study's trials comparable, as JSON values.

        Defaults are written out, so that naming one in the file changes nothing. The number of
        trials, the file's name and its comments are not included: a study may be continued.
        """
        return {
            "family": self.family,
            "epochs": self.epochs,
            "patience": self.patience,
            "fixed": self._values_that_count(self.constants),
            "search": {name: _plain(entry) for name, entry in self.parameters.items()},
            "references": {entry.name: self._settings(entry.config) for entry in self.references},
            **self.strategy(),
        }

    def as_json(self) -> dict[str, Any]:
        """Returns what it says as JSON values; the keys are in docs/command-json.md."""
        return {
            "search_space": str(self.path),
            "family": self.family,
            **{key: getattr(self, key) for key in ("trials", "epochs", "patience")},
            **{key: getattr(self, key) for key in ("sampler", "pruner")},
            "references": [entry.name for entry in self.references],
            "hyperparameters": [asdict(row) for row in self.grid()],
        }

    def strategy(self) -> dict[str, str]:
        """Returns sampler and pruner where they are not the default: older studies name none."""
        given = {"sampler": self.sampler, "pruner": self.pruner}
        return {key: name for key, name in given.items() if name != DEFAULTS[key]}

    @property
    def text(self) -> str:
        """The resolved search space: YAML that loads to the same space, defaults written out."""
        return as_yaml(self.definition(), self.trials, self.path)

    def _always_active(self, name: str) -> bool:
        constants = self.constants
        needs = hyperparameters()[name].needs
        return needs is None or (needs[0] in constants and is_active(name, constants))

    def _may_be_active(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether a hyperparameter counts beside these values, or with some that are searched."""
        needs, known = hyperparameters()[name].needs, {**self.constants, **values}
        if needs is None or needs[0] in known:
            return is_active(name, known)
        searched = self.parameters[needs[0]]
        return any(searched.contains(value) for value in needs[1])

    def _applies(self, name: str) -> bool:
        return name in taken_by(self.family)

    def _settings(self, config: TrialConfig) -> dict[str, Value]:
        return self._values_that_count(values_of(config))

    def _values_that_count(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Returns the values that count: no other family's, and no lambda that is not set.

        A technique that is younger than a study, and off, leaves the study's definition as it was.
        """
        further = further_hyperparameters()
        return {
            name: value
            for name, value in values.items()
            if self._applies(name)
            and self._may_be_active(name, values)
            and not (condition(name) and value is None)
            and not (name in further and value == further[name].default)
        }


def load(
    path_or_name: str | Path,
    families: Collection[str] | None = None,
    own: OwnFamily | None = None,
) -> SearchSpace:
    """Returns the search space in a file, or the one shipped under a name.

    Args:
        path_or_name: A name of :func:`names`, or the path of a YAML file.
        families: Valid model families; None for those in ``training/models/``.
        own: The user's own family, which the space is then for.

    Raises:
        SearchSpaceError: There is no such file, or it is not valid; every fault is listed.
    """
    path = Path(path_or_name)
    if isinstance(path_or_name, str) and path_or_name in names():
        path = _folder() / f"{path_or_name}.yaml"
    try:
        with path.open("rb") as file:
            content = file.read(yaml_document.MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        named = printable(str(path_or_name))
        raise SearchSpaceError(
            f"cannot read the search space '{named}': {reason}; expected the path of a YAML "
            f"file or one of {', '.join(names())}{closest(named, names())}"
        ) from error
    return parse(content, path, families, own)


def parse(
    content: bytes,
    path: Path,
    families: Collection[str] | None = None,
    own: OwnFamily | None = None,
) -> SearchSpace:
    """Returns the search space in these bytes; ``path`` names it and stands in messages.

    Raises:
        SearchSpaceError: It is not valid; every fault is listed.
    """
    document = yaml_document.read(content, path)
    if own is not None:
        families = (name_family(document, own).name,)
    checked = schema.check_file(document, models.names() if families is None else families)
    space = SearchSpace(
        name=path.stem,
        path=path,
        family=checked.family,
        trials=checked.trials,
        epochs=checked.epochs,
        patience=checked.patience,
        sampler=checked.sampler,
        pruner=checked.pruner,
        fixed=MappingProxyType(dict(checked.fixed)),
        parameters=MappingProxyType(dict(checked.parameters)),
    )
    references = tuple(
        Reference(name, config, in_space=space.parameters_of(config) is not None)
        for name, config in checked.references.items()
    )
    return replace(space, references=references)


def names() -> tuple[str, ...]:
    """Returns the names of the shipped search spaces: one per dataset, and the defaults."""
    return tuple(sorted(file.stem for file in _folder().glob("*.yaml")))


def default_for(kind: str, input_shape: tuple[int, ...] = ()) -> SearchSpace:
    """Returns the search space for data that has none of its own, such as a user's file.

    Args:
        kind: The dataset's: ``features``, ``image`` or ``multi_hot``.
        input_shape: Shape of one example. Images below 8x8 pixels leave no room for the
            convolutions of ``default_image`` and are taken as features.

    Raises:
        SearchSpaceError: There is no default for this kind.
    """
    kinds = [name.removeprefix("default_") for name in names() if name.startswith("default_")]
    if kind not in kinds:
        raise SearchSpaceError(
            f"no default search space for data of the kind '{kind}'; expected one of "
            f"{', '.join(kinds)}{closest(kind, kinds)}; or give one with --search-space FILE"
        )
    small = kind == "image" and min(input_shape[:2], default=_MIN_IMAGE_SIDE) < _MIN_IMAGE_SIDE
    return load("default_features" if small else f"default_{kind}")


def values_of(config: TrialConfig) -> dict[str, Value]:
    """Returns the value of every hyperparameter of a config, in the order of the table."""
    return {name: getattr(config, name) for name in defaults()}


def _plain(parameter: Parameter) -> dict[str, Any]:
    entry = asdict(parameter)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in entry.items()}


def _folder() -> Path:
    """Returns the folder of the shipped files: in the installed package, or in the checkout."""
    installed = _PACKAGE / "search_spaces"
    return installed if installed.is_dir() else _PACKAGE.parent / "search_spaces"

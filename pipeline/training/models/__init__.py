"""Finds model families: one file each, named after the family. To add one, add a file.

A family is a function ``layers(config, input_shape) -> tuple[Layer, ...]`` that describes the
network with the nouns of ``training.architecture``; the output layer is added by the caller. Beside
it, ``HYPERPARAMETERS`` names the hyperparameters of networks that the family takes; those of
training and of techniques are common to all. A family may name in ``PADDED`` the ones of which a
larger value only adds layers that keep their input's shape, or units: trials that differ in them
train together (``training.padding``). It imports no Keras: the same description is stacked
for training, unstacked for export, and counted for the time a study will take.
"""

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any

from pipeline.errors import InputError, closest
from pipeline.records import TrialConfig, is_own_family
from pipeline.training.architecture import Layer
from pipeline.training.own import registry
from pipeline.training.technique_forms import (
    ExampleWeights,
    LossTerm,
    NetworkInput,
    WeightUpdate,
)
from pipeline.training.techniques import TECHNIQUES, hyperparameters

Family = Callable[[TrialConfig, tuple[int, ...]], tuple[Layer, ...]]


def names() -> tuple[str, ...]:
    """Returns the names of all families, which are the names of this folder's files."""
    return _names_in(tuple(__path__))


@cache  # asked for every configuration; listing the folder each time took 5% of a small search
def _names_in(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folders)))


def family(name: str) -> Family:
    """Returns the family's ``layers`` function.

    Raises:
        InputError: There is no such family.
    """
    layers: Family = _module(name).layers
    return layers


def hyperparameters_of(name: str) -> frozenset[str]:
    """Returns the names of the hyperparameters that count in a family.

    Raises:
        InputError: There is no such family, or it does not say what it takes.
    """
    if is_own_family(name):
        return _of_own(name)
    every, taken = hyperparameters(), getattr(_module(name), "HYPERPARAMETERS", None)
    if taken is None or not set(taken) <= every.keys():
        raise InputError(
            f"the model family '{name}' does not say which hyperparameters it takes: expected a "
            f"tuple HYPERPARAMETERS in its file, with some of {', '.join(every)}"
        )
    lacking = {key for key, entry in every.items() if entry.of_family and key not in taken}
    for technique in TECHNIQUES.values():
        if name in technique.not_in:
            lacking |= {entry.name for entry in technique.hyperparameters}
    return frozenset(every.keys() - lacking)


def padded_in(name: str) -> tuple[str, ...]:
    """Returns the hyperparameters in which trials of a family that train together may differ.

    Raises:
        InputError: There is no such family.
    """
    return () if is_own_family(name) else tuple(getattr(_module(name), "PADDED", ()))


def taken_by(name: str) -> frozenset[str]:
    """Returns the hyperparameters that count in a family; all of them in one that is not there."""
    if name not in names() and not is_own_family(name):
        return frozenset(hyperparameters())
    return hyperparameters_of(name)


def _of_own(name: str) -> frozenset[str]:
    """Returns what counts in a family of the user's own: what it reads, and what training does."""
    every = hyperparameters()
    networks = {key for key, entry in every.items() if entry.of_family}
    for technique in TECHNIQUES.values():
        if not isinstance(technique.form, ExampleWeights | LossTerm | NetworkInput | WeightUpdate):
            networks |= {entry.name for entry in technique.hyperparameters}
    return frozenset((every.keys() - networks) | registry.taken_by(name))


def layers_of(config: TrialConfig, input_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Returns the hidden layers of a config's network, by its family.

    Raises:
        InputError: There is no such family, or it cannot take such inputs.
    """
    if config.is_own:
        return (registry.size_of(config.family),)
    return family(config.family)(config, input_shape)


def _module(name: str) -> Any:
    if name not in names():
        valid = ", ".join(names())
        raise InputError(f"unknown model family '{name}'{closest(name, names())}; known: {valid}")
    return importlib.import_module(f"{__name__}.{name}")

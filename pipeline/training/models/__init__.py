"""Model families: one file each, named after the family. To add one, add a file.

A family is a function ``layers(config, input_shape) -> tuple[Layer, ...]`` that describes the
network with the nouns of ``training.architecture``; the output layer is added by the caller. It
imports no Keras: the same description is stacked for training, unstacked for export, and counted
for the time a study will take.
"""

import importlib
import pkgutil
from collections.abc import Callable

from pipeline.errors import InputError, closest
from pipeline.records import TrialConfig
from pipeline.training.architecture import Layer

Family = Callable[[TrialConfig, tuple[int, ...]], tuple[Layer, ...]]


def names() -> tuple[str, ...]:
    """Returns the names of all families, which are the names of this folder's files."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def family(name: str) -> Family:
    """Returns the family's ``layers`` function.

    Raises:
        InputError: There is no such family.
    """
    if name not in names():
        valid = ", ".join(names())
        raise InputError(f"unknown model family '{name}'{closest(name, names())}; known: {valid}")
    layers: Family = importlib.import_module(f"{__name__}.{name}").layers
    return layers


def layers_of(config: TrialConfig, input_shape: tuple[int, ...]) -> tuple[Layer, ...]:
    """Returns the hidden layers of a config's network, by its family.

    Raises:
        InputError: There is no such family, or it cannot take such inputs.
    """
    return family(config.family)(config, input_shape)

"""Makes a package callable, so that ``pipeline.search`` is both the package and the function."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A package that, called, is a function of ``pipeline.api`` of the same name.

    ``from pipeline import search`` finds the package of that name, whatever else the name stands
    for: importing a package binds it there. Type checkers know ``from pipeline.api import search``.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        return getattr(import_module("pipeline.api"), self.__name__.rpartition(".")[2])(
            *args, **kwargs
        )


def make_callable(name: str) -> None:
    """Makes the package of this name, which is being imported, callable."""
    sys.modules[name].__class__ = CallableModule

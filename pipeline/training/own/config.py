"""Shows a trial's hyperparameters to the user's function: a mapping, by attributes as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import closest
from pipeline.records import TrialConfig, Value
from pipeline.training import models


class OwnConfig(Mapping[str, Any]):
    """The hyperparameters of a trial that count in a family of the user's own.

    ``config["my_rate"]`` and ``config.my_rate`` are the same; a name that the search space does not
    have is an error that says which ones there are.

    Args:
        config: The trial's.

    Attributes:
        read_names: The names that were read so far.
    """

    def __init__(self, config: TrialConfig) -> None:
        names = sorted(models.hyperparameters_of(config.family))
        self._values: dict[str, Value] = {name: getattr(config, name) for name in names}
        self.read_names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """Returns the value of a hyperparameter.

        Raises:
            KeyError: The search space does not have it.
        """
        if name not in self._values:
            raise KeyError(self._unknown(name))
        self.read_names.add(name)
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"OwnConfig({self._values})"

    def _unknown(self, name: str) -> str:
        near = closest(name, self._values)
        return f"the search space has no {name}{near}; it has {', '.join(self._values)}"

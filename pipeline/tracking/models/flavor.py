"""Saves models that take a table's columns by name, in MLflow's Keras flavor.

A model of raw values is served through the code that is written beside it (``served_table``),
because MLflow's own Keras flavor gives a model one array; ``pipeline predict`` never runs that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.datasets.dataset import RawColumn
from pipeline.datasets.formats import raw_values
from pipeline.datasets.raw_rows import input_names
from pipeline.tracking.models import served_table

SERVED, VALUES = "least_overfit_served_table", "least_overfit_raw_values"
"""Names of the modules that are written beside a model."""


def described_columns(columns: Sequence[RawColumn]) -> list[dict[str, Any]]:
    """Returns columns in plain values; ``input`` is what the model calls a column."""
    names = input_names([column.name for column in columns])
    return [{**asdict(column), "input": name} for column, name in zip(columns, names, strict=True)]


@dataclass(frozen=True)
class NamedColumns:
    """The flavor, whose signature gets the names of a table's columns, in any order.

    ``mlflow.keras.save_model`` refuses a signature of columns, so it is put in place afterwards.
    They have no types: MLflow would refuse whole numbers where it was told of decimal ones.

    Attributes:
        keras_flavor: ``mlflow.keras``.
        names: A name per column that the model takes; none where it takes no table.
        columns: :func:`described_columns`; none unless the model takes raw values by name.
    """

    keras_flavor: ModuleType
    names: Sequence[str]
    columns: Sequence[Mapping[str, Any]] = ()

    def save_model(self, path: str, mlflow_model: Any, **options: Any) -> None:
        """Saves a model as the flavor does; called by ``Model.log``."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema
        from mlflow.types.schema import AnyType

        self.keras_flavor.save_model(path=path, mlflow_model=mlflow_model, **options)
        if self.names:
            columns = Schema([ColSpec(AnyType(), name) for name in self.names])
            outputs = mlflow_model.signature.outputs
            mlflow_model.signature = ModelSignature(columns, outputs)
        if self.columns:
            served = write_code(
                Path(path), str(mlflow_model.flavors["keras"]["data"]), self.columns
            )
            mlflow_model.flavors["python_function"].update(served)
        if self.names or self.columns:
            mlflow_model.save(str(Path(path) / "MLmodel"))


def write_code(folder: Path, data: str, columns: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Writes what serves a model of raw values beside it.

    Args:
        folder: Where MLflow saved the model.
        data: The folder in it that holds ``model.keras``.
        columns: :func:`described_columns`.

    Returns:
        What MLflow's ``python_function`` flavor says of it.
    """
    code = folder / "code"
    code.mkdir()
    source = Path(served_table.__file__).read_text(encoding="utf-8")
    own = source.replace(
        "from pipeline.datasets.formats import raw_values", f"import {VALUES} as raw_values"
    )
    (code / f"{SERVED}.py").write_text(own, encoding="utf-8")
    values = Path(raw_values.__file__).read_text(encoding="utf-8")
    (code / f"{VALUES}.py").write_text(values, encoding="utf-8")
    described = json.dumps(list(columns), indent=1)
    (folder / data / served_table.COLUMNS_FILE).write_text(described, encoding="utf-8")
    return {"loader_module": SERVED, "code": "code", "data": data}

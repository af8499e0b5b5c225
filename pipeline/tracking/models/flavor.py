"""Saves models in MLflow's Keras flavor with a loader that checks and casts what they take.

A model is served through the code that is written beside it: ``served_table`` where it takes a
table's columns by name, ``served_tensor`` where it takes one array, because MLflow's own flavor
takes one type of number alone, and turns JSON into it whatever is lost. ``pipeline predict`` never
runs that code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.datasets.formats import raw_tensors, raw_values
from pipeline.datasets.raw_rows import input_names
from pipeline.native_stderr import native_chatter_off
from pipeline.tracking.models import served_table, served_tensor

if TYPE_CHECKING:
    from pipeline.datasets.dataset import RawColumn

OWN = "least_overfit_"
"""How the names of the modules begin that are written beside a model."""


def described_columns(columns: Sequence[RawColumn]) -> list[dict[str, Any]]:
    """Returns columns in plain values; ``input`` is what the model calls a column."""
    names = input_names([column.name for column in columns])
    return [{**asdict(column), "input": name} for column, name in zip(columns, names, strict=True)]


@dataclass(frozen=True)
class CheckedInputs:
    """The flavor, whose signature lets through what the model's own loader checks.

    ``mlflow.keras.save_model`` takes a signature of tensors of one type alone, so another is put in
    place afterwards. A table's columns have names, in any order, and no types: MLflow would refuse
    whole numbers where it was told of decimal ones.

    Attributes:
        keras_flavor: ``mlflow.keras``.
        names: A name per column that the model takes; none where it takes no table.
        columns: :func:`described_columns`; none unless the model takes raw values by name.
        tensor: ``Dataset.raw_tensor``; None where the model takes a table.
    """

    keras_flavor: ModuleType
    names: Sequence[str]
    columns: Sequence[Mapping[str, Any]] = ()
    tensor: Mapping[str, Any] | None = None

    def save_model(self, path: str, mlflow_model: Any, **options: Any) -> None:
        """Saves a model as the flavor does; called by ``Model.log``."""
        # Under another backend Keras imports TensorFlow to save a model.
        with native_chatter_off():
            self.keras_flavor.save_model(path=path, mlflow_model=mlflow_model, **options)
        signature = self._signature(mlflow_model.signature.outputs)
        if signature is None:
            return
        mlflow_model.signature = signature
        data = str(mlflow_model.flavors["keras"]["data"])
        served = None
        if self.columns:
            served = write_table_code(Path(path), data, self.columns)
        elif self.tensor:
            served = write_tensor_code(Path(path), data, self.tensor)
        mlflow_model.flavors["python_function"].update(served or {})
        mlflow_model.save(str(Path(path) / "MLmodel"))

    def _signature(self, outputs: Any) -> Any:
        """Returns a signature that is wide enough; None for that of the flavor."""
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec
        from mlflow.types.schema import AnyType

        if self.names:
            taken = Schema([ColSpec(AnyType(), name) for name in self.names])
            return ModelSignature(taken, outputs)
        if self.tensor is None:
            return None
        if self.tensor["kind"] == "features":
            # A signature of one tensor refuses data frames, one of columns drops those beyond it.
            return ModelSignature(outputs=outputs)
        # MLflow's form for arrays of any type and shape, lists of different lengths among them.
        return ModelSignature(Schema([TensorSpec(np.dtype(object), (-1,))]), outputs)


def write_table_code(
    folder: Path, data: str, columns: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Writes what serves a model of raw values beside it.

    Args:
        folder: Where MLflow saved the model.
        data: The folder in it that holds ``model.keras``.
        columns: :func:`described_columns`.

    Returns:
        What MLflow's ``python_function`` flavor says of it.
    """
    described = json.dumps(list(columns), indent=1)
    (folder / data / served_table.COLUMNS_FILE).write_text(described, encoding="utf-8")
    return _write_code(folder, data, served_table, raw_values)


def write_tensor_code(folder: Path, data: str, tensor: Mapping[str, Any]) -> dict[str, str]:
    """Writes what serves a model of one array beside it; as :func:`write_table_code`."""
    described = json.dumps(dict(tensor), indent=1)
    (folder / data / served_tensor.TENSOR_FILE).write_text(described, encoding="utf-8")
    return _write_code(folder, data, served_tensor, raw_tensors)


def _write_code(folder: Path, data: str, served: ModuleType, values: ModuleType) -> dict[str, str]:
    """Writes copies of a loader and of the one module of this package that it imports."""
    code = folder / "code"
    code.mkdir()
    loader, base = (module.__name__.rpartition(".")[2] for module in (served, values))
    source = Path(str(served.__file__)).read_text(encoding="utf-8")
    own = source.replace(
        f"from pipeline.datasets.formats import {base}", f"import {OWN}{base} as {base}"
    )
    (code / f"{OWN}{loader}.py").write_text(own, encoding="utf-8")
    held = Path(str(values.__file__)).read_text(encoding="utf-8")
    (code / f"{OWN}{base}.py").write_text(held, encoding="utf-8")
    return {"loader_module": f"{OWN}{loader}", "code": "code", "data": data}

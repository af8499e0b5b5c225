"""Defines what a dataset is: as it comes (:class:`RawData`), and split, prepared and sealed.

:func:`pipeline.datasets.load` makes a :class:`Dataset`; training reads ``train`` and
``validation``; only the report, holding a :class:`SelectionLock`, may read ``test``.

Kinds of dataset:

- ``image``: inputs ``[num_examples, height, width, channels]``, uint8 or float32;
- ``features``: inputs ``[num_examples, num_features]``, float32 or uint8;
- ``multi_hot``: sparse float32 ones ``[num_examples, num_words]``, a column per word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, Protocol

import numpy as np

from pipeline.datasets.findings import Finding
from pipeline.datasets.formats.pixels import PictureForm
from pipeline.datasets.formats.table import TextForm
from pipeline.datasets.formats.tokens import token_rows
from pipeline.datasets.official_files import Layout, OfficialFiles
from pipeline.datasets.splits import Split
from pipeline.errors import DatasetError, SealedTestError
from pipeline.records import ChanceLevel

Kind = Literal["image", "features", "multi_hot"]


@dataclass(frozen=True, eq=False)
class Part:
    """Examples with their labels.

    Attributes:
        inputs: Array ``[num_examples, *input_shape]`` (uint8 or float32), or for ``multi_hot`` a
            ``scipy.sparse.csr_array`` (float32 ones).
        labels: int32 ``[num_examples]``, classes from 0.
    """

    inputs: Any
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Part:
        """Returns a copy of the examples at these positions, in this order."""
        return Part(self.inputs[indices], self.labels[indices])


PLAIN = "as it is"
"""What is done with a column of numbers where nothing has to be."""


@dataclass(frozen=True)
class ColumnType:
    """What a column of a table is taken for.

    Attributes:
        name: Its name.
        kind: ``number``, ``boolean``, ``date``, ``category``, ``text``, ``id`` or ``constant``.
        gaps: Number of missing values.
        distinct: Number of distinct values that are not missing.
        done: What is done with it, in a few words.
    """

    name: str
    kind: str
    gaps: int
    distinct: int
    done: str


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are used for.

    Attributes:
        label: Column of the classes.
        features: Columns that a model takes, in the table's order.
        types: The type of each of them, and of those that were left out for what they hold.
        written: How the text file is written; None for others.
    """

    label: str
    features: tuple[str, ...]
    types: tuple[ColumnType, ...] = ()
    written: TextForm | None = None


@dataclass(frozen=True)
class RawColumn:
    """A column of raw values as an exported model takes it, in an array ``[n, 1]``.

    Attributes:
        name: Its name in the data.
        kind: ``number``, ``boolean`` (0 and 1) or ``date`` (seconds since 1970, UTC), which are
            float64 with NaN for a missing value; or ``category`` or ``text``, which are strings,
            the empty one for a missing value.
        form: How the data write a date; ``number`` for a category whose words are numbers; ``,``
            for a number whose texts have a decimal comma; empty for others.
        gaps: Whether the training part misses values.
    """

    name: str
    kind: str
    form: str = ""
    gaps: bool = False

    @property
    def dtype(self) -> str:
        """What Keras calls the type of its values."""
        return "string" if self.kind in ("category", "text") else "float64"


class Encoding(Protocol):
    """Turns raw examples into the numbers that a network is trained on; fitted on train alone.

    It is made of plain values, so that it can be sent to a worker. ``training.raw_inputs`` builds
    the Keras layers that do the same in an exported model.
    """

    @property
    def columns(self) -> tuple[RawColumn, ...]:
        """The columns that an exported model takes."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one encoded example."""

    def apply(self, inputs: Any) -> Any:
        """Returns the encoded examples, as :attr:`Part.inputs` holds them.

        Args:
            inputs: The raw examples, as :attr:`RawData.inputs` holds them.
        """

    def as_model_inputs(self, inputs: Any) -> dict[str, np.ndarray]:
        """Returns raw examples as an exported model takes them: an array ``[n, 1]`` per column.

        Args:
            inputs: The raw examples, as :attr:`RawData.inputs` holds them.

        Returns:
            Name of an input (``raw_rows.input_names``) -> float64, or ``str`` objects.
        """


@dataclass(frozen=True, eq=False)
class RawData:
    """A dataset as it comes, before any split.

    Attributes:
        kind: ``image``, ``features`` or ``multi_hot``.
        class_names: Names of the classes, by class number.
        inputs: ``[num_examples, ...]`` as in :class:`Part`; all
            examples, or all but those of an official test part.
        labels: int32 ``[num_examples]``.
        num_validation: Size of the validation part; None for 20%.
        num_test: Published size of the official test part; None where there is none.
        read_test: Reads the official test part; None where there is none. Must not have opened
            its file before it is called, where it is a file of its own.
        count_known: Counts the examples of the official test part that equal others; None where
            there is none, or nobody counts.
        columns: What the columns are used for; None unless the data are a table.
        pictures: What the pictures were turned into; None unless the data are picture files.
        fit_encoding: Raw training examples -> their encoding; None where ``inputs`` are numbers.
        groups: int64 ``[num_examples]``; examples of one number stay in one part; None for none.
        order: Sortable ``[num_examples]`` by which the split cuts; None for none.
        given_parts: int8 ``[num_examples]``, 0 for train, 1 for validation, 2 for test; None where
            the data do not say it.
        findings: What was found while they were read.
    """

    kind: Kind
    class_names: tuple[str, ...]
    inputs: Any
    labels: np.ndarray
    num_validation: int | None = None
    num_test: int | None = None
    read_test: Callable[[], Part] | None = None
    count_known: Callable[[], int] | None = None
    columns: Columns | None = None
    pictures: PictureForm | None = None
    fit_encoding: Callable[[Any], Encoding] | None = None
    groups: np.ndarray | None = None
    order: np.ndarray | None = None
    given_parts: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Source:
    """A dataset that can be loaded by name.

    Attributes:
        name: What the user types.
        summary: What it is, in a sentence.
        read: Reads everything but an official test part.
        layouts: Its official files (see :class:`~pipeline.datasets.official_files.OfficialFiles`);
            empty where it comes with a library.
        page: Where a person gets the files.
        ships_with: The library it comes with; empty where it has files.
    """

    name: str
    summary: str
    read: Callable[[OfficialFiles], RawData]
    layouts: tuple[Layout, ...] = ()
    page: str = ""
    ships_with: str = ""


@dataclass(frozen=True)
class SelectionLock:
    """Proof that the selection is made: the hash of the selection record that was written.

    The report creates it after the record is stored; nothing else should.
    """

    record_hash: str


class SealedTest:
    """The test part, which can be read only after the selection is locked.

    Nothing is loaded before :meth:`read`; every other access raises
    :class:`~pipeline.errors.SealedTestError`.
    """

    __slots__ = ("_expected_size", "_loader", "_name")

    def __init__(self, name: str, expected_size: int, loader: Callable[[], Part]) -> None:
        """Seals a test part.

        Args:
            name: The dataset's name, for messages.
            expected_size: Published or split-given number of examples.
            loader: Reads the part; called by :meth:`read` alone.
        """
        self._name = name
        self._expected_size = expected_size
        self._loader = loader

    def read(self, lock: SelectionLock) -> Part:
        """Returns the test part.

        Args:
            lock: Made by the report once the selection record is written.

        Raises:
            SealedTestError: The lock is missing or has no record behind it.
            DatasetError: The part has not the number of examples that was announced.
        """
        if not (isinstance(lock, SelectionLock) and lock.record_hash):
            self._refuse("read() without a locked selection")
        part = self._loader()
        if len(part) != self._expected_size:
            raise DatasetError(
                f"The test part of '{self._name}' has {len(part)} examples, but"
                f" {self._expected_size} were expected: the file changed since it was loaded."
            )
        return part

    def _refuse(self, access: str) -> NoReturn:
        raise SealedTestError(
            f"The test part of '{self._name}' is sealed ({access} was refused): it is read once,"
            " after the selection is locked. Write the selection record first, then call"
            " test.read(SelectionLock(record_hash)); its size is in dataset.split_sizes['test']."
        )

    def __getattr__(self, name: str) -> NoReturn:
        # Python's own protocols (copy, pickle, hasattr) need an AttributeError.
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse(f"'{name}'")

    def __len__(self) -> int:
        self._refuse("len()")

    def __iter__(self) -> NoReturn:
        self._refuse("iteration")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse("indexing")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self._refuse("conversion to an array")

    def __repr__(self) -> str:
        return f"<SealedTest of '{self._name}', {self._expected_size} examples>"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset, split, with everything that preprocessing fitted on train.

    Attributes:
        name: Its name, or the stem of the file it came from.
        kind: ``image``, ``features`` or ``multi_hot``.
        num_classes: Number of classes.
        class_names: Their names, by class number.
        input_shape: Shape of one example; ``(num_words,)`` for ``multi_hot``.
        train: What is fitted on. Its order is shuffled such that every prefix is stratified.
        validation: What early stopping and selection look at.
        test: The sealed part.
        split: The indices behind the three parts.
        split_id: 16 hexadecimal digits: split, seed and data; equal means comparable.
        split_sizes: Number of examples of ``train``, ``validation`` and ``test``.
        measured: int64 ``[m]``, the positions in ``train`` on which the train side is measured,
            m = min(n_train, max(n_validation, 10000)); every prefix is stratified.
        validation_order: int64 ``[n_validation]``, an order of the positions in ``validation`` of
            which every prefix is stratified: after an epoch a prefix is scored.
        mean: float32 of ``input_shape``, fitted on train; None for ``multi_hot``.
        deviation: float32 of ``input_shape``, never 0, fitted on train; None for ``multi_hot``.
        chance: What a model without skill reaches on validation.
        fingerprint: SHA-256 (hexadecimal) of the train and validation arrays.
        columns: What the columns are used for; None unless the data are a table.
        pictures: What the pictures were turned into; None unless the data are picture files.
        encoding: What made ``inputs`` of raw examples; None where they came as numbers.
        raw_validation: The validation examples before the encoding, as :attr:`RawData.inputs`
            holds them; None where there is no encoding.
        findings: What was found in the data and is to be told.
    """

    name: str
    kind: Kind
    num_classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    train: Part
    validation: Part
    test: SealedTest
    split: Split
    split_id: str
    split_sizes: Mapping[str, int]
    measured: np.ndarray
    validation_order: np.ndarray
    mean: np.ndarray | None
    deviation: np.ndarray | None
    chance: ChanceLevel
    fingerprint: str
    columns: Columns | None = None
    pictures: PictureForm | None = None
    encoding: Encoding | None = None
    raw_validation: Any | None = None
    findings: tuple[Finding, ...] = ()

    def without_test(self) -> Dataset:
        """Returns the same, picklable, with a test part that cannot be read: what training needs.

        Raw examples stay behind, too: only an export looks at them.
        """
        sealed = SealedTest(self.name, self.split_sizes["test"], _left_behind)
        return replace(self, test=sealed, raw_validation=None)

    def raw_example(self, num_examples: int = 2) -> np.ndarray | dict[str, np.ndarray]:
        """Returns a few inputs as the exported model takes them.

        Returns:
            ``[num_examples, *input_shape]`` in the dataset's own dtype, not standardized; for
            ``multi_hot`` padded int32 token ids ``[num_examples, longest]``, 0 for padding; where
            there is an encoding, what :meth:`Encoding.as_model_inputs` makes of raw examples.
        """
        if self.encoding is not None and self.raw_validation is not None:
            few = np.arange(min(num_examples, len(self.validation)))
            return self.encoding.as_model_inputs(self.raw_validation[few])
        from scipy import sparse

        inputs = self.train.inputs[:num_examples]
        return token_rows(inputs) if sparse.issparse(inputs) else np.array(inputs)

    def raw_tensor(self) -> dict[str, Any] | None:
        """Returns what the exported model takes where that is one array, in plain values.

        Returns:
            ``kind`` ``tokens`` and ``num_words``; or ``kind`` ``image`` or ``features``, ``shape``
            and ``dtype`` of an example, and the ``lowest`` and ``highest`` value in train. None for
            a table, whose columns are taken by name.
        """
        if self.encoding is not None or self.columns is not None:
            return None
        from scipy import sparse

        inputs = self.train.inputs
        if sparse.issparse(inputs):
            return {"kind": "tokens", "num_words": int(self.input_shape[0])}
        return {
            "kind": self.kind,
            "shape": [int(size) for size in self.input_shape],
            "dtype": str(inputs.dtype),
            "lowest": float(inputs.min()),
            "highest": float(inputs.max()),
        }


def _left_behind() -> Part:
    raise DatasetError("The test part of this dataset was left on the machine that read it.")

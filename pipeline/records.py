"""Defines the nouns, in the order the data flows; frozen, and free of every library but numpy.

``SearchSpace`` (in ``search.space``) suggests a :class:`TrialConfig`; a :class:`Cohort` of them is
trained; each gives a :class:`TrialOutcome` with its :class:`Measurement`; tracking writes it and
reads it back as a :class:`TrialRecord`; a rule turns records into a ``Selection``
(``selection.records``).

Cross-entropies and gaps are in nats, accuracies in [0, 1], epochs count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

GAP_WEIGHT = 0.5
"""Weight of the generalization gap in the objective of the search (measurement: objective J)."""


@dataclass(frozen=True)
class DataOptions:
    """How a user's own data are read and split; what is left out is told by the data themselves.

    Attributes:
        label: Column of the classes; None for the one that its name or type gives away.
        drop: Columns that are left out.
        categorical: Columns whose numbers are names of categories.
        text: Column of texts whose words are the features; None for none.
        group: Column whose equal values stay in one part of the split; None for none.
        order_by: Column by which the split cuts, the largest values for the test; None for none.
        split: Column that says which part a row is in; None for none.
        delimiter: What separates the columns of a text file; None to detect it.
        decimal: The decimal mark of a text file, ``.`` or ``,``; None to detect it.
        classes: Whether targets that look like a regression's are classes nevertheless.
        image_size: Height and width that pictures are scaled to; None for their own.
        color: ``grey`` or ``rgb`` for pictures; None for what they have.
        ignore: Codes of findings that are not to be told (``datasets.findings``).
    """

    label: str | None = None
    drop: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    text: str | None = None
    group: str | None = None
    order_by: str | None = None
    split: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    classes: bool = False
    image_size: tuple[int, int] | None = None
    color: str | None = None
    ignore: tuple[str, ...] = ()

    def given(self) -> dict[str, Any]:
        """Returns the options that differ from the defaults, by name."""
        pairs = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in pairs if value != getattr(DataOptions, name)}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DataOptions:
        """Returns the options of :meth:`given`, whose tuples may have become lists."""
        pairs: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
        return cls(**pairs)


@dataclass(frozen=True)
class DatasetSpec:
    """How to load a dataset, small enough to send to a worker.

    Attributes:
        name: A dataset's name, or the path of a file or folder.
        data_dir: Folder with official files, looked at before any download; None for none.
        seed: Seed of the split.
        train_examples: Use only this many training examples (stratified); None for all.
        options: How a user's own data are read and split.
    """

    name: str
    data_dir: Path | None = None
    seed: int = 0
    train_examples: int | None = None
    options: DataOptions = DataOptions()


Value = bool | int | float | str | None
"""A hyperparameter's value."""


@dataclass(frozen=True, init=False)
class TrialConfig:
    """Everything that decides how one trial's model is built and trained, but the data and seed.

    Attributes:
        family: Model family, a key of ``training.models.FAMILIES``.
        depth: Hidden layers (mlp) or convolutions (cnn); the output layer is not counted.
        width: Units (mlp) or filters (cnn) of each of them.
        dense_width: Units of the cnn's dense layer between the convolutions and the output.
        regularizer: Weight penalty: ``none``, ``l1``, ``l2`` or ``l1_l2``.
        lambda_l1: Factor of sum(|w|); None unless the regularizer has an l1 part.
        lambda_l2: Factor of sum(w^2), Keras's convention (no 1/2); None unless l2 is part.
        dropout_rate: Share of activations dropped, in [0, 1); 0 is off.
        max_norm: Largest norm of a unit's incoming weights; None is off.
        batch_norm: Batch normalization after each hidden layer (mlp) or convolution (cnn).
        pooling: cnn only: 2x2 max-pooling between convolutions.
        placement: cnn only: which layers carry penalty, constraint and dropout: ``dense`` (the
            dense layer) or ``all`` (the convolutions, too).
        standardize: Subtract the training mean and divide by the deviation, per input feature.
        first_activation: Activation of the first hidden layer: ``relu`` or ``linear``.
        optimizer: ``adam``, ``rmsprop`` or ``sgd``.
        learning_rate: Initial learning rate.
        learning_rate_decay: Rate r of inverse time decay, lr / (1 + r * step).
        batch_size: Examples per step.
        more: Names and values of hyperparameters that only an entry of a table defines (a technique
            of ``training.techniques``), sorted, without those at their default. They are given and
            read as the others: ``TrialConfig(weight_decay=0.01).weight_decay``.
    """

    family: str = "mlp"
    depth: int = 2
    width: int = 64
    dense_width: int = 128
    regularizer: str = "none"
    lambda_l1: float | None = None
    lambda_l2: float | None = None
    dropout_rate: float = 0.0
    max_norm: float | None = None
    batch_norm: bool = False
    pooling: bool = False
    placement: str = "dense"
    standardize: bool = True
    first_activation: str = "relu"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    learning_rate_decay: float = 0.0
    batch_size: int = 32
    more: tuple[tuple[str, Value], ...] = ()

    def __init__(self, more: Iterable[tuple[str, Value]] = (), **values: Any) -> None:
        """Takes every hyperparameter by its name; what is not given has its default.

        Raises:
            TypeError: There is no hyperparameter of this name.
        """
        for entry in fields(self):
            if entry.name != "more":
                object.__setattr__(self, entry.name, values.pop(entry.name, entry.default))
        further = {**dict(more), **values}
        if further:
            defaults = _further_defaults()
            for name in further:
                if name not in defaults:
                    raise TypeError(_no_hyperparameter(name))
            further = {n: value for n, value in further.items() if value != defaults[n]}
        object.__setattr__(self, "more", tuple(sorted(further.items())))

    if not TYPE_CHECKING:  # a checker would believe every name

        def __getattr__(self, name: str) -> Value:
            known = {**_further_defaults(), **dict(self.more)}
            if name not in known:
                raise AttributeError(_no_hyperparameter(name))
            return known[name]

    @property
    def is_own(self) -> bool:
        """Whether a file of the user's makes the model."""
        return is_own_family(self.family)

    def limit(self, name: str, largest: int) -> int:
        """Returns ``epochs`` or ``patience`` of the trial: its own, or the study's, the largest."""
        own = dict(self.more).get(name)
        return largest if own is None else min(int(own), largest)

    def as_dict(self) -> dict[str, Any]:
        """Returns the hyperparameters by their names; of ``more`` only what is not default."""
        own = [entry.name for entry in fields(self) if entry.name != "more"]
        return {**{name: getattr(self, name) for name in own}, **dict(self.more)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrialConfig:
        """Returns the config with these hyperparameters; unknown names raise TypeError."""
        return cls(**values)


def is_own_family(name: str) -> bool:
    """Whether a family's name is one of the user's own, ``FILE.py:FUNCTION``: ours are words."""
    return ".py:" in name


def declare_hyperparameters(defaults: Callable[[], Mapping[str, Value]]) -> None:
    """Lets configs have hyperparameters beyond their fields: ``training.techniques`` calls this.

    Args:
        defaults: Returns their names with their defaults, at any time.
    """
    global _further_defaults
    _further_defaults = defaults


def _none_declared() -> Mapping[str, Value]:
    return {}


_further_defaults: Callable[[], Mapping[str, Value]] = _none_declared
"""Declared by ``training.techniques``; what it declares is refused until it is imported."""


def _no_hyperparameter(name: str) -> str:
    hint = (
        ": those of techniques are known once pipeline.training.techniques is imported"
        if _further_defaults is _none_declared
        else ""
    )
    return f"a trial has no hyperparameter {name!r}{hint}"


@dataclass(frozen=True)
class Device:
    """What a worker trains on.

    Attributes:
        name: ``cpu``, or ``gpu: `` and what it calls itself.
        free_bytes: Of a GPU, when the worker opened; None where that is not known.
    """

    name: str
    free_bytes: float | None = None

    @property
    def is_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.name != "cpu"


@dataclass(frozen=True)
class Trial:
    """One member of a cohort: the study's trial number, its configuration and its own seed."""

    number: int
    config: TrialConfig
    seed: int


@dataclass(frozen=True)
class Cohort:
    """Trials that are trained together, in one program.

    Attributes:
        number: Running number of the cohort in the study; a tag of its trials.
        trials: At least one; of one structure, or of sizes that are padded to one.
        epochs: Largest number of epochs; of a trial that has its own, see :meth:`epochs_of`.
        patience: Epochs without a smaller ``val_ce`` after which a trial stops, likewise.
        order_seed: Seed of the order of examples, common to all trials of a study.
        validation_per_epoch: Validation examples that are scored after each epoch; None for all.
        keep_weights: Whether outcomes carry the weights of the best epoch.
        keep_probabilities: Whether outcomes carry the probabilities of every class.
    """

    number: int
    trials: tuple[Trial, ...]
    epochs: int
    patience: int
    order_seed: int = 0
    validation_per_epoch: int | None = None
    keep_weights: bool = True
    keep_probabilities: bool = False

    def epochs_of(self, config: TrialConfig) -> int:
        """Returns the largest number of epochs of one of its trials."""
        return config.limit("epochs", self.epochs)

    def patience_of(self, config: TrialConfig) -> int:
        """Returns the epochs without a smaller ``val_ce`` after which one of its trials stops."""
        return config.limit("patience", self.patience)


@dataclass(frozen=True)
class EpochReport:
    """What a worker streams after each epoch of a cohort.

    Attributes:
        epoch: Number of the epoch just finished, from 1.
        curves: Trial number -> curve name (``val_ce``, ``val_accuracy``, ``train_ce``,
            ``train_accuracy``, ``running_ce``) -> value; only trials still training.
        seconds: Wall time of the epoch.
    """

    epoch: int
    curves: Mapping[int, Mapping[str, float]]
    seconds: float


@dataclass(frozen=True)
class StepTiming:
    """How long a training step of a cohort takes, measured soon after its start.

    Attributes:
        seconds_per_step: Wall time of one step.
        steps_per_epoch: Steps of an epoch.
        setup_seconds: Wall time before the first step: tracing and compiling.
    """

    seconds_per_step: float
    steps_per_epoch: int
    setup_seconds: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """What a trained model does on train and validation, in inference mode, best weights restored.

    Attributes:
        val_ce: Mean plain cross-entropy on the validation part (no penalty).
        val_accuracy: Share of validation examples whose most probable class is right.
        train_ce: Mean plain cross-entropy on the measured training examples.
        train_accuracy: Accuracy on the same examples.
        gap_ce: ``val_ce - train_ce``.
        gap_ce_se: Standard error of ``gap_ce``.
        gap_accuracy: ``train_accuracy - val_accuracy``.
        penalty: Sum of the model's weight penalties.
        best_epoch: Epoch whose weights were restored.
        epochs: Epochs trained.
        num_parameters: Trainable parameters.
        diverged: Whether any epoch's loss or ``val_ce`` was not finite.
        history_gap: ``val_ce`` minus the running training cross-entropy of the best epoch: the gap
            that Keras's History shows, without penalties; a diagnostic only.
        ece: Expected calibration error on validation; None below 1,000 examples.
        log10_p_guessing: Logarithm of the largest probability that guessing looks as good as this
            on validation (``selection.guessing``); None where an older version measured.
    """

    val_ce: float
    val_accuracy: float
    train_ce: float
    train_accuracy: float
    gap_ce: float
    gap_ce_se: float
    gap_accuracy: float
    penalty: float
    best_epoch: int
    epochs: int
    num_parameters: int
    diverged: bool = False
    history_gap: float = float("nan")
    ece: float | None = None
    log10_p_guessing: float | None = None

    @property
    def objective(self) -> float:
        """Returns J = val_ce + 0.5 * max(0, gap_ce), what the search minimises."""
        return self.val_ce + GAP_WEIGHT * max(0.0, self.gap_ce)

    @property
    def finite(self) -> bool:
        """Whether every measure that selection uses is a finite number."""
        values = (self.val_ce, self.val_accuracy, self.train_ce, self.gap_ce, self.gap_ce_se)
        return bool(np.isfinite(values).all())


@dataclass(frozen=True)
class PerExample:
    """One model's results on one part, an entry per example.

    Attributes:
        nll: float32 [num_examples], -log p(true class), nats.
        correct: bool [num_examples], whether the most probable class is the true one.
        predicted: int32 [num_examples], the most probable class.
        confidence: float32 [num_examples], its probability.
    """

    nll: np.ndarray
    correct: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Probabilities:
    """What one model says about every class, and the true ones: all that an average needs.

    Logarithms, because a probability that is too small for a float32 still has one.

    Attributes:
        validation: float32 [num_validation, num_classes], log p, nats.
        validation_labels: int32 [num_validation], the true classes.
        train: float32 [m, num_classes], the same of the measured training examples.
        train_labels: int32 [m].
        num_train: Examples in the training part, at least m.
    """

    validation: np.ndarray
    validation_labels: np.ndarray
    train: np.ndarray
    train_labels: np.ndarray
    num_train: int


@dataclass(frozen=True)
class TrialOutcome:
    """What came of one trial.

    Attributes:
        number: The study's trial number.
        state: ``COMPLETE``, ``PRUNED`` or ``FAIL``.
        measurement: None where there is none (failed before a finite epoch).
        validation: Per-example results on the validation part, or None.
        curves: Curve name -> values per epoch, from epoch 1.
        weights: Weights of the best epoch, in the order of the ordinary (unstacked) Keras model.
        probabilities: Those of every class, where the cohort keeps them.
        cause: Why it failed, one line; None otherwise.
        seconds: Wall time of the trial's share of its cohort.
        device: What it was trained on.
    """

    number: int
    state: str
    measurement: Measurement | None = None
    validation: PerExample | None = None
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    weights: tuple[np.ndarray, ...] | None = None
    probabilities: Probabilities | None = None
    cause: str | None = None
    seconds: float = 0.0
    device: str = "cpu"

    def pruned_after(self, epoch: int) -> TrialOutcome:
        """Returns the outcome of the same trial, stopped by the pruner after this epoch."""
        return replace(
            self,
            state="PRUNED",
            measurement=None,
            validation=None,
            weights=None,
            probabilities=None,
            curves={name: values[:epoch] for name, values in self.curves.items()},
        )


@dataclass(frozen=True)
class TrialRecord:
    """A trial as tracking reads it back: what selection and the report work on.

    Attributes:
        number: The study's trial number.
        state: ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``RUNNING``.
        config: Its hyperparameters.
        split_id: Hash of the split it was measured on.
        name: Name of the reference configuration; None for a searched trial.
        measurement: None unless COMPLETE (or PRUNED after a measured epoch).
        validation: Per-example validation results; None where there are none.
        curves: Curve name -> values per epoch.
        cause: Why it failed.
        seconds: Wall time.
        mlflow_run_id: Its child run; None outside MLflow.
    """

    number: int
    state: str
    config: TrialConfig
    split_id: str
    name: str | None = None
    measurement: Measurement | None = None
    validation: PerExample | None = None
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cause: str | None = None
    seconds: float = 0.0
    mlflow_run_id: str | None = None


@dataclass(frozen=True)
class ChanceLevel:
    """What a model without skill reaches on validation; selection demands more.

    Attributes:
        accuracy: The larger of the largest class prior on train and the validation accuracy of
            always predicting that class.
        ce: Validation cross-entropy of predicting the class prior of train, nats.
        log10_p_all_right: Logarithm of the probability to name the classes of all validation
            examples by their shares alone; None where an older version measured.
    """

    accuracy: float
    ce: float
    log10_p_all_right: float | None = None


@dataclass(frozen=True)
class DataNotes:
    """What was said about a study's data before it was trained.

    Attributes:
        about: Lines on labels and features.
        findings: Code and message of each finding (``datasets.findings``).
    """

    about: tuple[str, ...]
    findings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StudyRecord:
    """A study as tracking reads it back: everything that selection and the report need.

    Attributes:
        study: Its name.
        dataset: Name of its dataset.
        split_id: Hash of its split.
        run_id: The parent run in MLflow; None outside MLflow.
        chance: The chance level on its split.
        definition: What was asked for (epochs, seed, search space, ...), JSON values only.
        trials: Every trial, by number.
        data: What was said about its data; None where nothing was written down.
    """

    study: str
    dataset: str
    split_id: str
    run_id: str | None
    chance: ChanceLevel
    definition: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    data: DataNotes | None = None

    @property
    def validation_per_epoch(self) -> int | None:
        """Validation examples that early stopping and the curves stand on; None for all."""
        part = self.definition.get("validation_per_epoch")
        return int(part) if part else None


@dataclass(frozen=True)
class TestResult:
    """The winner on the sealed test part, with 95% intervals, and how often the part was read."""

    __test__ = False  # not a pytest class

    ce: float
    ce_low: float
    ce_high: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    gap_ce: float
    gap_ce_low: float
    gap_ce_high: float
    reads: int


@dataclass(frozen=True)
class TestResults:
    """Everything that one reading of the test part measured.

    Attributes:
        models: Trial number -> the model that stands for the trial (of several seeds the mean of
            their probabilities); None for one whose weights were not kept.
        trainings: MLflow run -> that training alone; None as above.
    """

    __test__ = False  # not a pytest class

    models: Mapping[int, TestResult | None] = field(default_factory=dict)
    trainings: Mapping[str, TestResult | None] = field(default_factory=dict)


@dataclass(frozen=True)
class TestExamples:
    """Per-example results on the test part, of every model that was measured there.

    Attributes:
        labels: int32 [num_test], the true classes.
        results: Trial number -> its results; the winner's, the best-validation trial's and the
            unregularized baseline's.
        class_names: A name per class.
        part_id: SHA-256 (hexadecimal) of the test examples; empty where they are read back.
        trainings: MLflow run -> the results of that training alone, of trainings of the search.
    """

    __test__ = False  # not a pytest class

    labels: np.ndarray
    results: Mapping[int, PerExample]
    class_names: tuple[str, ...]
    part_id: str = ""
    trainings: Mapping[str, PerExample] = field(default_factory=dict)

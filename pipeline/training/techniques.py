"""Declares TECHNIQUES: one entry says all about a regularization technique.

An entry has its hyperparameters, the number that a config gives it, and its form: where it acts, in
stacked networks and as Keras's own class. Search spaces, training, tracking and reports read this
table, so a new technique is one entry, the hyperparameters in it included. Keras is imported only
where a form is built: reading a search space or a report takes no Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import inf, prod
from typing import Any, Generic, TypeVar

import numpy as np

from pipeline.errors import InputError
from pipeline.records import TrialConfig, Value, declare_hyperparameters
from pipeline.training import technique_functions as functions
from pipeline.training.architecture import BatchNorm, Conv, Dense, Layer, OutputTechnique
from pipeline.training.hyperparameters import (
    NETWORK,
    REGULARIZER,
    TRAINING,
    Hyperparameter,
    penalty_factor,
)
from pipeline.training.own import registry
from pipeline.training.technique_forms import (
    Combination,
    ExampleWeights,
    KernelConstraint,
    KernelPenalty,
    LayerOutput,
    LossTerm,
    NetworkInput,
    Structure,
    WeightAverage,
    WeightUpdate,
)

Form = TypeVar("Form")


@dataclass(frozen=True)
class Technique(Generic[Form]):
    """One regularization technique.

    Attributes:
        form: Where and how it acts.
        hyperparameters: Its own; the last one gives its number.
        off: The number that means "not used"; it must change nothing, to the last bit.
        example: A setting that shows in a few epochs; tests train with it.
        value: The config's number for it; None for the last hyperparameter's value, null being off.
        usual: Whether reports list it where nobody tried it, and small networks are built with it
            unasked, so that more cohorts share one.
        random: Whether it draws random numbers: only its off equals Keras's to rounding.
        not_in: Families that cannot have it.
    """

    form: Form
    hyperparameters: tuple[Hyperparameter, ...] = ()
    off: float = 0.0
    example: Mapping[str, Value] = field(default_factory=dict)
    value: Callable[[TrialConfig], float] | None = None
    usual: bool = False
    random: bool = False
    not_in: tuple[str, ...] = ()

    def number(self, config: TrialConfig) -> float:
        """Returns the config's number for it."""
        if self.value is not None:
            return self.value(config)
        value = getattr(config, self.hyperparameters[-1].name)
        return self.off if value is None else float(value)

    def is_on(self, config: TrialConfig) -> bool:
        """Whether a config uses it; a combination is on where each of its parts is."""
        if isinstance(self.form, Combination):
            return all(TECHNIQUES[part].is_on(config) for part in self.form.parts)
        return self.number(config) != self.off


TECHNIQUES: dict[str, Technique[Any]] = {
    "l1": Technique(
        KernelPenalty(
            functions.l1_gradient,
            total=lambda kernel, factor: factor * float(np.abs(kernel).sum(dtype=np.float64)),
            keras=lambda factor: functions.keras_class("regularizers.L1L2")(l1=factor, l2=0.0),
        ),
        (REGULARIZER, penalty_factor("lambda_l1", "absolute weights", "l1", "l1_l2")),
        example={"regularizer": "l1", "lambda_l1": 1e-3},
        usual=True,
    ),
    "l2": Technique(
        KernelPenalty(
            functions.l2_gradient,
            total=lambda kernel, factor: factor * float(np.square(kernel).sum(dtype=np.float64)),
            keras=lambda factor: functions.keras_class("regularizers.L1L2")(l1=0.0, l2=factor),
        ),
        (REGULARIZER, penalty_factor("lambda_l2", "squared weights", "l2", "l1_l2")),
        example={"regularizer": "l2", "lambda_l2": 1e-2},
        usual=True,
    ),
    "l1_l2": Technique(  # the elastic net
        Combination(
            ("l1", "l2"),
            keras=lambda l1, l2: functions.keras_class("regularizers.L1L2")(l1=l1, l2=l2),
        ),
        example={"regularizer": "l1_l2", "lambda_l1": 1e-3, "lambda_l2": 1e-2},
        usual=True,
    ),
    "dropout": Technique(
        LayerOutput(
            functions.stacked("StackedDropout"),
            keras=lambda rate: functions.keras_class("layers.Dropout")(rate),
        ),
        (
            Hyperparameter(
                "dropout_rate",
                float,
                0.0,
                least=0,
                below=1,
                off=0,
                per_trial=True,
                words="dropout",
                meaning="share of the outputs of a regularized layer that are set to 0 in training",
            ),
        ),
        example={"dropout_rate": 0.4},
        usual=True,
        random=True,
    ),
    "max_norm": Technique(
        KernelConstraint(
            functions.limited_norms,
            keras=lambda limit, axes: functions.keras_class("constraints.MaxNorm")(
                limit, axis=axes
            ),
        ),
        (
            Hyperparameter(
                "max_norm",
                float,
                None,
                above=0,
                optional=True,
                per_trial=True,
                meaning="largest norm of the weights into one unit of a regularized layer",
            ),
        ),
        off=inf,
        example={"max_norm": 0.7},
        usual=True,
    ),
    "batch_norm": Technique(
        Structure(),
        (
            Hyperparameter(
                "batch_norm",
                bool,
                False,
                meaning="batch normalization behind each hidden layer (`cnn`: each convolution)",
            ),
        ),
        example={"batch_norm": True},
        usual=True,
    ),
    "weight_decay": Technique(
        WeightUpdate(
            # As Keras's optimizers, on every trainable variable, biases included, before the
            # update; the gradient is that of the weights before the decay.
            before=lambda weights, decay, rate: weights - weights * decay * rate,
            keras=lambda decay: {"weight_decay": decay},
        ),
        (
            Hyperparameter(
                "weight_decay",
                float,
                0.0,
                least=0,
                off=0,
                per_trial=True,
                logarithmic=True,
                meaning="share, times the learning rate, that every weight loses each step",
            ),
        ),
        example={"weight_decay": 0.3},
    ),
    "ema": Technique(
        WeightAverage(lambda momentum: {"use_ema": True, "ema_momentum": momentum}),
        (
            Hyperparameter(
                "ema",
                float,
                0.0,
                least=0,
                below=1,
                off=0,
                per_trial=True,
                words="weights averaged with momentum",
                meaning="momentum of a moving average of the weights, one update a step; the "
                "average is what is measured and delivered",
            ),
        ),
        example={"ema": 0.9},
    ),
    "label_smoothing": Technique(
        LossTerm(
            functions.smoothing,
            keras=lambda share: functions.keras_class("losses.CategoricalCrossentropy")(
                from_logits=True, label_smoothing=share
            ),
        ),
        (
            Hyperparameter(
                "label_smoothing",
                float,
                0.0,
                least=0,
                below=1,
                off=0,
                per_trial=True,
                meaning="share of the target that is spread over all classes; training loss only",
            ),
        ),
        # At 0.2 a test of equivalence meets a kink within rounding, and ends apart with one thread.
        example={"label_smoothing": 0.1},
    ),
    "class_weight": Technique(
        ExampleWeights(
            functions.balancing,
            keras=lambda share, classes: {
                number: float(1.0 + share * (weight - 1.0)) for number, weight in enumerate(classes)
            },
        ),
        (
            Hyperparameter(
                "class_weight",
                str,
                "none",
                options=("none", "balanced"),
                off="none",
                per_trial=True,
                meaning="weighs the examples of rare classes more in the training loss, so that "
                "all classes count alike; what is measured weighs none",
            ),
        ),
        example={"class_weight": "balanced"},
        value=lambda config: float(dict(config.more).get("class_weight") == "balanced"),
    ),
    "input_noise": Technique(
        # Words that occur or do not are no numbers to add noise to: their rows stay zeros and ones.
        NetworkInput(
            functions.stacked("StackedGaussianNoise"),
            keras=lambda std: functions.keras_class("layers.GaussianNoise")(std),
            work=30,
        ),
        (
            Hyperparameter(
                "input_noise",
                float,
                0.0,
                least=0,
                most=1,
                off=0,
                per_trial=True,
                needs=("standardize", (True,)),
                meaning="standard deviation of noise on the standardized inputs, in training",
            ),
        ),
        example={"input_noise": 0.3},
        random=True,
    ),
    "flip": Technique(
        NetworkInput(
            functions.stacked("StackedFlip"),
            keras=lambda _: functions.keras_class("layers.RandomFlip")("horizontal"),
            kinds=("image",),
            work=4,
        ),
        (
            Hyperparameter(
                "flip",
                bool,
                False,
                per_trial=True,
                meaning="mirrors every other training picture, left to right",
            ),
        ),
        example={"flip": True},
        random=True,
    ),
    "shift": Technique(
        NetworkInput(
            functions.stacked("StackedShift"),
            keras=lambda share: functions.keras_class("layers.RandomTranslation")(
                share, share, fill_mode="nearest"
            ),
            kinds=("image",),
            work=70,
        ),
        (
            Hyperparameter(
                "shift",
                float,
                0.0,
                least=0,
                most=0.5,
                off=0,
                per_trial=True,
                meaning="moves every training picture by up to this share of its sides",
            ),
        ),
        example={"shift": 0.2},
        random=True,
    ),
}
"""Name of a technique -> all about it, in the order of reports."""


def hyperparameters() -> dict[str, Hyperparameter]:
    """Returns every hyperparameter by its name, the ones it depends on before it."""
    usual = [entry for entry in TECHNIQUES.values() if entry.usual]
    others = [entry for entry in TECHNIQUES.values() if not entry.usual]
    ordered = [*NETWORK, *_of(usual), *TRAINING, *_of(others)]
    ours = {entry.name: entry for entry in ordered}
    # Where the user's own family reads a name of ours, it is ours.
    return {**{n: e for n, e in registry.declared().items() if n not in ours}, **ours}


def of_techniques() -> dict[str, Hyperparameter]:
    """Returns the hyperparameters of techniques by their names, in the order of the table."""
    return {entry.name: entry for entry in _of(TECHNIQUES.values())}


def _of(techniques: Iterable[Technique[Any]]) -> list[Hyperparameter]:
    return [entry for technique in techniques for entry in technique.hyperparameters]


_FIELDS = frozenset(entry.name for entry in fields(TrialConfig))
"""Made once: a report asks ten thousand times."""


def further_hyperparameters() -> dict[str, Hyperparameter]:
    """Returns those that stand in ``TrialConfig.more``: they have no field of their own."""
    return {name: entry for name, entry in hyperparameters().items() if name not in _FIELDS}


declare_hyperparameters(
    lambda: {name: entry.default for name, entry in further_hyperparameters().items()}
)


def structure(config: TrialConfig) -> tuple[Any, ...]:
    """Returns what decides the graph: trials with equal structure can train in one cohort.

    Numbers that trials have of their own, of techniques or learning rates, are not part of it.
    """
    shared = [entry for entry in hyperparameters().values() if not entry.per_trial]
    given = vars(config) | dict(config.more)  # getattr makes the table anew for each name
    return (config.family, *(given.get(entry.name, entry.default) for entry in shared))


def acting(form: type[Form], names: Iterable[str] | None = None) -> dict[str, Technique[Form]]:
    """Returns the techniques of a form, of all or of these names, in the order of the table."""
    chosen = TECHNIQUES.keys() if names is None else set(names)
    entries = {name: entry for name, entry in TECHNIQUES.items() if name in chosen}
    return {name: entry for name, entry in entries.items() if isinstance(entry.form, form)}


def used(config: TrialConfig) -> frozenset[str]:
    """Returns the techniques that a config uses; parts of a combination count as that one."""
    on = {name for name, entry in TECHNIQUES.items() if entry.is_on(config)}
    parts = {part for name, entry in acting(Combination, on).items() for part in entry.form.parts}
    return frozenset(on - parts)


def vector(name: str, configs: Sequence[TrialConfig]) -> np.ndarray:
    """Returns the technique's number for each config, float32 [num_configs]."""
    return np.array([TECHNIQUES[name].number(config) for config in configs], dtype=np.float32)


def in_use(configs: Sequence[TrialConfig]) -> frozenset[str]:
    """Returns the techniques with a number per trial that at least one of the configs uses."""
    return frozenset(n for n, entry in _per_trial() if any(map(entry.is_on, configs)))


def usual() -> frozenset[str]:
    """Returns the techniques with a number per trial that small networks are built with unasked."""
    return frozenset(name for name, entry in _per_trial() if entry.usual)


def _per_trial() -> Iterator[tuple[str, Technique]]:
    """Yields the techniques with a number per trial, which changes no network."""
    for name, entry in TECHNIQUES.items():
        if not isinstance(entry.form, Structure | Combination):
            yield name, entry


def regularized_layers(layer: Dense | Conv, config: TrialConfig, normalized: bool) -> list[Layer]:
    """Returns the layer followed by batch normalization and dropout, where they belong.

    Dropout follows every regularized layer whatever its rate: trials of one structure differ in it.
    """
    after: list[Layer] = [BatchNorm()] if normalized else []
    if layer.regularized:
        after += [OutputTechnique(name) for name in acting(LayerOutput)]
    return [layer, *after]


def has_own_inputs(config: TrialConfig) -> bool:
    """Whether a technique gives every trial of its cohort inputs of its own."""
    return bool(acting(NetworkInput, in_use([config])))


def input_work(config: TrialConfig, input_shape: tuple[int, ...]) -> int:
    """Returns the multiply-adds that techniques on inputs take for one example in training."""
    found = acting(NetworkInput, in_use([config])).values()
    return prod(input_shape) * sum(technique.form.work for technique in found)


def check_inputs(names: Iterable[str], kind: str) -> None:
    """Checks that techniques can act on this kind of data.

    Raises:
        InputError: One cannot.
    """
    for name, technique in acting(NetworkInput, names).items():
        if kind not in (kinds := technique.form.kinds):
            raise InputError(
                f"{name} acts on inputs of the kind {' or '.join(kinds)}, and these are {kind}: "
                f"leave {' and '.join(entry.name for entry in technique.hyperparameters)} out"
            )

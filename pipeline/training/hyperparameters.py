"""Defines a hyperparameter: its valid values, when it counts, how reports treat it; no Keras here.

:data:`NETWORK` and :data:`TRAINING` are the ones of networks and of their training. Those of a
technique stand in its entry of ``training.techniques``, which puts all of them in order; what the
penalties share is here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.records import TrialConfig, Value

ACTIVATIONS = ("relu", "elu", "gelu", "leaky_relu", "selu", "silu", "tanh")
"""Of Keras's, those that are 0 at 0: units that only pad a network have to stay there."""


@dataclass(frozen=True)
class Hyperparameter:
    """What values a hyperparameter can have, and what they mean.

    Attributes:
        name: In search spaces, MLflow's params and JSON.
        kind: ``bool``, ``int``, ``float`` or ``str``.
        default: What it is where a search space does not mention it.
        least: The smallest valid number.
        most: The largest valid number.
        above: Valid numbers are larger than this one.
        below: Valid numbers are smaller than this one.
        options: The valid names of one that is a name.
        optional: Whether null is valid, too: it means off.
        off: The value that means off; reports do not mention it then.
        per_trial: Whether trials of one cohort may differ in it; any other one splits cohorts.
        logarithmic: Whether orders of magnitude matter.
        log_only: Whether a range of it must be logarithmic.
        needs: Another hyperparameter and the values of it with which this one is active; an
            inactive one keeps its default.
        of_family: Whether a family must say that it takes it.
        words: What reports call it; empty for its name without underscores.
        phrase: What reports say of a config in its place; None for words and value.
        phrased_by: Another hyperparameter whose phrase contains this one.
        meaning: What it does, in a clause; the table of the docs.
    """

    name: str
    kind: type[bool] | type[int] | type[float] | type[str]
    default: Value
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    options: tuple[str, ...] = ()
    optional: bool = False
    off: Value = None
    per_trial: bool = False
    logarithmic: bool = False
    log_only: bool = False
    needs: tuple[str, tuple[Value, ...]] | None = None
    of_family: bool = False
    words: str = ""
    phrase: Callable[[TrialConfig], str] | None = None
    phrased_by: str = ""
    meaning: str = ""

    @property
    def is_number(self) -> bool:
        """Whether a range of it makes sense."""
        return self.kind in (int, float)

    @property
    def expected(self) -> str:
        """The valid values in words, for messages."""
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return "one of " + ", ".join(self.options)
        return self._expected_number() + (", or null for off" if self.optional else "")

    def _expected_number(self) -> str:
        if self.kind is int:
            return f"a whole number from {self.least} to {self.most}"
        if self.above is not None:
            return f"a finite number above {self.above:g}"
        if self.below is not None:
            return f"a number from {self.least:g} up to, but not including, {self.below:g}"
        if self.most is not None:
            return f"a number from {self.least:g} to {self.most:g}"
        return f"a finite number of at least {self.least:g}"

    def describe(self, config: TrialConfig) -> str:
        """Returns what a config has of it, in words; nothing where it is off."""
        if self.phrase is not None:
            return self.phrase(config)
        value = getattr(config, self.name)
        if value is None or value is False or (self.off is not None and value == self.off):
            return ""
        words = self.words or self.name.replace("_", " ")
        if value is True:
            return words
        return f"{words} {value:.3g}" if isinstance(value, float) else f"{words} {value}"


NETWORK = (
    Hyperparameter(
        "depth",
        int,
        2,
        least=1,
        most=64,
        of_family=True,
        meaning="hidden layers: dense ones of an `mlp`, convolutions of a `cnn`",
    ),
    Hyperparameter(
        "width",
        int,
        64,
        least=1,
        most=65_536,
        of_family=True,
        meaning="units of a dense layer, or filters of a convolution",
    ),
    Hyperparameter(
        "dense_width",
        int,
        128,
        least=1,
        most=65_536,
        of_family=True,
        meaning="units of the dense layer behind the convolutions",
    ),
)
"""How large a network is."""

TRAINING = (
    Hyperparameter(
        "pooling",
        bool,
        False,
        of_family=True,
        meaning="2x2 max-pooling between convolutions",
    ),
    Hyperparameter(
        "placement",
        str,
        "dense",
        options=("dense", "all"),
        of_family=True,
        meaning="where the techniques sit: on the dense layer, or on the convolutions, too",
    ),
    Hyperparameter(
        "standardize",
        bool,
        True,
        meaning="inputs minus their mean, divided by their deviation, both of the training part",
    ),
    Hyperparameter(
        "hidden_activation",
        str,
        "relu",
        options=ACTIVATIONS,
        off="relu",
        of_family=True,
        words="activation",
        meaning="Keras's activation of the hidden layers",
    ),
    Hyperparameter(
        "first_activation",
        str,
        "relu",
        options=("relu", "linear"),
        needs=("hidden_activation", ("relu",)),
        of_family=True,
        meaning="activation of the first hidden layer; all others are ReLU",
    ),
    Hyperparameter(
        "optimizer",
        str,
        "adam",
        options=("adam", "rmsprop", "sgd"),
        meaning="Keras's optimizer, with its defaults but for the learning rate",
    ),
    Hyperparameter(
        "learning_rate",
        float,
        1e-3,
        above=0,
        per_trial=True,
        logarithmic=True,
        meaning="learning rate of the first step",
    ),
    Hyperparameter(
        "learning_rate_decay",
        float,
        0.0,
        least=0,
        per_trial=True,
        meaning="the rate of step t is divided by 1 + decay * t",
    ),
    Hyperparameter(
        "batch_size",
        int,
        32,
        least=1,
        most=65_536,
        meaning="examples per step",
    ),
    Hyperparameter(
        "epochs",
        int,
        None,
        least=1,
        most=100_000,
        per_trial=True,
        meaning="largest number of epochs of this trial; without it, and at most, the `epochs` "
        "that the file begins with",
    ),
    Hyperparameter(
        "patience",
        int,
        None,
        least=1,
        most=100_000,
        per_trial=True,
        meaning="epochs without a smaller `val_ce` after which this trial stops; without it, and "
        "at most, the `patience` that the file begins with",
    ),
)
"""What else a network has, and how it is trained."""


def activation_at(config: TrialConfig, index: int) -> str:
    """Returns the activation of a config's hidden layer, counted from 0, by Keras's name."""
    hidden = str(dict(config.more).get("hidden_activation", "relu"))
    return config.first_activation if index == 0 and hidden == "relu" else hidden


def _penalty_phrase(config: TrialConfig) -> str:
    if config.regularizer == "none":
        return ""
    factors = [value for value in (config.lambda_l1, config.lambda_l2) if value is not None]
    return f"{config.regularizer}({', '.join(f'{factor:.3g}' for factor in factors)})"


def penalty_factor(name: str, of: str, *regularizers: str) -> Hyperparameter:
    """Returns the factor of a penalty on the sum of this, which counts with these regularizers."""
    return Hyperparameter(
        name,
        float,
        None,
        above=0,
        per_trial=True,
        logarithmic=True,
        log_only=True,
        needs=("regularizer", regularizers),
        phrased_by="regularizer",
        meaning=f"factor of the sum of {of} in the penalty",
    )


REGULARIZER = Hyperparameter(
    "regularizer",
    str,
    "none",
    options=("none", "l1", "l2", "l1_l2"),
    per_trial=True,
    phrase=_penalty_phrase,
    meaning="penalty on the kernels of regularized layers, part of the training loss only",
)
"""Which penalty a trial has: the techniques l1 and l2 share it."""

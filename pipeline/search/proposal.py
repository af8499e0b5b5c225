"""Proposes a search space for a dataset: what is searched follows its kind, how much its size.

In: how a search would be started. Out: the text of a commented YAML file. Family, ranges and most
of what is fixed are those of the space that the search would take: the dataset's own or the
default.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, exp, log, log2
from pathlib import Path

from pipeline.datasets import DatasetSummary, summarize
from pipeline.datasets.limits import available_bytes
from pipeline.datasets.option_words import option_words
from pipeline.errors import InputError
from pipeline.records import Value
from pipeline.search.options import SearchOptions, check_fit, check_trials_fit, choose_space
from pipeline.search.space import space
from pipeline.search.space.hyperparameters import formatted
from pipeline.search.space.parameters import Choice, FloatRange, IntRange, Parameter
from pipeline.search.space.space import SearchSpace
from pipeline.training.techniques import TECHNIQUES

TRIALS = 40
"""The references, of which there is one per technique, and about thirty that are searched."""
PLACE = 0.75
"""Where in its range a reference has a technique's number: it should show."""
LARGEST_SIDE = 32
"""Pixels that are left on each side before the dense layer, at most, or it is very large."""
COMBINED = ("l2", "dropout")
"""Techniques of the reference that shows what two do together."""


@dataclass(frozen=True)
class Size:
    """What follows from the size of the data.

    Attributes:
        width: Units or filters of a layer.
        depth: The smallest and the largest number of layers.
        epochs: Largest number of epochs.
        batch_size: Examples per step.
    """

    width: int
    depth: tuple[int, int]
    epochs: int
    batch_size: int


def propose(options: SearchOptions, output: str) -> str:
    """Returns the text of a search space for a dataset; networks of it fit into memory.

    Args:
        options: The dataset, and how it is read.
        output: Name of the file, for the command in its head.

    Raises:
        InputError: The dataset cannot be used, or no network of the kind fits.
    """
    dataset = summarize(options.spec)
    base = choose_space(options, dataset)
    size = size_for(dataset, base.family)
    words = ["pipeline", "search", "--dataset", options.dataset, *option_words(options.data)]
    command = shlex.join([*words, "--search-space", output])
    while True:
        text = as_text(dataset, base, size, command)
        proposed = space.parse(text.encode(), Path(output))
        try:
            check_fit(proposed, dataset)
            check_trials_fit(options, proposed, dataset, available_bytes())
        except InputError:
            if size.width <= 4:
                raise
            size = Size(size.width // 2, size.depth, size.epochs, size.batch_size)
            continue
        return text


def write(text: str, output: Path) -> None:
    """Writes a search space; never over a file that is there.

    Raises:
        InputError: There is one, or the file cannot be written.
    """
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(f"{output} is there already: give another --output, or move it") from error
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}; give --output") from error


def size_for(dataset: DatasetSummary, family: str) -> Size:
    """Returns what suits the size of a dataset."""
    num_train = dataset.split_sizes["train"]
    batch_size = _step(num_train, {20_000: 32, 200_000: 128}, 512)
    epochs = _step(num_train, {2_000: 100, 20_000: 50, 200_000: 30}, 20)
    if family == "cnn":
        # Each layer but the first is behind a pooling that halves the sides.
        low = 1 + max(ceil(log2(max(dataset.input_shape[:2]) / LARGEST_SIDE)), 0)
        most = 1 + int(log2(min(dataset.input_shape[:2]) / 4))
        high = max(min(low + _step(num_train, {1_000: 1}, 2), most), low)
        width = _step(num_train, {1_000: 16}, 32)
        return Size(width, (low, high), min(epochs, 50), max(batch_size, 64))
    width = _step(num_train, {1_000: 32, 20_000: 64, 200_000: 128}, 256)
    if dataset.kind == "multi_hot":
        width, batch_size = width // 2, max(batch_size, 128)
    depth = (1, _step(num_train, {1_000: 2}, 3))
    return Size(width, depth, epochs, batch_size)


def as_text(dataset: DatasetSummary, base: SearchSpace, size: Size, command: str) -> str:
    """Returns the YAML of a space."""
    shape = " x ".join(map(str, dataset.input_shape))
    numbers = f"{dataset.split_sizes['train']:,} training examples"
    searched: dict[str, Parameter] = {**base.parameters}
    sizes: dict[str, Value] = {"width": size.width, "batch_size": size.batch_size}
    fixed = {**base.fixed, **{k: v for k, v in sizes.items() if k not in searched}}
    low, high = size.depth
    if low == high:
        del searched["depth"]
        fixed = {"depth": low, **fixed}
    else:
        searched["depth"] = IntRange(low, high)
    depth = {"depth": low} if low < high and not low <= 2 <= high else {}
    lines = [
        f"# Question: which regularization overfits least on {dataset.name}?",
        f"#   Proposed for {numbers} of {shape} numbers, {dataset.num_classes} classes.",
        f"# Run: {command}",
        f"family: {base.family}",
        f"{f'trials: {TRIALS}':<20}# the study's total, references included",
        f"{f'epochs: {size.epochs}':<20}# at most; early stopping ends most trials before",
        f"{f'patience: {max(size.epochs // 8, 3)}':<20}# epochs without a smaller val_ce",
        "",
        "fixed:              # the same in every trial; by the number of training examples",
        *(f"  {name}: {formatted(value)}" for name, value in fixed.items()),
        "",
        "search:             # what may vary",
        *(f"  {name}: {_as_yaml(parameter)}" for name, parameter in searched.items()),
        *(f"  # {line}" for line in _others(base)),
        "",
        *_shared(depth),
        "references:         # trained first; each technique alone, against the baseline",
        "  baseline: {}",
        *(f"  {name}: {_flow(values)}" for name, values in references(searched).items()),
    ]
    return "\n".join(lines) + "\n"


def references(searched: Mapping[str, Parameter]) -> dict[str, dict[str, Value]]:
    """Returns the settings of a reference per usual technique, and of one with two of them."""
    found = {
        name: {key: _setting(searched.get(key), value) for key, value in entry.example.items()}
        for name, entry in TECHNIQUES.items()
        if entry.usual
    }
    first, second = COMBINED
    return {**found, f"{first}_{second}": {**found[first], **found[second]}}


def _setting(parameter: Parameter | None, example: Value) -> Value:
    """Returns a hyperparameter's value in a reference: in its range, to one digit."""
    if isinstance(parameter, FloatRange):
        low, high = parameter.low, parameter.high
        if parameter.log:
            return float(f"{exp(log(low) + PLACE * (log(high) - log(low))):.0e}")
        return float(f"{low + PLACE * (high - low):.1g}")
    if isinstance(parameter, Choice) and example not in parameter.choices:
        numbers = [choice for choice in parameter.choices if choice is not None]
        return numbers[ceil(PLACE * len(numbers)) - 1] if numbers else example
    return example


def _others(base: SearchSpace) -> Iterator[str]:
    """Yields lines on techniques that are off in the default, for those who want them, too."""
    ranges = {
        "weight_decay": "{low: 1e-4, high: 1e-1, log: true}",
        "label_smoothing": "{low: 0.0, high: 0.2}",
        "input_noise": "{low: 0.0, high: 0.5}",
        "class_weight": "[none, balanced]",
        "ema": "[0.0, 0.99]",
    }
    if base.family == "cnn":
        ranges |= {"flip": "[false, true]", "shift": "{low: 0.0, high: 0.15}"}
    yield "Off here; to search them, too:"
    standardized = base.constants["standardize"]
    for name, values in ranges.items():
        if standardized or name != "input_noise":
            yield f"{name}: {values}"


def _shared(values: Mapping[str, Value]) -> list[str]:
    return [f"reference_defaults: {_flow(values)}"] if values else []


def _as_yaml(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return f"[{', '.join(map(formatted, parameter.choices))}]"
    more = ", log: true" if parameter.log else ""
    if isinstance(parameter, IntRange) and parameter.step != 1:
        more = f", step: {parameter.step}"
    return f"{{low: {formatted(parameter.low)}, high: {formatted(parameter.high)}{more}}}"


def _flow(values: Mapping[str, Value]) -> str:
    return f"{{{', '.join(f'{name}: {formatted(value)}' for name, value in values.items())}}}"


def _step(number: int, limits: Mapping[int, int], beyond: int) -> int:
    """Returns the value of the first limit that a number is below, else the one beyond all."""
    return next((value for limit, value in limits.items() if number < limit), beyond)

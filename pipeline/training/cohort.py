"""Trains one cohort, top to bottom: dataset, network, fit, measure. Read this first.

A :class:`CohortTrainer` is what a worker keeps between cohorts: the dataset on the device and the
compiled networks. Called with a :class:`Cohort`, it returns one :class:`TrialOutcome` per trial.
It knows neither Optuna nor MLflow.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.datasets.dataset import Dataset
from pipeline.records import Cohort, Device, Probabilities, Trial, TrialConfig, TrialOutcome
from pipeline.training import backend, models, padding
from pipeline.training.architecture import Dense, Layer, multiply_adds, num_parameters
from pipeline.training.device_data import DeviceData
from pipeline.training.fit import Emit, Inbox, Progress, train
from pipeline.training.measure import ModelSize, TrainingSummary, measure, penalty, per_example
from pipeline.training.network import NetworkSpec, StackedNetwork
from pipeline.training.padding import COMPILATION_WORK
from pipeline.training.scoring import num_train_scored, validation_per_epoch
from pipeline.training.techniques import in_use, input_work, usual

KEPT_PARAMETERS = 2e7
"""Parameters of the compiled networks that a worker keeps; the least recently used go first."""
SHARED_PARAMETERS = 2e6
"""Up to this size a network is built with every usual technique, so that more cohorts use it."""
FUSED_WORK = 2e10
"""Multiply-adds of a cohort from which XLA compiles its program: then the first cohort already
takes no longer for it, later ones half as long (digits, 16 trials of depth 3 in 20 epochs)."""
SLOT_COUNTS = (1, 8, 16, 32, 64, 96, 128, 192, 256)
"""Numbers of slots that such networks are built with, where what the spare ones cost is less than
compiling another network."""


class CohortTrainer:
    """Trains cohorts on one dataset in one process.

    Args:
        dataset: The dataset; its test part stays sealed.
        device: What it trains on, for the record.

    Attributes:
        about: The same, with its free memory before the data came.
    """

    def __init__(self, dataset: Dataset, device: str = "cpu") -> None:
        self.dataset, self.device = dataset, device
        self.about = Device(device, backend.free_bytes())
        self.data = DeviceData(dataset)
        labels = dataset.validation.labels
        self.shares = np.bincount(labels, minlength=dataset.num_classes) / len(labels)
        self.networks: dict[Any, StackedNetwork] = {}

    def __call__(self, cohort: Cohort, emit: Emit, inbox: Inbox) -> tuple[TrialOutcome, ...]:
        """Trains and measures one cohort.

        Args:
            cohort: The trials, all of one structure, or of sizes that can be padded to one.
            emit: Called with an ``EpochReport`` after each epoch and with one ``StepTiming``.
            inbox: Called once per epoch; returns the numbers of trials to prune.

        Returns:
            One outcome per trial, in the cohort's order.
        """
        start = time.perf_counter()
        network = self.network(cohort)
        progress = train(network, cohort, emit, inbox, self.smaller_network)
        outcomes = self.outcomes(network, cohort, progress)
        share = (time.perf_counter() - start) / len(cohort.trials)
        return tuple(replace(outcome, seconds=share, device=self.device) for outcome in outcomes)

    def spec(self, cohort: Cohort) -> NetworkSpec:
        """Returns the program that trains a cohort: for small networks one that others share."""
        configs = [trial.config for trial in cohort.trials]
        largest = padding.padded(configs)
        slots = self.slots(largest, len(configs), cohort.epochs)
        techniques = in_use(configs)
        if self.shared(largest, slots):
            techniques |= usual()
        rates = {(config.learning_rate, config.learning_rate_decay) for config in configs}
        sizes = padding.differ(configs)
        fused = self.fuses(largest, slots, cohort.epochs)
        return NetworkSpec(largest, slots, techniques, len(rates) > 1, sizes, fused)

    def slots(self, config: TrialConfig, trials: int, epochs: int) -> int:
        """Returns for how many trials a network is built that trains so many of them so long."""
        rung = next((size for size in SLOT_COUNTS if size >= trials), trials)
        spare = (rung - trials) * self.work(config) * epochs
        return rung if self.shared(config, rung) and spare < COMPILATION_WORK else trials

    def fuses(self, config: TrialConfig, slots: int, epochs: int) -> bool:
        """Whether XLA's longer compilation is earned back by so many trials in so many epochs.

        By counts alone, not by the clock, and not where a step has shapes that depend on values (of
        multi-hot rows) or convolutions.
        """
        dense = config.family == "mlp" and self.dataset.kind != "multi_hot"
        enough = slots * epochs * self.work(config) >= FUSED_WORK
        return dense and enough and backend.may_fuse()

    def shared(self, config: TrialConfig, slots: int) -> bool:
        """Whether a network for so many trials is small enough to serve other cohorts, too."""
        return self.parameters(config) * slots <= SHARED_PARAMETERS

    def network(self, cohort: Cohort) -> StackedNetwork:
        """Returns the compiled network of a cohort, kept or new."""
        return self.compiled(self.spec(cohort))

    def compiled(self, spec: NetworkSpec) -> StackedNetwork:
        """Returns the compiled network of a spec, kept or new."""
        network = self.networks.pop(spec.key, None)
        if network is None:
            network = StackedNetwork(spec, self.data)
        self.networks[spec.key] = network
        while len(self.networks) > 1 and self.kept_parameters() > KEPT_PARAMETERS:
            del self.networks[next(iter(self.networks))]
        return network

    def smaller_network(
        self, network: StackedNetwork, trials: int, epochs: int
    ) -> StackedNetwork | None:
        """Returns a network for the trials that are left, where training on in it pays.

        By counts alone, not by the clock: the same study must be trained the same way again.
        """
        spec = network.spec
        slots = self.slots(spec.config, trials, epochs)
        spared = (spec.trials - slots) * self.work(spec.config) * epochs
        if 2 * slots > spec.trials or spared < COMPILATION_WORK:
            return None
        fused = self.fuses(spec.config, slots, epochs)
        return self.compiled(replace(spec, trials=slots, fused=fused))

    def work(self, config: TrialConfig) -> float:
        """Returns about how many multiply-adds an epoch of one trial takes, with its scoring."""
        # Of multi-hot rows no product is formed: rows of the kernel are summed, which is part of
        # the traffic over the weights.
        words = self.dataset.kind == "multi_hot"
        shape = (0,) if words else self.dataset.input_shape
        products = multiply_adds(self.layers(config), shape)
        examples, steps = self.data.full_batches(config.batch_size)
        own = input_work(config, shape)
        training = steps * (examples * (3.0 * products + own) + 16.0 * self.parameters(config))
        return training + self.num_scored * products

    @property
    def num_scored(self) -> int:
        """Examples that are scored after an epoch, in a study that this version begins."""
        num_train, whole = len(self.data.train), len(self.data.validation)
        watched = validation_per_epoch(num_train, whole) or whole
        return watched + num_train_scored(num_train, watched)

    def kept_parameters(self) -> int:
        """Returns the number of parameters of all kept networks."""
        specs = [network.spec for network in self.networks.values()]
        return sum(self.parameters(one.config) * one.trials for one in specs)

    def outcomes(
        self, network: StackedNetwork, cohort: Cohort, progress: list[Progress]
    ) -> list[TrialOutcome]:
        """Measures the restored network: validation part and measured training examples."""
        data = self.data
        num_validation = len(data.validation)
        measured = np.concatenate([data.validation, data.measured])
        scores = network.score(measured)
        logs = network.log_probabilities(measured) if cohort.keep_probabilities else None
        weights = network.per_trial()
        outcomes = []
        for k, (trial, state) in enumerate(zip(cohort.trials, progress, strict=True)):
            outcome = unmeasured(trial, state)
            if outcome.state == "COMPLETE":
                validation = per_example(scores[:num_validation, k])
                measurement = measure(
                    validation,
                    per_example(scores[num_validation:, k]),
                    len(data.train),
                    self.shares,
                    training_summary(state),
                    self.size(network, trial.config, weights[k]),
                )
                outcome = replace(
                    outcome,
                    measurement=measurement,
                    validation=validation,
                    weights=weights[k] if cohort.keep_weights else None,
                    probabilities=None if logs is None else self.probabilities(logs[:, k]),
                )
            outcomes.append(outcome)
        return outcomes

    def size(
        self, network: StackedNetwork, config: TrialConfig, weights: Sequence[np.ndarray]
    ) -> ModelSize:
        """Returns the parameters and penalties of one trial's restored weights."""
        kernels = [weights[place] for place in network.placement(config).penalized()]
        return ModelSize(self.parameters(config), penalty(kernels, config))

    def probabilities(self, logs: np.ndarray) -> Probabilities:
        """Returns one trial's log p, [validation and measured examples, num_classes], by part."""
        num_validation, train = len(self.data.validation), self.dataset.train
        return Probabilities(
            validation=logs[:num_validation].copy(),
            validation_labels=np.asarray(self.dataset.validation.labels, np.int32),
            train=logs[num_validation:].copy(),
            train_labels=np.asarray(train.labels, np.int32)[self.dataset.measured],
            num_train=len(train),
        )

    def parameters(self, config: TrialConfig) -> int:
        """Returns the trainable parameters of one trial, output layer included."""
        return num_parameters(self.layers(config), self.dataset.input_shape)

    def layers(self, config: TrialConfig) -> tuple[Layer, ...]:
        """Returns a config's layers, output layer included."""
        hidden = models.layers_of(config, self.dataset.input_shape)
        return (*hidden, Dense(self.dataset.num_classes))


def unmeasured(trial: Trial, state: Progress) -> TrialOutcome:
    """Returns the outcome's state, cause and curves."""
    curves = {name: tuple(values) for name, values in state.curves.items()}
    outcome = TrialOutcome(trial.number, "COMPLETE", curves=curves)
    if state.pruned:
        return replace(outcome, state="PRUNED")
    if not state.best_epoch:
        cause = f"diverged: no finite validation cross-entropy in {state.epochs} epoch(s)"
        return replace(outcome, state="FAIL", cause=cause)
    return outcome


def training_summary(state: Progress) -> TrainingSummary:
    """Returns how the trial's training went."""
    at = state.best_epoch - 1
    history_gap = state.curves["val_ce"][at] - state.curves["running_ce"][at]
    return TrainingSummary(state.best_epoch, state.epochs, state.diverged, history_gap)

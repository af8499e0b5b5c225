"""Trains trials of the user's own family one by one, with the loop and measures of ours."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from pipeline.datasets.dataset import Dataset
from pipeline.records import Cohort, TrialOutcome
from pipeline.training import backend
from pipeline.training.cohort import CohortTrainer
from pipeline.training.fit import Emit, Inbox, train
from pipeline.training.measure import ModelSize
from pipeline.training.own.making import located
from pipeline.training.own.network import OwnNetwork


class OwnTrainer(CohortTrainer):
    """Trains cohorts of one trial on one dataset in one process."""

    def __init__(self, dataset: Dataset, device: str = "cpu") -> None:
        backend.retracing_untold()
        super().__init__(dataset, device)

    def __call__(self, cohort: Cohort, emit: Emit, inbox: Inbox) -> tuple[TrialOutcome, ...]:
        """Trains and measures one trial; see :class:`CohortTrainer`.

        Raises:
            OwnModelError: The user's file failed, or its model cannot be trained.
        """
        (trial,) = cohort.trials
        start = time.perf_counter()
        network: Any = OwnNetwork(trial, self.data)
        with located(trial.config):
            progress = train(network, cohort, emit, inbox)
            (outcome,) = self.outcomes(network, cohort, progress)
        seconds = time.perf_counter() - start
        return (replace(outcome, seconds=seconds, device=self.device),)

    def size(self, network: Any, config: Any, weights: Any) -> ModelSize:
        """Returns the parameters and penalties of the restored model."""
        return ModelSize(network.num_parameters, network.penalty)

"""What scoring a part of validation after each epoch saves: the same trials, with and without.

Trains references of a dataset's search space alone, one after the other in one process, each with
the whole validation part scored after every epoch and with the part that a search scores, in turn,
and prints seconds, their ratio, and what both measured. The programs are compiled before.

Run: python benchmarks/scoring.py --dataset cifar10 --train-examples 2000 --epochs 4
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import datasets
from pipeline.records import Cohort, DatasetSpec, Trial
from pipeline.search.space import space
from pipeline.training import backend
from pipeline.training.scoring import validation_per_epoch


def main() -> None:
    """Reads the command line, trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="cifar10", help="name or path")
    parser.add_argument("--search-space", help="default: the dataset's own")
    parser.add_argument("--train-examples", type=int)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--trials", type=int, default=4, help="so many references")
    asked = parser.parse_args()
    folder = os.environ.get("PIPELINE_DATA_DIR")
    spec = DatasetSpec(asked.dataset, Path(folder) if folder else None, 0, asked.train_examples)
    device = backend.prepare("cpu", "float32", None)
    # Not before: Keras must find the backend prepared.
    from pipeline.training.cohort import CohortTrainer

    trainer = CohortTrainer(datasets.load(spec), device)
    num_train, whole = len(trainer.data.train), len(trainer.data.validation)
    part = validation_per_epoch(num_train, whole)
    print(f"{num_train} training examples; {part or 'all'} of {whole} validation examples scored")
    references = space.load(asked.search_space or asked.dataset).references[: asked.trials]
    total = [0.0, 0.0]
    for entry in references:
        cohort = Cohort(0, (Trial(0, entry.config, 1),), 1, 99)
        for scored in (None, part):  # compiles
            train(trainer, cohort, scored)
        rows = []
        for place, scored in enumerate((None, part)):
            cohort = Cohort(0, (Trial(0, entry.config, 1),), asked.epochs, 99)
            seconds, outcome = train(trainer, cohort, scored)
            total[place] += seconds
            measured = outcome.measurement
            rows.append(f"{seconds:6.2f} s (epoch {measured.best_epoch}: {measured.val_ce:.4f})")
        print(f"{entry.name:16} whole {rows[0]}   part {rows[1]}", flush=True)
    print(f"together         whole {total[0]:6.2f} s   part {total[1]:6.2f} s   ", end="")
    print(f"ratio {total[0] / total[1]:.2f}")


def train(trainer: Any, cohort: Cohort, scored: int | None) -> tuple[float, Any]:
    """Returns the seconds of a training and what came of it."""
    start = time.perf_counter()
    (outcome,) = trainer(
        replace(cohort, validation_per_epoch=scored), lambda told: None, lambda: ()
    )
    return time.perf_counter() - start, outcome


if __name__ == "__main__":
    main()

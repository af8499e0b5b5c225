"""Fake studies: trials whose per-example results have exactly the wanted figures."""

from dataclasses import fields
from typing import Any

import numpy as np

from pipeline.records import (
    ChanceLevel,
    Measurement,
    PerExample,
    StudyRecord,
    TrialConfig,
    TrialRecord,
)

NUM_EXAMPLES = 1000


def per_example(val_ce: float, accuracy: float, num: int, noise: float, seed: int) -> PerExample:
    """Results with this mean; hard examples are hard for every trial, plus the trial's noise."""
    hardness = np.random.default_rng(0).exponential(size=num)
    own = np.random.default_rng(seed).normal(size=num)
    spread = 0.2 * (hardness - hardness.mean()) + noise * (own - own.mean())
    correct = np.zeros(num, bool)
    correct[np.argsort(hardness)[: round(accuracy * num)]] = True
    return PerExample(
        nll=val_ce + spread,
        correct=correct,
        predicted=np.zeros(num, np.int32),
        confidence=np.full(num, 0.5, np.float32),
    )


def build_trial(number: int, **wanted: Any) -> TrialRecord:
    """A COMPLETE trial; keywords are fields of the records or ``accuracy``, ``noise``, ``num``."""
    val_ce, gap = wanted.pop("val_ce", 0.3), wanted.pop("gap_ce", 0.1)
    accuracy, noise = wanted.pop("accuracy", 0.9), wanted.pop("noise", 0.02)
    validation = per_example(val_ce, accuracy, wanted.pop("num", NUM_EXAMPLES), noise, number + 1)
    measured = {
        "val_ce": val_ce,
        "val_accuracy": float(validation.correct.mean()),
        "train_ce": val_ce - gap,
        "train_accuracy": min(1.0, accuracy + 0.02),
        "gap_ce": gap,
        "gap_ce_se": 0.01,
        "gap_accuracy": 0.02,
        "penalty": 0.0,
        "best_epoch": 4,
        "epochs": 6,
        "num_parameters": 1000,
    }
    names = {field.name for field in fields(Measurement)}
    measured |= {key: wanted.pop(key) for key in list(wanted) if key in names}
    record: dict[str, Any] = {
        "number": number,
        "state": "COMPLETE",
        "config": TrialConfig(width=32 + number),
        "split_id": "split-a",
        "measurement": Measurement(**measured),
        "validation": validation,
        "seconds": 1.5,
        "mlflow_run_id": f"run{number}",
    }
    return TrialRecord(**(record | wanted))


def build_study(*trials: TrialRecord, chance: ChanceLevel | None = None) -> StudyRecord:
    """A study of these trials, by default of ten balanced classes."""
    return StudyRecord(
        study="digits-a1",
        dataset="digits",
        split_id="split-a",
        run_id="parent",
        chance=chance or ChanceLevel(accuracy=0.1, ce=2.3026),
        definition={"epochs": 6},
        trials=trials,
    )

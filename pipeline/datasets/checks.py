"""Examines a user's data and their split for what should be known before training.

Each check yields findings (``findings``). They look at train and validation; of the test part only
at its size, which classes it has and how many of its examples equal open ones, so that nothing else
of it becomes known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.datasets.dataset import RawData
from pipeline.datasets.findings import Finding
from pipeline.datasets.leaks import leaks
from pipeline.datasets.splits import PARTS, Split
from pipeline.datasets.user.labels import differing_in_case
from pipeline.formatting import percent
from pipeline.records import DataOptions

SHOWN = 8
IMBALANCE = 10
"""So many times as many examples as the smallest class make the largest one worth a word."""
RARE = 10
"""A class with fewer training and validation examples is rare."""
HALF_WIDTH = 0.05
"""Accuracies that are known less exactly than this are worth a word."""
Z_95 = 1.96


@dataclass(frozen=True, eq=False)
class Case:
    """What the checks look at.

    Attributes:
        raw: The data.
        split: Their split.
        equal: int64 ``[num_examples]``, the same for examples whose inputs are equal.
        options: What was asked for.
    """

    raw: RawData
    split: Split
    equal: np.ndarray
    options: DataOptions

    @property
    def open(self) -> np.ndarray:
        """Where train and validation are."""
        return np.concatenate([self.split.train, self.split.validation])

    def counts(self, members: np.ndarray) -> np.ndarray:
        """Returns the number of examples per class."""
        return np.bincount(self.raw.labels[members], minlength=len(self.raw.class_names))

    def named(self, classes: np.ndarray) -> str:
        """Returns the names of classes, as text."""
        return _some([f"'{self.raw.class_names[number]}'" for number in classes])


def examine(case: Case) -> tuple[Finding, ...]:
    """Returns what was found, in the order in which it is told."""
    checks = (
        class_names,
        split_made,
        equal_examples,
        known_test,
        contradictions,
        leaking,
        class_sizes,
        too_small,
    )
    return tuple(finding for check in checks for finding in check(case))


def class_names(case: Case) -> Iterator[Finding]:
    """Names classes that are probably one."""
    if alike := differing_in_case(case.raw.class_names):
        names = _some([f"'{name}'" for name in alike])
        yield Finding(
            "case", f"classes that differ in capitals, blanks or zeros only stay apart: {names}"
        )


def split_made(case: Case) -> Iterator[Finding]:
    """Says how groups, an order or a column made the split."""
    raw, split, options = case.raw, case.split, case.options
    parts = (split.train, split.validation, split.test)
    if raw.groups is not None and options.group is not None:
        in_parts = (np.unique(raw.groups[part]) for part in parts)
        numbers = (f"{name} {len(some):,}" for name, some in zip(PARTS, in_parts, strict=True))
        yield Finding(
            "groups",
            f"rows of one '{options.group}' stay in one part; groups: {', '.join(numbers)}."
            " Intervals count rows, and would be wider if they counted groups",
        )
    if raw.order is not None and options.order_by is not None:
        train, validation = (raw.order[part].max() for part in parts[:2])
        yield Finding(
            "order",
            f"cut by '{options.order_by}': train up to {train}, validation up to {validation},"
            " test after that",
        )
    if raw.given_parts is not None:
        missing = [name for number, name in enumerate(PARTS) if number not in raw.given_parts]
        missing = [name for name in missing if not (name == "test" and split.official_test)]
        source = f"column '{options.split}'" if options.split else "the folder"
        cut = f", which names no {' and no '.join(missing)}: cut from train" if missing else ""
        yield Finding("given_split", f"the parts are those of {source}{cut}")


def equal_examples(case: Case) -> Iterator[Finding]:
    """Says how many examples are equal, and whether equal ones are in both open parts."""
    equal, split = case.equal, case.split
    kept = equal[case.open]
    _, sets, sizes = np.unique(kept, return_inverse=True, return_counts=True)
    num_equal = int((sizes[sets] > 1).sum())
    if not num_equal:
        return
    across = np.isin(equal[split.validation], equal[split.train])
    found = f"{num_equal:,} of {len(kept):,} training and validation examples equal another one"
    if not across.any():
        yield Finding("duplicates", f"{found} in every input; equal ones are kept in one part")
        return
    why = _why_apart(case)
    yield Finding(
        "repeated",
        f"{found} in every input ({len(sizes):,} are different); {why}, so that"
        f" {percent(across.mean())} of validation is known from training",
    )


def known_test(case: Case) -> Iterator[Finding]:
    """Says how many test examples equal those that are open."""
    raw, split = case.raw, case.split
    if not split.official_test:
        known = int(np.isin(case.equal[split.test], case.equal[case.open]).sum())
        why = _why_apart(case)
    else:
        known = raw.count_known() if raw.count_known is not None else 0
        why = "the data come with it"
    if known:
        yield Finding(
            "repeated_test",
            f"{known:,} of {len(split.test):,} test examples equal training or validation examples"
            f" in every input; {why}, so that test figures look better than those of new examples",
        )


def _why_apart(case: Case) -> str:
    raw, options = case.raw, case.options
    if raw.order is not None:
        return f"the cut by '{options.order_by}' parts some"
    if raw.given_parts is not None:
        return "the given parts hold equal ones"
    return "too many are equal to keep them all in one part"


def contradictions(case: Case) -> Iterator[Finding]:
    """Names equal examples with different labels, and what they cost."""
    members = np.sort(case.open)
    _, sets = np.unique(case.equal[members], return_inverse=True)
    labels = case.raw.labels[members].astype(np.int64)
    pairs, counts = np.unique(np.stack([sets, labels], axis=1), axis=0, return_counts=True)
    several = np.flatnonzero(np.bincount(pairs[:, 0]) > 1)
    if not len(several):
        return
    most = np.zeros(sets.max() + 1, dtype=np.int64)
    np.maximum.at(most, pairs[:, 0], counts)
    in_set = np.flatnonzero(sets == several[0])
    first = in_set[0]
    other = in_set[np.argmax(labels[in_set] != labels[first])]
    names = case.raw.class_names
    # Rows of a table count from 1, as in its reader's messages; examples of arrays from 0.
    word, base = ("rows", 1) if case.raw.columns is not None else ("examples", 0)
    yield Finding(
        "contradictions",
        f"{len(several):,} sets of equal inputs have different labels, such as {word}"
        f" {members[first] + base:,} ('{names[labels[first]]}') and"
        f" {members[other] + base:,} ('{names[labels[other]]}'): no model can be right on more than"
        f" {percent(most.sum() / len(members))} of training and validation",
    )


def leaking(case: Case) -> Iterator[Finding]:
    """Names features each of which alone predicts the label on validation."""
    found = leaks(case.raw, case.split)
    if found:
        text = [f"'{leak.name}' ({percent(leak.accuracy)} right)" for leak in found]
        yield Finding(
            "leak",
            f"each of these features alone predicts the label on validation: {_some(text)}; if one"
            " is known only after the answer is, leave it out with --drop",
        )


def class_sizes(case: Case) -> Iterator[Finding]:
    """Says which classes are large, rare, or lacking in a part."""
    raw, split = case.raw, case.split
    counts = case.counts(case.open)
    train, validation = case.counts(split.train), case.counts(split.validation)
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] >= IMBALANCE * max(counts[smallest], 1):
        share = counts[largest] / counts.sum()
        yield Finding(
            "imbalance",
            f"the largest class '{raw.class_names[largest]}' has {percent(share)} of training and"
            f" validation ({counts[largest]:,} examples), the smallest"
            f" '{raw.class_names[smallest]}' {counts[smallest]:,}",
        )
    rare = np.flatnonzero((counts < RARE) & (counts > 0))
    if len(rare):
        yield Finding(
            "rare",
            f"classes with fewer than {RARE} training and validation examples: {case.named(rare)};"
            " nothing can be said of how well they are known",
        )
    if len(only := np.flatnonzero(counts == 0)):
        yield Finding("absent", f"only in the test part, so never learned: {case.named(only)}")
    for name, here, there in (("train", train, validation), ("validation", validation, train)):
        if len(missing := np.flatnonzero((here == 0) & (there > 0))):
            yield Finding("absent", f"{name} has no example of {case.named(missing)}")
    if not split.official_test:
        test = case.counts(split.test)
        if len(missing := np.flatnonzero((test == 0) & (counts > 0))):
            yield Finding("absent", f"the test part has no example of {case.named(missing)}")


def too_small(case: Case) -> Iterator[Finding]:
    """Says how exactly an accuracy can be known, where validation is small."""
    number = len(case.split.validation)
    widths = [Z_95 * np.sqrt(share * (1 - share) / number) for share in (0.5, 0.9)]
    if widths[0] > HALF_WIDTH:
        yield Finding(
            "small_validation",
            f"validation has {number:,} examples: an accuracy near 50% is known to +-"
            f"{percent(widths[0])}, one near 90% to +-{percent(widths[1])} (95% intervals);"
            " differences below that cannot be told from chance by accuracy",
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown}, ... ({len(names):,})"

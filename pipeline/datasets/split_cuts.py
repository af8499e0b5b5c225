"""Says which examples come into the last part of a cut: whole groups, or the later ones.

``splits`` calls these where the data say which examples belong together or come later.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from pipeline.errors import DatasetError


def later_ones(order: np.ndarray, num_last: int) -> np.ndarray:
    """Returns which examples have the largest values; equal values stay on one side.

    Args:
        order: Sortable ``[num_examples]``.
        num_last: So many are wanted; the cut between two values that comes nearest is taken.

    Returns:
        Boolean ``[num_examples]``.

    Raises:
        DatasetError: All values are equal.
    """
    values, rank, counts = np.unique(order, return_inverse=True, return_counts=True)
    if len(values) < 2:
        raise DatasetError(
            f"the column of --order-by has too few different values to cut {len(order)} examples in"
            " two, and equal ones stay together. Order by a finer column, or leave it out."
        )
    # How many are last when the cut is before the value 1, 2, ...
    after = len(order) - np.cumsum(counts)[:-1]
    first_last = 1 + int(np.argmin(np.abs(after - num_last)))
    later: np.ndarray = rank >= first_last
    return later


def whole_groups(
    groups: np.ndarray, labels: np.ndarray, num_last: int, rng: np.random.RandomState
) -> np.ndarray:
    """Returns which examples come into the last part: whole groups, each class near its share.

    The groups of several examples are placed first, the largest first, each on the side that is
    further from what it should have of the group's classes; the others then fill up each class.

    Args:
        groups: int64 ``[num_examples]``, equal for examples that stay together.
        labels: int32 ``[num_examples]``.
        num_last: So many examples are wanted.
        rng: Decides between groups of one size.

    Returns:
        Boolean ``[num_examples]``.

    Source: the greedy order of scikit-learn's StratifiedGroupKFold, with two sides and squared
    distances divided by what is wanted.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    _, label = np.unique(labels, return_inverse=True)
    shape = (len(sizes), int(label.max()) + 1)
    ones = np.ones(len(group), dtype=np.int64)
    contents = sparse.csr_array(sparse.coo_array((ones, (group, label)), shape=shape))
    totals = np.bincount(label)
    share = min(max(num_last / len(labels), 0.0), 1.0)
    in_last = np.zeros(len(sizes), dtype=bool)
    several = np.flatnonzero(sizes > 1)
    order = several[np.lexsort((rng.random_sample(len(several)), -sizes[several]))]
    held = _place(contents, order, share, totals, in_last)
    single = np.flatnonzero(sizes == 1)
    missing = min(max(num_last - int(held.sum()), 0), len(single))
    classes = contents.indices[contents.indptr[single]]
    in_last[single[_fill(classes, share * totals - held, missing, rng)]] = True
    if num_last > 0 and not in_last.any():
        in_last[np.lexsort((rng.random_sample(len(sizes)), sizes))[0]] = True
    chosen: np.ndarray = in_last[group]
    return chosen


def _place(
    contents: sparse.csr_array,
    order: np.ndarray,
    share: float,
    totals: np.ndarray,
    in_last: np.ndarray,
) -> np.ndarray:
    """Puts groups on a side each, in this order; returns what the last part then has per class."""
    wanted = (totals * (1 - share)).tolist(), (totals * share).tolist()
    have = [0.0] * len(totals), [0.0] * len(totals)
    starts, classes = contents.indptr.tolist(), contents.indices.tolist()
    numbers = contents.data.tolist()
    for place in order.tolist():
        span = range(starts[place], starts[place + 1])
        entries = [(classes[at], numbers[at]) for at in span]
        # How much further from what is wanted a side is with the group than without it.
        cost = [
            sum(n * (2 * (have[side][c] - wanted[side][c]) + n) / (wanted[side][c] + 1e-9)
                for c, n in entries)
            for side in (0, 1)
        ]  # fmt: skip
        side = int(cost[1] < cost[0])
        for c, n in entries:
            have[side][c] += n
        in_last[place] = bool(side)
    return np.array(have[1])


def _fill(
    classes: np.ndarray, wanted: np.ndarray, count: int, rng: np.random.RandomState
) -> np.ndarray:
    """Returns places of ``count`` examples: of each class as many as wanted, as far as it goes."""
    shuffled = rng.permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    sizes = np.bincount(classes, minlength=len(wanted))
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rank = np.arange(len(classes)) - starts
    # The example that is wanted most is one of the class that has the largest share left.
    target = np.maximum(wanted, 1e-9)[classes[by_class]]
    return by_class[np.argsort((rank + 0.5) / target, kind="stable")[:count]]

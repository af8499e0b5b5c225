"""An entry comes back from disk as it was put, number for number, or is said to be damaged."""

import math

import numpy as np
import pytest

from pipeline.errors import TrackingError
from pipeline.tracking.delivery.message import Entry, Head, pack, unpack

FULL = Entry(
    7,
    "finish trial 7",
    Head("trial 7", {"trial": "7", "name": "größe 'a\"b"}, {"max_norm": "null"}, 1_700_000_000_123),
    points=(("epoch/val_ce", 0.1 + 0.2, 1_700_000_000_456, 3), ("gap_ce", math.inf, 5, 0)),
    tags={"state": "COMPLETE"},
    files={"validation.npz": b"PK\x00\x01", "weights.npz": np.arange(99.0).tobytes()},
    dropped=("old.npz",),
    status="FINISHED",
    ended=1_700_000_000_789,
)


@pytest.mark.parametrize("entry", [FULL, Entry(0, "log trial 0"), Entry(1, "x", status="RUNNING")])
def test_an_entry_comes_back_as_it_was(entry):
    assert unpack(pack(entry, "parent")) == (entry, "parent")


def test_what_is_not_a_number_is_kept():
    read, _ = unpack(pack(Entry(0, "log", points=(("a", math.nan, 1, 2),)), "p"))
    assert math.isnan(read.points[0][1])


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"", lambda b: b"PK" + b[2:40]])
def test_one_that_was_cut_off_is_damaged(damage):
    with pytest.raises(TrackingError, match="it is damaged"):
        unpack(damage(pack(FULL, "parent")))


def test_one_whose_bytes_were_changed_is_damaged():
    packed = pack(FULL, "parent")
    place = packed.index(np.arange(99.0).tobytes())
    changed = packed[: place + 8] + b"\xff" + packed[place + 9 :]
    with pytest.raises(TrackingError, match="it is damaged"):
        unpack(changed)

"""A message comes back from disk as it was put, number for number, or is said to be damaged."""

import io
import json
import math
import zipfile

import numpy as np
import pytest

from pipeline.errors import TrackingError
from pipeline.tracking.delivery.message import Message, NewRun, pack, unpack

FULL = Message(
    7,
    "finish trial 7",
    NewRun(
        "trial 7", {"trial": "7", "name": "größe 'a\"b"}, {"max_norm": "null"}, 1_700_000_000_123
    ),
    points=(("epoch/val_ce", 0.1 + 0.2, 1_700_000_000_456, 3), ("gap_ce", math.inf, 5, 0)),
    tags={"state": "COMPLETE"},
    files={"validation.npz": b"PK\x00\x01", "weights.npz": np.arange(99.0).tobytes()},
    dropped=("old.npz",),
    status="FINISHED",
    ended=1_700_000_000_789,
)


@pytest.mark.parametrize(
    "message", [FULL, Message(0, "log trial 0"), Message(1, "x", status="RUNNING")]
)
def test_a_message_comes_back_as_it_was(message):
    assert unpack(pack(message, "parent")) == (message, "parent")


def test_a_message_of_an_earlier_version_is_read():
    """Its keys are on users' disks: what a search left behind is delivered after an update."""
    header = {
        "parent": "p", "number": 3, "action": "finish trial 3",
        "head": ["trial 3", {"trial": "3"}, {"depth": "2"}, 5], "points": [["gap_ce", 0.1, 6, 0]],
        "tags": {}, "files": ["validation.npz"], "dropped": [], "status": "FINISHED", "ended": 7,
    }  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("entry.json", json.dumps(header))
        archive.writestr("0", b"results")
    new_run = NewRun("trial 3", {"trial": "3"}, {"depth": "2"}, 5)
    points, files = (("gap_ce", 0.1, 6, 0),), {"validation.npz": b"results"}
    expected = Message(
        3, "finish trial 3", new_run, points, files=files, status="FINISHED", ended=7
    )
    assert unpack(packed.getvalue()) == (expected, "p")


def test_what_is_not_a_number_is_kept():
    read, _ = unpack(pack(Message(0, "log", points=(("a", math.nan, 1, 2),)), "p"))
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

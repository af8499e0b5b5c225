"""Arrays of an npz file are what NumPy reads of it, and nothing in it is unpickled."""

from io import BytesIO
from zipfile import BadZipFile, ZipFile

import numpy as np
import pytest

from pipeline.errors import TrackingError
from pipeline.tracking.npz import readable, unpacked

ARRAYS = {
    "floats": np.linspace(0.0, 1.0, 7),
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "flags": np.array([True, False]),
    "none": np.zeros((0, 3), np.int32),
    "scalar": np.array(3.5),
    "words": np.array(["no", "names", "\u00fc"]),
    "big_endian": np.arange(3, dtype=">i4"),
    "run/a:nll": np.ones(2, np.float32),
}


def packed(save=np.savez, **arrays):
    buffer = BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_numpys(save):
    data = packed(save, **ARRAYS)
    found = unpacked(data)
    with np.load(BytesIO(data)) as expected:
        assert list(found) == expected.files
        for name in expected.files:
            assert found[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(found[name], expected[name])
            assert found[name].flags.writeable
    assert unpacked(data)["floats"] is not found["floats"]


def test_an_array_of_a_later_format_is_read():
    buffer, file = BytesIO(), BytesIO()
    np.lib.format.write_array(file, ARRAYS["floats"], version=(2, 0))
    with ZipFile(buffer, "w") as archive:
        archive.writestr("floats.npy", file.getvalue())
    np.testing.assert_array_equal(unpacked(buffer.getvalue())["floats"], ARRAYS["floats"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whatever_byte_is_changed_is_noticed_or_changes_nothing(save):
    data = packed(save, floats=ARRAYS["floats"], flags=ARRAYS["flags"])
    noticed = 0
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        try:
            found = unpacked(changed)
        except (BadZipFile, NotImplementedError, ValueError, EOFError, RuntimeError, OverflowError):
            noticed += 1
            continue
        for name in found.keys() & ARRAYS.keys():
            np.testing.assert_array_equal(found[name], ARRAYS[name])
    assert noticed > len(data) / 2


def test_what_would_have_to_be_unpickled_is_refused():
    with pytest.raises(ValueError, match="allow_pickle=False"):
        unpacked(packed(evil=np.array([{"a": 1}], dtype=object)))


@pytest.mark.parametrize("share", np.linspace(0, 1, 25, endpoint=False))
def test_whatever_damage_is_one_line_with_the_remedy(share):
    """Cut anywhere, and one byte changed anywhere."""
    whole = packed(np.savez_compressed, floats=ARRAYS["floats"])
    end, flipped = int(share * len(whole)), bytearray(whole)
    flipped[end] ^= 0x5A
    for data in (whole[:end], bytes(flipped)):
        try:
            with readable("a.npz", "abc", "delete the run"):
                found = unpacked(data)["floats"]
        except TrackingError as error:
            start, end_of_it = (
                "a.npz of run abc cannot be read, it is damaged (",
                ("): restore the file, or delete the run"),
            )
            assert str(error).startswith(start) and str(error).endswith(end_of_it)
            assert "\n" not in str(error)
        else:
            # A byte that nothing reads, such as a time stamp; what is read has a checksum.
            assert data != whole[:end]
            np.testing.assert_array_equal(found, ARRAYS["floats"])


def test_what_was_cut_short_is_refused():
    data = packed(floats=ARRAYS["floats"])
    with pytest.raises(BadZipFile):
        unpacked(data[:-30])
    buffer = BytesIO()
    with ZipFile(BytesIO(data)) as whole, ZipFile(buffer, "w") as cut:
        cut.writestr("floats.npy", whole.read("floats.npy")[:-8])
    with pytest.raises(ValueError, match="buffer is smaller than requested"):
        unpacked(buffer.getvalue())

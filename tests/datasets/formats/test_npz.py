"""Archives: headers without contents, arrays without pickles."""

import io
import zipfile

import numpy as np
import pytest

from pipeline.datasets.formats.npz import members, read_array, read_header, read_sequences
from pipeline.errors import DatasetError


@pytest.fixture
def archive(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.eye(3), y=np.array(["a", "bc"]))
    return tmp_path / "a.npz"


def test_members_headers_and_arrays(archive):
    assert members(archive) == ("x", "y")
    assert read_header(archive, "x") == ((3, 3), np.dtype(float))
    np.testing.assert_array_equal(read_array(archive, "x"), np.eye(3))
    assert read_array(archive, "y").tolist() == ["a", "bc"]


def test_a_missing_array_names_what_is_there(archive):
    with pytest.raises(DatasetError, match=r"a.npz has no array 'z'; it has \['x', 'y'\]"):
        read_array(archive, "z")


def test_sequences_are_read_without_pickle_globals(tmp_path, sequences_npz, words):
    rows = words(5)
    (tmp_path / "s.npz").write_bytes(sequences_npz(x=rows, y=np.arange(5)))
    assert read_sequences(tmp_path / "s.npz", "x").tolist() == rows.tolist()
    with pytest.raises(DatasetError, match="'x' is an object array"):
        read_array(tmp_path / "s.npz", "x")


def test_a_cut_archive_says_so(archive):
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"are stored: the file is damaged|as a .npz archive"):
        members(archive)


def test_damaged_contents_say_so(tmp_path):
    content = io.BytesIO()
    np.save(content, np.eye(4))
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as file:
        file.writestr("x.npy", content.getvalue()[:-8])
        file.writestr("y.npy", b"nonsense")
    with pytest.raises(DatasetError, match=r"are stored: the file is damaged|as a .npz archive"):
        read_array(tmp_path / "d.npz", "x")
    with pytest.raises(DatasetError, match=r"are stored: the file is damaged|as a .npz archive"):
        read_array(tmp_path / "d.npz", "y")


def test_an_unknown_format_version_says_which(tmp_path):
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\x03\x00" + b"\0" * 60)
    with pytest.raises(DatasetError, match=r"'x' has npy format version \(3, 0\)"):
        read_array(tmp_path / "v.npz", "x")

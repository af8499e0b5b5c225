"""Data by path: names, places that cannot be read, sizes; each failure is one line."""

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.datasets import is_path, limits, load, name_of
from pipeline.datasets.formats.npz import read_array, read_header
from pipeline.datasets.user.paths import FILE_READERS
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec

X, Y = np.zeros((20, 3)), np.arange(20) % 2


def refusal(path):
    with pytest.raises(DatasetError) as caught:
        load(DatasetSpec(str(path)))
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("stem", ["my data", 'it\'s "mine"', "dätä", "$(id)", "-rf", "50%", "a:b"])
def test_odd_names_are_names(tmp_path, stem):
    np.savez(tmp_path / f"{stem}.npz", x=X, y=Y)
    assert load(DatasetSpec(str(tmp_path / f"{stem}.npz"))).name == stem


UNDECODED = b"caf\xe9".decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("stem", ["a\nb", "x" * 201, "\u202eabc", UNDECODED, "  "])
def test_a_name_that_cannot_be_shown_or_stored_is_refused(tmp_path, stem):
    np.savez(tmp_path / f"{stem}.npz", x=X, y=Y)
    assert "its name becomes the name of the data; expected 1 to 200 printable" in refusal(
        tmp_path / f"{stem}.npz"
    )


def test_the_folder_one_stands_in_has_its_own_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_of(Path()) == tmp_path.name
    assert name_of(Path("..")) == tmp_path.parent.name
    assert name_of(Path("pets/")) == "pets"
    assert name_of(Path("some/v1.2.csv")) == "v1.2"
    Path("v1.2").mkdir()
    assert name_of(Path("v1.2")) == "v1.2"


def test_what_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pets").mkdir()
    assert is_path("pets")
    assert is_path("pets/")
    assert is_path("my.csv")
    assert not any(map(is_path, ("", "digits", "pest", "a\0b", "x" * 5000)))


def test_places_that_cannot_be_read(tmp_path, monkeypatch):
    assert "There is no dataset ''" in refusal("")
    assert "There is no file gone.csv (looked in " in refusal("gone.csv")
    assert "There is no file a?b.csv" in refusal("a\0b.csv")
    assert f"There is no file {'x' * 5000}.csv" in refusal("x" * 5000 + ".csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is a device or pipe; expected an ordinary file" in refusal(tmp_path / "pipe.csv")
    (tmp_path / "mine.txt").touch()
    assert "expected a file ending in .npz, .csv, .tsv, .csv.gz, .tsv.gz, .parquet" in refusal(
        tmp_path / "mine.txt"
    )
    (tmp_path / "mine.npz").mkdir()
    assert "holds no folders; expected a folder per class" in refusal(tmp_path / "mine.npz")


@pytest.mark.parametrize("ending", [".npz", ".csv", ".parquet"])
def test_a_file_without_permission_says_so(tmp_path, monkeypatch, ending):
    path = tmp_path / f"mine{ending}"
    path.write_text("a,b\n1,2\n")
    if os.geteuid():
        path.chmod(0)
    else:  # root may read everything: say what the system would

        def refuse(self, *args, **kwargs):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr("zipfile.ZipFile.__init__", refuse)
        monkeypatch.setattr("pyarrow.parquet.ParquetFile.__init__", refuse)
    assert refusal(path) == (
        f"{path} cannot be read: Permission denied. Check that it is there and readable."
    )  # fmt: skip


def test_running_out_of_memory_is_one_line(tmp_path, monkeypatch):
    def fail(path, options):
        raise MemoryError

    monkeypatch.setitem(FILE_READERS, ".csv", ("tables", fail))
    (tmp_path / "mine.csv").touch()
    assert "mine.csv does not fit into memory. Give fewer" in refusal(tmp_path / "mine.csv")


def npz_of(path, shape, payload=b"", descr="<f8", announced=None):
    """Writes an archive whose array x announces this shape and descr; y is good."""
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    x = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload
    y = io.BytesIO()
    np.save(y, Y)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", x)
        file.writestr("y.npy", y.getvalue())
    if announced is not None:  # the archive's directory may lie, too
        content = bytearray(path.read_bytes())
        place = content.find(b"PK\x01\x02") + 24
        content[place : place + 4] = struct.pack("<I", announced)
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("shape", "descr", "message"),
    [
        ((2**40, 8), "<f8", "'x' announces shape (1099511627776, 8) of float64"),
        ((20, 3), "<f8", "480 bytes, but 0 are stored: the file is damaged"),
        ((-1, 3), "<f8", "announces shape (-1, 3)"),
        ((10**18,), "<U0", "announces shape (1000000000000000000,) of <U0"),
        ((1,), "<U500000000", "2,000,000,000 bytes, but 0 are stored"),
        ((20, 3), "|O", "'x' is an object array, stored as a pickle"),
    ],
)
def test_an_array_that_announces_more_than_there_is(tmp_path, shape, descr, message):
    assert message in refusal(npz_of(tmp_path / "mine.npz", shape, descr=descr))


def test_an_archive_that_would_not_fit_is_refused_by_its_header(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "available_bytes", lambda: 2**27)
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("x.npy", "w") as x:
        np.lib.format.write_array_header_1_0(
            x, {"descr": "|u1", "fortran_order": False, "shape": (2**26, 1)}
        )
        for _ in range(4):
            x.write(bytes(2**24))
    assert path.stat().st_size < 200_000
    before = psutil.Process().memory_info().rss
    with pytest.raises(DatasetError, match=r"needs 64.0 MiB in memory, but at most 42.7 MiB fit"):
        read_array(path, "x")
    with pytest.raises(DatasetError, match=r"needs 64.0 MiB in memory"):
        read_header(path, "x")
    assert psutil.Process().memory_info().rss - before < 2**25


def test_an_archive_whose_directory_lies_is_refused(tmp_path):
    path = npz_of(tmp_path / "mine.npz", (2**27,), announced=2**30 + 128)
    assert "announces shape" in refusal(path) or "cannot be read" in refusal(path)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    path = npz_of(tmp_path / "mine.npz", (20, 3), X.tobytes())
    load(DatasetSpec(str(path)))
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as file:
        file.writestr("x.npy", b"")
    assert "has 2 arrays 'x'" in refusal(path)


def test_the_memory_there_is_counts_the_limits_of_the_process(monkeypatch, tmp_path):
    import resource

    free = psutil.virtual_memory().available
    assert 0 < limits.available_bytes() <= free * 1.1
    used = psutil.Process().memory_info().vms
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (used + 2**24, used + 2**24))
    assert limits.available_bytes() <= 2**24 + 2**26
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    files = (tmp_path / "memory.max", tmp_path / "memory.current")
    monkeypatch.setattr(limits, "CGROUP_FILES", (files,))
    assert limits.available_bytes() == 600


@pytest.mark.parametrize(
    ("value", "message"),
    [("gone", "Directory 'gone' does not exist."), ("file", "Directory 'file' is a file.")],
)
@pytest.mark.parametrize("command", ["search --dry-run", "report", "datasets list"])
def test_a_data_directory_that_is_none_is_told_in_one_line(
    tmp_path, monkeypatch, value, message, command
):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for given, env in ((["--data-dir", value], {}), ([], {"PIPELINE_DATA_DIR": value})):
        result = CliRunner().invoke(main, [*command.split(), *given], env=env)
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith("Error: Invalid value for '--data-dir'")
        assert result.stderr.splitlines()[-1].endswith(message)
        assert result.stdout == ""


def test_an_empty_data_directory_variable_means_none():
    result = CliRunner().invoke(main, ["datasets", "list"], env={"PIPELINE_DATA_DIR": ""})
    assert result.exit_code == 0

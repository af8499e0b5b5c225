"""Data that nobody should be given: a random source and a folder in, the path of the data out.

Good files of every kind that is read (``.npz``, ``.csv``, ``.parquet``, folders of pictures) after
random damage, hand-made attacks among them (zip bombs, pickles, links, odd names), and hypothesis's
tables and arrays.
"""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
from hostile_media import damage, pictures, texts
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pyarrow import feather, parquet

NAMES = ("data", "my data", 'it\'s "mine"', "dätä", "a\nb", "x" * 220, "50%", "$(id)", "-rf")
CELLS = ("", "nan", "inf", "-inf", "NULL", "1e400", "1,5", '"', '""', "'", "x", "é", "\x00", "0x1",
         "true", "2020-01-01", "9" * 30, "=1+1", "\r", "\n", ";", "\ufeff", "y" * 3000)  # fmt: skip


def damaged_data(random: Random, folder: Path) -> Path:
    """Returns the path of a file or folder with damage."""
    kind = random.choice(
        [
            npz,
            npz,
            announced_npz,
            csv,
            csv,
            mixed,
            mixed,
            parquet_file,
            parquet_file,
            pictures,
            texts,
        ]
    )
    return kind(random, folder)


def npz(random: Random, folder: Path) -> Path:
    """An archive of odd arrays, then damaged."""
    inputs, labels = _examples(random)
    odd = random.choice(
        [inputs, inputs, inputs, inputs.astype("U"), inputs.astype(object), inputs > 0, labels,
         inputs * np.nan, inputs.T, np.float64(3), inputs.astype(complex), inputs[:0],
         inputs.view("V8"), inputs.astype("f2"), np.zeros((0, 5)), inputs.astype("M8[s]")]
    )  # fmt: skip
    names = random.choice(
        [("x", "y"), ("x", "y"), ("x_train", "y_train"), ("a", "b"), ("x", "x/y")]
    )
    saved = dict(zip(names, (odd, labels), strict=True))
    if names[0] == "x_train":
        saved |= {"x_test": random.choice([inputs, odd]), "y_test": random.choice([labels, inputs])}
    buffer = io.BytesIO()
    random.choice([np.savez, np.savez_compressed])(buffer, **saved)
    return _write(folder, random, ".npz", damage(buffer.getvalue(), random))


def announced_npz(random: Random, folder: Path) -> Path:
    """An archive whose headers or directory announce more than there is; or a pickle."""
    inputs, labels = _examples(random)
    shape = random.choice(
        [
            (2**62, 4),
            (10**9, 10**3),
            (-1, 4),
            (len(inputs) + 1, 4),
            (0, 2**60),
            (1,) * 70,
            (len(inputs),),
        ]
    )
    descr = random.choice(["<f8", "<f8", "|O", "<U0", "<U500000000", "|V0", "<f8,<f8", "nonsense"])
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}"
    if random.random() < 0.2:
        header = "(" * 3000 + header
    payload = random.choice([inputs.tobytes(), pickle.dumps(print), b""])
    magic = b"\x93NUMPY" + random.choice([b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00"])
    size = struct.pack("<H" if magic[6] == 1 else "<I", len(header) + 1)
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", random.choice([zipfile.ZIP_STORED, zipfile.ZIP_LZMA])
    ) as file:
        file.writestr("x.npy", magic + size + header.encode() + b"\n" + payload)
        content = io.BytesIO()
        np.save(content, labels)
        file.writestr("y.npy", content.getvalue())
    content = bytearray(buffer.getvalue())
    if random.random() < 0.5:  # the directory's entry: how large the array is said to be
        place = content.find(b"PK\x01\x02") + 24
        content[place : place + 4] = struct.pack("<I", random.choice([2**32 - 2, 2**31, 0, 200]))
    return _write(folder, random, ".npz", bytes(content))


def csv(random: Random, folder: Path) -> Path:
    """A table with odd cells, names, rows or encoding, then damaged now and then."""
    inputs, labels = _examples(random)
    header = random.choice(
        [["a", "b", "c", "d", "label"], ["0", "1", "2", "3", "y"], list("abcde")]
    )
    rows = [header, *([str(v) for v in row] for row in np.column_stack([inputs, labels]))]
    for _ in range(random.choice([0, 0, 1, 1, 3])):
        row = random.choice(rows) if random.random() < 0.8 else rows[0]
        change = random.choice(["cell", "cell", "cell", "drop", "add", "row"])
        if change == "cell" and row:
            row[random.randrange(len(row))] = random.choice(CELLS)
        elif change == "drop" and row:
            row.pop()
        elif change == "add":
            row.append("1")
        elif change == "row":
            rows.insert(random.randrange(len(rows)), [])
    text = random.choice(["\n", "\n", "\r\n", "\r"]).join(
        random.choice([",", ",", ",", ",", ";", "\t"]).join(row) if i == -1 else ",".join(row)
        for i, row in enumerate(rows)
    )
    content = text.encode(random.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"]))
    if random.random() < 0.25:
        content = damage(content, random)
    return _write(folder, random, random.choice([".csv", ".CSV"]), content)


def mixed(random: Random, folder: Path) -> Path:
    """A table of words, dates, gaps and numbers in a spelling of its own, then damaged."""
    _, labels = _examples(random)
    suffix = random.choice([".csv", ".tsv", ".csv.gz", ".tsv.gz", ".feather"])
    mark, decimal = random.choice([(",", "."), (";", ","), ("\t", "."), ("|", ",")])
    gap = random.choice(["", "?", "NA", "-"])
    makers: list[Callable[[int], object]] = [
        lambda row: row,
        lambda row: random.choice(["red", "grün", "x y", None]),
        lambda row: f"{1 + row % 28:02}.{1 + row % 12:02}.20{row % 60:02}",
        lambda row: random.choice([1.5, 2.25e9, None, -1e-9]),
        lambda row: random.choice([True, False]),
        lambda row: f"{random.randrange(10**7):,}",
        lambda row: "a long text of some words " * random.choice([1, 9]),
        lambda row: random.choice(CELLS),
    ]
    chosen = random.sample(makers, random.choice([1, 3, 5]))
    columns = {f"c{i}": [make(row) for row in range(len(labels))] for i, make in enumerate(chosen)}
    buffer = io.BytesIO()
    if suffix == ".feather":
        texts = {name: list(map(str, values)) for name, values in columns.items()}
        feather.write_feather(
            pa.table({**texts, "label": labels}),
            buffer,
            compression=random.choice(["uncompressed", "lz4", "zstd"]),
        )
        return _write(folder, random, suffix, damage(buffer.getvalue(), random))
    rows = [mark.join([*columns, "label"])]
    for row, label in enumerate(labels):
        cells = [_cell(values[row], mark, decimal, gap) for values in columns.values()]
        rows.append(mark.join([*cells, str(label)]))
    content = "\n".join(rows).encode(random.choice(["utf-8", "utf-8-sig", "utf-16"]))
    content = damage(content, random) if random.random() < 0.3 else content
    packed = gzip.compress(content) if suffix.endswith(".gz") else content
    return _write(
        folder, random, suffix, damage(packed, random) if random.random() < 0.3 else packed
    )


def _cell(value: object, mark: str, decimal: str, gap: str) -> str:
    if value is None:
        return gap
    text = str(value).replace(".", decimal) if isinstance(value, float) else str(value)
    return '"' + text.replace('"', '""') + '"' if mark in text or '"' in text else text


def parquet_file(random: Random, folder: Path) -> Path:
    """A Parquet file with columns of odd types, then damaged."""
    inputs, labels = _examples(random)
    columns = {f"f{i}": inputs[:, i] for i in range(inputs.shape[1])}
    n = len(labels)
    odd = random.choice(
        [[None] * n, ["x"] * n, [[1.0]] * n, [{"a": 1}] * n, [b"\xff"] * n, [True] * n,
         [np.inf] * n, [2**60] * n, [""] * n, [None, *range(n - 1)], np.arange(n).astype("M8[s]"),
         pa.array(["a", "b"] * n)[:n].dictionary_encode(), ["y" * 10_000] * n]
    )  # fmt: skip
    if random.random() < 0.4:
        columns[random.choice(["f0", "odd", "__index_level_0__"])] = odd
    columns["label"] = odd if random.random() < 0.2 else labels
    buffer = io.BytesIO()
    parquet.write_table(
        pa.table(columns),
        buffer,
        compression=random.choice(["snappy", "none", "gzip", "zstd"]),
        row_group_size=random.choice([7, 1000]),
    )
    return _write(folder, random, ".parquet", damage(buffer.getvalue(), random))


def _examples(random: Random) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(random.randrange(2**32))
    num = random.choice([4, 20, 20, 60, 300])
    labels = random.choice(
        [np.arange(num) % 3, np.arange(num) % 3, np.arange(num) * 1.5, np.arange(num) % 2 * 7.0,
         np.array(["a", "b"])[np.arange(num) % 2], np.zeros(num), np.arange(num) % 2 == 0]
    )  # fmt: skip
    return rng.normal(size=(num, 4)), labels


def _write(folder: Path, random: Random, suffix: str, content: bytes) -> Path:
    path = folder / (random.choice(NAMES if random.random() < 0.1 else NAMES[:1]) + suffix)
    path.write_bytes(content)
    return path


CELL = st.one_of(
    st.sampled_from(CELLS), st.floats().map(str), st.integers(-3, 3).map(str), st.text(max_size=5)
)
TEXT_TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=12)
)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=12)
ARRAYS = st.one_of(arrays.scalar_dtypes(), arrays.array_dtypes(max_size=2)).flatmap(
    lambda dtype: SHAPES.flatmap(lambda shape: arrays.arrays(dtype, shape, fill=st.nothing()))
)


def generated_data() -> st.SearchStrategy[Callable[[Path], Path]]:
    """Returns a strategy of functions that write data into a folder and return their path."""
    return st.one_of(
        TEXT_TABLES.map(lambda rows: lambda folder: _write_text(folder, rows)),
        st.tuples(st.binary(), st.sampled_from([".npz", ".csv", ".parquet", ".xyz"])).map(
            lambda pair: lambda folder: _write_bytes(folder, *pair)
        ),
        st.tuples(ARRAYS, ARRAYS).map(lambda pair: lambda folder: _write_arrays(folder, *pair)),
    )


def _write_text(folder: Path, rows: list[list[str]]) -> Path:
    text = "\n".join(",".join(row) for row in rows)
    return _write_bytes(folder, text.encode("utf-8", "surrogatepass"), ".csv")


def _write_bytes(folder: Path, content: bytes, suffix: str) -> Path:
    path = folder / f"generated{suffix}"
    path.write_bytes(content)
    return path


def _write_arrays(folder: Path, x: np.ndarray, y: np.ndarray) -> Path:
    path = folder / "generated.npz"
    np.savez(path, x=x, y=y)
    return path

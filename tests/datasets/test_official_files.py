"""Official files: where they are looked for, verified, and what is said where there are none."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.datasets import catalogue, load
from pipeline.datasets.official_files import OfficialFile, OfficialFiles, keras_cache
from pipeline.errors import DatasetError
from pipeline.records import DatasetSpec

CONTENT = b"official"
FILE = OfficialFile(
    "a.bin", hashlib.md5(CONTENT).hexdigest(), "folder", url="https://example.org/a.bin"
)
WITH_FILES = sorted(name for name, source in catalogue().items() if source.layouts)


def files(data_dir, fetch=None, layouts=((FILE,),)):
    return OfficialFiles("a", "https://example.org", layouts, data_dir, fetch or refuse)


def refuse(file):
    raise OSError("Network is unreachable")


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("place", ["a.bin", "folder/a.bin"])
def test_the_data_directory_comes_first_flat_or_in_its_folder(tmp_path, place):
    put(keras_cache() / "a.bin")
    path = put(tmp_path / place)
    assert files(tmp_path).paths() == {"a.bin": path}


def test_the_keras_cache_comes_second(tmp_path):
    path = put(keras_cache() / "a.bin")
    assert files(tmp_path).paths() == {"a.bin": path}
    assert files(None).paths() == {"a.bin": path}


def test_the_download_comes_last(tmp_path):
    asked = []

    def fetch(file):
        asked.append(file.name)
        return put(tmp_path / "elsewhere" / file.name)

    assert files(tmp_path, fetch).paths()["a.bin"].read_bytes() == CONTENT
    assert asked == ["a.bin"]


def test_no_file_and_no_network_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(DatasetError) as caught:
        files(tmp_path).paths()
    message = str(caught.value)
    assert "Dataset 'a' is not on this machine: a.bin was not found in" in message
    assert "the download failed (Network is unreachable)" in message
    assert "Get it from https://example.org (direct: https://example.org/a.bin)" in message
    assert f"put it, unchanged, into {tmp_path}" in message
    assert "--data-dir or PIPELINE_DATA_DIR" in message


def test_a_data_directory_that_is_not_there_says_so(tmp_path):
    with pytest.raises(DatasetError, match=r"The data directory .*nowhere does not exist"):
        files(tmp_path / "nowhere").paths()


def test_a_wrong_checksum_names_file_expected_and_found(tmp_path):
    path = put(tmp_path / "a.bin")
    path.write_bytes(b"damaged")
    one = files(tmp_path)
    with pytest.raises(DatasetError) as caught:
        one.verified(one.paths(), "a.bin")
    message = str(caught.value)
    assert message.startswith(f"{path} is not the official file of 'a': expected md5 ")
    assert FILE.checksum in message
    assert hashlib.md5(b"damaged").hexdigest() in message


def test_an_incomplete_folder_names_what_is_missing(tmp_path):
    batches = tuple(OfficialFile(name, "0" * 32, "batches", True) for name in ("one", "two"))
    put(tmp_path / "batches" / "one")
    with pytest.raises(DatasetError, match="Of its files there, two is missing"):
        files(tmp_path, layouts=(batches, (FILE,))).paths()


@pytest.mark.parametrize("name", WITH_FILES)
def test_every_dataset_offline_names_its_files_and_page(name, tmp_path, no_network):
    with pytest.raises(DatasetError) as caught:
        load(DatasetSpec(name, tmp_path), fetch=no_network)
    source = catalogue()[name]
    downloaded = next(one for one in source.layouts if all(file.url for file in one))
    for part in (f"Dataset '{name}'", str(tmp_path), source.page, *(f.name for f in downloaded)):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", WITH_FILES)
def test_every_checksum_is_an_md5_or_sha256(name):
    for layout in catalogue()[name].layouts:
        for file in layout:
            assert len(file.checksum) in (32, 64)
            assert int(file.checksum, 16) >= 0


def test_fashion_and_plain_mnist_are_not_confused_by_equal_file_names(tmp_path, no_network):
    for file in catalogue()["fashion_mnist"].layouts[0]:
        put(tmp_path / Path(file.name))
    with pytest.raises(DatasetError, match="'mnist' is not on this machine"):
        load(DatasetSpec("mnist", tmp_path), fetch=no_network)


KERAS_FETCH = """
import sys
from pipeline.datasets.official_files import OfficialFile, keras_cache, keras_fetch
file = OfficialFile("a.bin", sys.argv[1], url=sys.argv[2], cached_as="folder/a_archive")
found = keras_fetch(file)
assert found == keras_cache() / "folder" / "a_archive", found
try:
    keras_fetch(OfficialFile("b.bin", sys.argv[1], url="http://127.0.0.1:9/b.bin"))
except Exception as error:
    sys.exit(0 if "127.0.0.1:9" in str(error) else repr(error))
sys.exit("the download of nothing succeeded")
"""


@pytest.mark.slow
def test_a_download_through_keras_lands_in_its_cache_and_prints_nothing_to_stdout(tmp_path):
    origin = put(tmp_path / "origin" / "a.bin")
    arguments = [hashlib.sha256(CONTENT).hexdigest(), origin.as_uri()]
    (tmp_path / "keras").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KERAS_FETCH, *arguments],
        env={**os.environ, "KERAS_HOME": str(tmp_path / "keras")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""

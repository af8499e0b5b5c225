"""Models that were not made here: nothing in them is executed, and each is refused in one line."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.tracking.models.load import fetched

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2, "name": "d"}}
TRACE = "executed"


class Payload:
    """Pickled code: it leaves a file where it is loaded."""

    def __reduce__(self):
        return (Path(TRACE).touch, ())


def layer(kind, module="keras.layers", registered=None, **config):
    return {
        "module": module, "class_name": kind, "config": config, "registered_name": registered,
    }  # fmt: skip


def archive(*layers, extra=(), config=None, compression=zipfile.ZIP_STORED):
    """Returns the bytes of a ``.keras`` file with these layers."""
    model = layer("Sequential", "keras", name="s", layers=[*layers, DENSE])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as written:
        written.writestr("metadata.json", "{}")
        written.writestr("config.json", json.dumps(model) if config is None else config)
        written.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
        for name, content in extra:
            written.writestr(name, content)
    return buffer.getvalue()


CODE = {"class_name": "__lambda__", "config": {"value": ["4wAAAAA=", None, None]}}
ATTACKS = {
    "a lambda": (archive(layer("Lambda", function=CODE)), "'Lambda' in it is code of its own"),
    "a lambda inside": (archive(layer("Dense", activation=CODE)), "'__lambda__' in it is code"),
    "a class of theirs": (
        archive(layer("Mine", None, "pack>Mine")), "'pack>Mine' in it is code of its own",
    ),
    "a function": (archive(layer("function", "os", "system")), "'function' in it is code"),
    "a module": (archive(layer("system", "os")), "'system' in it is code of its own"),
    "a module like Keras's": (archive(layer("Dense", "keras_nlp.x")), "'Dense' in it is code"),
    "another saved model": (archive(layer("TFSMLayer", filepath="x")), "'TFSMLayer' in it is"),
    "torch's pickle": (archive(layer("TorchModuleWrapper")), "'TorchModuleWrapper' in it is"),
    "a file to read": (
        archive(layer("StringLookup", vocabulary="/etc/passwd")), "'StringLookup' in it is",
    ),
    "a file to read among words": (
        archive(layer("StringLookup", vocabulary=["a", {"class_name": "x"}])), "in it is code",
    ),
    "a file to read in an asset": (archive(layer("StringLookup")), "'StringLookup' in it is"),
    "a file of whole numbers": (
        archive(layer("IntegerLookup", vocabulary="/etc/passwd")), "'IntegerLookup' in it is",
    ),
    "a member that climbs": (archive(extra=[("../executed", "")]), "it holds '../executed'"),
    "an absolute member": (archive(extra=[("/tmp/executed", "")]), "it holds '/tmp/executed'"),
    "assets": (archive(extra=[("assets/x", "")]), "it holds 'assets/x'"),
    "pickled weights": (
        archive(extra=[("model.weights.npz", pickle.dumps(Payload()))]),
        "it holds 'model.weights.npz'",
    ),
    "a bomb": (
        archive(config=b" " * 2**25, compression=zipfile.ZIP_DEFLATED),
        "its config.json unpacks to 32.0 MiB",
    ),
    "no JSON": (archive(config=b"\xff"), "UnicodeDecodeError"),
    "a deep one": (archive(config=b"[" * 10**6), "RecursionError"),
    "no archive": (pickle.dumps(Payload()), "BadZipFile: File is not a zip file"),
    "an empty file": (b"", "BadZipFile: File is not a zip file"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("in_folder", [False, True])
def test_a_hostile_model_is_refused_and_not_executed(attack, in_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = ATTACKS[attack]
    Path("m.keras").write_bytes(content)
    if in_folder:
        mlflow_folder("m", "flavors:\n  keras:\n    data: data\n").write_bytes(content)
    refused("m" if in_folder else "m.keras", message)
    assert not Path(TRACE).exists()


def mlflow_folder(name, description):
    """Makes a folder as MLflow saves a model; returns where its Keras file belongs."""
    (Path(name) / "data").mkdir(parents=True)
    (Path(name) / "MLmodel").write_text(description)
    return Path(name) / "data" / "model.keras"


def refused(address, message):
    with pytest.raises(InputError) as error, fetched(address):
        pass
    told = str(error.value)
    assert message in told
    assert "\n" not in told
    assert len(told) < 500


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("flavors:\n  keras: {data: ../data}\n", "'../data', which is outside of its folder"),
        ("flavors:\n  keras: {data: /tmp}\n", "'/tmp', which is outside of its folder"),
        ("flavors:\n  keras: {data: linked}\n", "'linked', which is outside of its folder"),
        ('flavors:\n  keras: {data: "a\\0b"}\n', "'a\\x00b', which is outside of its folder"),
        ("flavors:\n  python_function: {loader_module: evil, code: code}\n", "was not saved as"),
        ("flavors:\n  keras: 3\n", "was not saved as a Keras model"),
        ("flavors: 7\n", "was not saved as a Keras model: its flavors are none"),
        ("flavors: !!python/object/apply:pathlib.Path.touch [executed]\n", "cannot be read (Con"),
        ("- 1\n", "MLmodel cannot be read"),
        ("", "MLmodel cannot be read"),
    ],
)
def test_a_hostile_description_is_refused(description, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "model.keras").write_bytes(archive())
    mlflow_folder("m", description)
    (tmp_path / "m" / "code").mkdir()
    (tmp_path / "m" / "code" / "evil.py").write_text(f"open({TRACE!r}, 'w')")
    Path("m/linked").symlink_to(tmp_path / "data")
    refused("m", message)
    assert not Path(TRACE).exists()


@pytest.mark.parametrize(
    ("metadata", "names"),
    [
        ('{class_names: ["\\e[31mcat", "<b>"]}', ("?[31mcat", "<b>")),
        ("{class_names: ab}", ()),
        ("5", ()),
    ],
)
def test_names_of_classes_cannot_drive_a_terminal(metadata, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    description = f"flavors:\n  keras: {{data: data}}\nmetadata: {metadata}\n"
    mlflow_folder("m", description).write_bytes(archive())
    with fetched("m") as files:
        assert files.class_names == names


def test_pickles_beside_a_model_are_left_alone(tmp_path, monkeypatch):
    """``mlflow.keras.load_model`` would load them."""
    monkeypatch.chdir(tmp_path)
    file = mlflow_folder("m", "flavors:\n  keras: {data: data, custom_objects: x}\n")
    file.write_bytes(archive())
    for name in ("custom_objects.cloudpickle", "data/custom_objects.cloudpickle"):
        (tmp_path / "m" / name).write_bytes(pickle.dumps(Payload()))
    with fetched("m") as files:
        assert files.file == Path("m/data/model.keras")
    assert not Path(TRACE).exists()


@pytest.mark.slow
def test_keras_would_refuse_it_too(tmp_path, monkeypatch):
    """Safe mode stands behind the look at the archive."""
    import keras

    from pipeline.tracking.models.load import read_keras_file

    monkeypatch.chdir(tmp_path)
    touch = keras.layers.Lambda(lambda inputs: (Path(TRACE).touch(), inputs)[1], output_shape=(3,))
    keras.Sequential([keras.Input((3,)), touch]).save("m.keras")
    Path(TRACE).unlink(missing_ok=True)
    with pytest.raises(InputError, match="m cannot be read as a Keras model"):
        read_keras_file(Path("m.keras"), "m")
    assert not Path(TRACE).exists()

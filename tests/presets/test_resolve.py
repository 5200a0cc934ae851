"""Loading detectors by name and by every kind of path."""

import shutil

import keras
import numpy as np
import pytest

import keras_vad
from keras_vad.artifacts.layout import DETECTOR_FILE
from keras_vad.errors import VadError


def build(seed):
    keras.utils.set_random_seed(seed)
    return keras_vad.build(
        "adv3dcae", image_size=(8, 12), window_length=4, channels=(2, 3), discriminator_channels=(2,)
    )


@pytest.fixture(autouse=True)
def no_presets(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_VAD_STORES", "")


@pytest.fixture
def zoo(tmp_path):
    """Versions 2 and 10 of a model, the detector files of ``export``; what a server needs besides is not."""
    for number in (2, 10):
        file = tmp_path / "zoo" / "street" / str(number) / DETECTOR_FILE
        file.parent.mkdir(parents=True)
        build(number).save(file)
        (file.parents[1] / "saved_model.pb").touch()
    (tmp_path / "zoo" / "street" / ".11.partial").mkdir()
    return tmp_path / "zoo"


def assert_is(found, seed):
    for weight, expected in zip(found.weights, build(seed).weights, strict=True):
        np.testing.assert_array_equal(weight, expected, err_msg=weight.path)


@pytest.mark.parametrize(
    ("path", "seed"),
    [
        ("zoo/street", 10),  # the newest by number, not by name
        ("zoo/street/2", 2),
        ("zoo/street/10", 10),
        (f"zoo/street/2/{DETECTOR_FILE}", 2),
    ],
)
def test_by_path(zoo, path, seed):
    assert_is(keras_vad.load(zoo.parent / path), seed)
    assert_is(keras_vad.load(str(zoo.parent / path)), seed)


def test_by_name(zoo, monkeypatch):
    assert_is(keras_vad.load("street", zoo=zoo), 10)
    assert_is(keras_vad.load("street/2", zoo=zoo), 2)
    monkeypatch.chdir(zoo.parent)
    assert_is(keras_vad.load("street"), 10)


def test_from_a_run_folder(tmp_path):
    (tmp_path / "run").mkdir()
    build(3).save(tmp_path / "run" / "detector.keras")
    assert_is(keras_vad.load(tmp_path / "run"), 3)


def test_a_name_that_is_not_there(zoo):
    with pytest.raises(VadError) as caught:
        keras_vad.load("avenue", zoo=zoo)
    assert str(caught.value) == (
        f"there is no detector 'avenue': it is no .keras file, run or zoo folder, {zoo} holds street, and no store of "
        "presets is known: set KERAS_VAD_STORES to the address of a zoo, or name one with --store."
    )


def test_an_empty_zoo(tmp_path):
    with pytest.raises(VadError, match=f"the zoo folder {tmp_path} holds no models"):
        keras_vad.load("avenue", zoo=tmp_path)


@pytest.mark.parametrize("name", ["run", "run/detector.h5", ""])
def test_a_folder_or_file_that_is_no_detector(tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "detector.h5").touch()
    with pytest.raises(VadError, match=f"there is no detector '{tmp_path / name}'"):
        keras_vad.load(tmp_path / name, zoo=tmp_path / "zoo")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_file(zoo, share):
    file = zoo / "street" / "10" / DETECTOR_FILE
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(VadError) as caught:
        keras_vad.load(zoo / "street")
    assert str(caught.value).startswith(f"{file} cannot be loaded as a detector (")
    assert str(caught.value).endswith("; it may be damaged: fetch or train it again.")
    assert "\n" not in str(caught.value)


def test_a_file_with_a_changed_byte(zoo):
    file = zoo / "street" / "10" / DETECTOR_FILE
    data = bytearray(file.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 200):
        data[place] ^= 0xFF
    file.write_bytes(data)
    with pytest.raises(VadError, match="cannot be loaded as a detector"):
        keras_vad.load(zoo / "street")


def test_a_keras_file_of_another_program(tmp_path):
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "other.keras")
    with pytest.raises(VadError, match=r"other.keras holds a Functional, but a detector of keras_vad is needed"):
        keras_vad.load(tmp_path / "other.keras")


def test_a_folder_named_like_a_file(tmp_path):
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(VadError, match="there is no detector"):
        keras_vad.load(tmp_path / "folder.keras", zoo=tmp_path)


def test_moved_elsewhere_it_still_loads(zoo, tmp_path):
    moved = shutil.copytree(zoo / "street" / "2", tmp_path / "elsewhere")
    assert_is(keras_vad.load(moved), 2)

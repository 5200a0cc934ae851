"""A detector is a function of its file: what a process has set in Keras for its own models changes nothing."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_vad
from keras_vad.common.settings import check_layout
from keras_vad.errors import VadError
from tests.environment import PATHS, ROOT

TINY = {"image_size": 32, "window_length": 4, "channels": (2, 2), "kernel_size": 3}
VIDEO = np.random.default_rng(0).integers(0, 256, (12, 40, 48, 3), np.uint8)


@pytest.fixture
def saved(tmp_path):
    """A detector's file, and the scores of a video as they were when it was saved."""
    keras.utils.set_random_seed(0)
    detector = keras_vad.build("local_playback", **TINY)
    detector.save(tmp_path / "detector.keras")
    return tmp_path / "detector.keras", detector.score_video(VIDEO).raw


@pytest.fixture(params=["mixed_bfloat16", "channels_first", "float64", "epsilon"])
def changed_process(request):
    """A process that has changed a setting of Keras; it still has it afterwards."""
    config = keras.config
    setters = {
        "mixed_bfloat16": (config.dtype_policy, config.set_dtype_policy, "mixed_bfloat16"),
        "channels_first": (config.image_data_format, config.set_image_data_format, "channels_first"),
        "float64": (config.floatx, config.set_floatx, "float64"),
        "epsilon": (config.epsilon, config.set_epsilon, 0.1),
    }
    getter, setter, value = setters[request.param]
    before = getter()
    setter(value)
    yield
    after = getter()
    setter(before)
    assert getattr(after, "name", after) == value


def test_a_loaded_detector_scores_as_when_it_was_saved(saved, changed_process):
    file, scores = saved
    np.testing.assert_array_equal(keras_vad.load(file).score_video(VIDEO).raw, scores)


def test_a_built_detector_is_the_same_too(saved, changed_process):
    _, scores = saved
    keras.utils.set_random_seed(0)
    built = keras_vad.build("local_playback", **TINY)
    np.testing.assert_array_equal(built.score_video(VIDEO).raw, scores)


def test_a_class_built_directly_with_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(VadError, match="image_data_format is channels_first, but a detector needs channels_last"):
            check_layout()
        with pytest.raises(VadError, match=r"use keras_vad\.build"):
            keras_vad.models.registry.get_method("local_playback")(**TINY)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("how", ["variable", "file"])
def test_another_backend_is_named_before_any_work(tmp_path, how):
    environment = {**os.environ, "PYTHONPATH": PATHS, "KERAS_HOME": str(tmp_path)}
    if how == "variable":
        environment["KERAS_BACKEND"] = "torch"
    else:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": "numpy"}))
        environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, str(ROOT / "tools" / "train.py"), "--model", "adv3dcae", "--dataset", "folder"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: Keras ")
    assert "keras_vad needs" in done.stderr and "TensorFlow" in done.stderr

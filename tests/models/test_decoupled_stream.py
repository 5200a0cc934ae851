"""Streaming gives the scores of the windowed path, and encodes every frame once."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.models.decoupled_stream import DecoupledStream
from keras_vad.testing.inputs import raw_video
from tools import benchmark

TINY = {"image_size": (32, 48), "window_length": 3, "horizon": 2, "channels": (4, 4, 8)}
KINDS = {
    "z_mse": {},
    "cosine": {"score": "cosine"},
    "r_mse": {"score": "r_mse"},
    "p_mse": {"score": "p_mse"},
    "excess": {"pooling": "excess"},
    "step 1": {"step": 1, "score": "p_mse"},
    "code alone": {"previous_levels": 0, "score": "p_mse"},
    "finest level left out": {"previous_levels": 1, "score": "p_mse"},
    "convlstm": {"motion": "convlstm"},
    "autoregressive": {"motion": "autoregressive", "score": "r_mse"},
}


def build(**config):
    keras.utils.set_random_seed(7)
    detector = keras_vad.build("decoupled", **{**TINY, **config})
    last = detector.decoder.get_layer("frame").kernel
    last.assign(100 * last)  # its first images are faint and would hardly count
    detector.adapt([raw_video(20, seed=1)])
    detector.normal_level.assign(0.02)
    detector.calibration_raw.assign(np.linspace(0, 1, len(detector.calibration_raw.numpy())))
    return detector


@pytest.mark.parametrize("kind", KINDS)
def test_streaming_gives_the_windowed_scores(kind):
    detector = build(**KINDS[kind])
    video = raw_video(16, seed=4)
    expected = detector.score_video(video)
    stream = DecoupledStream(detector)
    scores = [stream.push(frame) for frame in video]
    unscored = detector.window.span - 1
    assert scores[:unscored] == [None] * unscored
    known = scores[unscored:]
    assert [score.frame for score in known] == expected.frame_index.tolist()
    np.testing.assert_allclose([score.raw for score in known], expected.raw, rtol=1e-4)
    np.testing.assert_allclose([score.calibrated for score in known], expected.calibrated, rtol=1e-3)
    assert [score.alarm for score in known] == [score.calibrated > 0.5 for score in known]


def test_a_stream_starts_anew():
    detector = build()
    stream = DecoupledStream(detector)
    first, second = raw_video(12, seed=4), raw_video(12, seed=5)
    for frame in first:
        stream.push(frame)
    stream.reset()
    scores = [score.raw for score in map(stream.push, second) if score]
    np.testing.assert_allclose(scores, detector.score_video(second).raw, rtol=1e-4)


@pytest.mark.parametrize("score", ["z_mse", "p_mse"])
def test_every_frame_is_encoded_once(score, monkeypatch):
    detector = build(score=score)
    encoded = []
    call = detector.encoder.call

    def counted(inputs, *args, **kwargs):
        encoded.append(len(inputs))
        return call(inputs, *args, **kwargs)

    monkeypatch.setattr(detector.encoder, "call", counted)
    tf.config.run_functions_eagerly(True)
    try:
        stream = DecoupledStream(detector)
        for frame in raw_video(12):
            stream.push(frame)
    finally:
        tf.config.run_functions_eagerly(False)
    assert encoded == [1] * 12


def test_bad_frames_and_other_methods_are_refused():
    stream = DecoupledStream(build())
    with pytest.raises(VadError, match=r"frame 0 is float32 \(40, 56, 3\), but must be uint8"):
        stream.push(np.zeros((40, 56, 3), "float32"))
    with pytest.raises(VadError, match="needs a decoupled detector, but got Adv3DCAE; use score_video"):
        DecoupledStream(keras_vad.build("adv3dcae", image_size=32, channels=(2, 2), discriminator_channels=(2,)))


def test_the_benchmark_times_streaming_beside_windows(capsys):
    settings = [f"model.{name}={json.dumps(value)}" for name, value in TINY.items()]
    options = [word for setting in settings for word in ("--set", setting)]
    assert benchmark.main(["streaming", "--recipe", "decoupled_ucsdped2", "--frames", "12", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    rates = {name: result[f"{name}_frames_per_second"] for name in ("windowed", "chunked", "streaming")}
    assert min(rates.values()) > 0
    assert result["streaming_over_windowed"] == pytest.approx(rates["streaming"] / rates["windowed"], abs=0.06)

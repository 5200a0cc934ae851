"""The load test counts right: what it says of a short one adds up."""

import json

import pytest
from tiny_detector import WINDOW

from keras_vad.errors import VadError
from tools.load_test import Load, load_test, main


def test_streams_lose_no_frame_and_figures_add_up(zoo):
    result = load_test(zoo, "tiny", Load(streams=3, seconds=2.0, chunk_length=16), in_process_seconds=0.5)
    assert result["model"] == "tiny/10" and result["streams"] == 3
    assert result["lost_frames"] == 0 and result["frames"] > 3 * WINDOW.span
    assert result["requests"] > 3 and 0 < result["request_seconds"]["p50"] <= result["request_seconds"]["p99"]
    assert result["ratio"] == pytest.approx(
        result["served_frames_per_second"] / result["in_process_frames_per_second"], abs=2e-3
    )
    assert 50 < result["server_mib"]["at_the_end"] <= result["server_mib"]["highest"]


def test_cameras_at_a_rate_are_not_asked_faster(zoo, capsys):
    options = ["--zoo", str(zoo), "--streams", "2", "--seconds", "3", "--fps", "20", "--chunk", "16"]
    options += ["--in-process-seconds", "0.5"]
    assert main(["--model", "other", *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert 2 * 20 * 2 < result["frames"] <= 2 * (20 * 3 + 2) and result["lost_frames"] == 0


def test_a_model_that_is_not_there_is_named(zoo):
    with pytest.raises(VadError, match="nope holds no exported model"):
        load_test(zoo, "nope", Load(seconds=1.0))

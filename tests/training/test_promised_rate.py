"""The boundary for a promised rate: in the detector, its export, a run, and from the command line."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.data import make_shapes, open_dataset
from keras_vad.data.video import ArrayFrames, Video
from keras_vad.errors import VadError
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.scoring.alarms import alarm_runs
from tests.command import verb

main = verb("calibrate")
train = verb("train")


@pytest.fixture(scope="module")
def detector() -> VideoAnomalyDetector:
    keras.utils.set_random_seed(0)
    return keras_vad.build("conv_ae", image_size=32, window_length=4, channels=(2, 2, 2))


def noise(seed: int, fps: float | None = 10.0) -> Video:
    frames = np.random.default_rng(seed).integers(0, 256, (200, 32, 32, 3), np.uint8)
    return Video(f"noise{seed}", ArrayFrames(frames), fps)


def test_the_promised_rate_is_that_of_the_footage(detector: VideoAnomalyDetector) -> None:
    videos = [noise(seed) for seed in range(3)]  # a minute in all
    report = detector.calibrate(videos, false_alarms_per_hour=180.0)  # three alarms
    scores = [detector.score_video(video) for video in videos]
    assert sum(len(alarm_runs(one.alarm)) for one in scores) <= 3
    assert any(one.alarm.any() for one in scores)
    np.testing.assert_array_equal(
        np.concatenate([one.alarm for one in scores]),
        np.concatenate([one.raw for one in scores]) > report["boundary"],
    )
    assert report["normal_hours"] == pytest.approx(1 / 60)
    assert report["alarm_quantile"] == pytest.approx(
        np.mean(np.concatenate([one.raw for one in scores]) <= report["boundary"])
    )
    check = report["rate_check"]
    assert check["promised_per_hour"] == 180.0 and check["hours"] == pytest.approx(1 / 60)
    assert check["low_per_hour"] <= check["seen_per_hour"] <= check["high_per_hour"]


def test_a_rate_too_low_for_the_footage_puts_the_boundary_at_its_highest_score(detector: VideoAnomalyDetector) -> None:
    report = detector.calibrate([noise(1)], false_alarms_per_hour=0.1)
    scores = detector.score_video(noise(1))
    assert report["boundary"] == scores.raw.max() and report["alarm_quantile"] == 1.0
    assert report["rate_check"] is None
    assert not scores.alarm.any() and scores.calibrated.max() == 0.5


def test_a_rate_needs_a_frame_rate(detector: VideoAnomalyDetector) -> None:
    with pytest.raises(VadError, match="the frame rate of the normal footage is unknown"):
        detector.calibrate([noise(1), noise(2, fps=None)], false_alarms_per_hour=60)
    assert detector.calibrate([noise(1), noise(2, fps=None)], false_alarms_per_hour=60, fps=5)["normal_hours"] == (
        pytest.approx(60 / 3600)
    )
    assert detector.calibrate([noise(2, fps=None)])["normal_hours"] is None
    with pytest.raises(VadError, match="calibration got no videos"):
        detector.calibrate([])


@pytest.mark.usefixtures("determinism_off")
def test_a_run_and_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained for a rate, the run tells how it was kept; calibrated anew, the exported graph has the new boundary."""
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    make_shapes(tmp_path / "shapes", train_frames=160, test_frames=40, seed=1, frames_per_video=40)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "model: {image_size: 32, window_length: 4, channels: [2, 2]}\n"
        "data: {validation_share: 0.5}\n"
        "training: {epochs: 1, steps_per_epoch: 1, batch_size: 2, validation_steps: 0}\n"
    )
    data = ["--dataset", "shapes", "--data-dir", str(tmp_path / "shapes")]
    run = tmp_path / "run"
    arguments = ["--model", "local_playback", *data, "--recipe", str(recipe), "--run-dir", str(run), "--no-export"]
    with pytest.raises(VadError, match=r"training\.false_alarms_per_hour is -1\.0, but must be above 0"):
        train([*arguments, "--false-alarms-per-hour", "-1"])
    assert train([*arguments, "--false-alarms-per-hour", "900", "--fps", "10"]) == 0
    capsys.readouterr()
    report = json.loads((run / "report.json").read_text())
    assert report["calibration"]["false_alarms_per_hour"] == 900
    assert report["calibration"]["normal_videos"] == 2
    assert "promised 900 false alarms an hour; videos left out in turn raised" in (run / "train.log").read_text()

    # Of the run's own data the two held-out videos are taken, so the boundary is the same again.
    zoo = ["--zoo", str(tmp_path / "zoo"), "--name", "camera"]
    again = ["--model", str(run), *data, "--fps", "10", *zoo, "--json", str(tmp_path / "report.json")]
    assert main([*again, "--false-alarms-per-hour", "900"]) == 0
    printed = capsys.readouterr().out
    assert "exported: " in printed and "promised 900 false alarms an hour" in printed
    assert json.loads((tmp_path / "report.json").read_text()) == report["calibration"]
    card = json.loads((tmp_path / "zoo" / "camera" / "model_card.json").read_text())
    assert card["calibration"] == {**report["calibration"], "alarm_above": 0.5}
    assert card["training"]["dataset"] == "shapes"
    with pytest.raises(VadError, match=r"report\.json exists"):
        main([*again, "--false-alarms-per-hour", "900"])

    assert main(["--model", "camera", *data, *zoo, "--alarm-quantile", "0.5"]) == 0
    assert "50.00 % of 160 normal frames of 4 videos" in capsys.readouterr().out.replace("\n", " ")
    newest = keras_vad.load(tmp_path / "zoo" / "camera")
    frames = np.stack(list(open_dataset("shapes", tmp_path / "shapes").train_videos()[0].frames))
    served = tf.saved_model.load(str(tmp_path / "zoo" / "camera" / "2")).signatures["serving_default"]
    np.testing.assert_allclose(
        served(frames=tf.constant(frames[None]))["scores"][0], newest.score_video(frames).calibrated, atol=1e-5
    )
    boundary = newest.calibrate(
        [video.frames for video in open_dataset("shapes", tmp_path / "shapes").train_videos()], alarm_quantile=0.5
    )["boundary"]
    raw = served(frames=tf.constant(frames[None]))["raw_scores"][0].numpy()
    np.testing.assert_array_equal(served(frames=tf.constant(frames[None]))["scores"][0].numpy() > 0.5, raw > boundary)

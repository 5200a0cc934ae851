from pathlib import Path

import av
import numpy as np
import pytest

from keras_vad.data.video import ArrayFrames, Video
from keras_vad.errors import VadError
from keras_vad.report.overlay import STRIP_HEIGHT, write_overlay
from keras_vad.scoring.series import VideoScores

N, HEIGHT, WIDTH = 200, 51, 90
SHOWN = (204, 360)  # four times as large, which is at least 320 wide; even
HOT = np.s_[30:90, 40:110]  # of the enlarged frame, a little inside the hot region


@pytest.fixture
def video() -> Video:
    """Gray 120 throughout, of odd height."""
    return Video("clip", ArrayFrames(np.full((N, HEIGHT, WIDTH), 120, np.uint8)), fps=10.0)


@pytest.fixture
def scores() -> VideoScores:
    """One event around frame 100. The map is hot at one place in it, and once without an alarm, at frame 10."""
    frame = np.arange(4, N)
    level = (0.2 + 0.7 * np.exp(-(((frame - 100) / 10) ** 2))).astype(np.float32)
    maps = np.zeros((len(frame), 12, 18), np.float32)
    maps[(level > 0.5) | (frame == 10), 1:6, 1:6] = 1.0
    return VideoScores(frame, level, level, maps=maps)


def decode(path: Path) -> tuple[np.ndarray, "av.VideoStream"]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]).astype(
            np.int16
        ), stream


def is_red(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return (red - green > 100) & (np.abs(green - blue) < 50)


def test_map_boxes_and_strip_are_where_and_when_they_should(video: Video, scores: VideoScores, tmp_path: Path) -> None:
    path = tmp_path / "new" / "overlay.mp4"
    assert write_overlay(path, video, scores) == N
    assert [entry.name for entry in path.parent.iterdir()] == ["overlay.mp4"]
    frames, stream = decode(path)
    assert frames.shape == (N, SHOWN[0] + STRIP_HEIGHT, SHOWN[1], 3)
    assert stream.codec_context.name == "h264"
    assert stream.average_rate == 10
    pictures, strips = frames[:, : SHOWN[0]], frames[:, SHOWN[0] :]

    # Coloured in the hot region while it is hot, gray otherwise and elsewhere.
    colour = pictures.max(axis=-1) - pictures.min(axis=-1)
    assert colour[100][HOT].min() > 60
    assert colour[10][HOT].min() > 60
    assert colour[50][HOT].max() < 12
    for number in (2, 50, 100, 150):
        assert np.abs(pictures[number, 130:, 180:] - 120).max() < 8

    # A box around it in the event only: it has red edges, and their inside has none.
    red = is_red(pictures)
    assert red[[10, 50, 150, 199]].sum() == 0
    rows, columns = np.nonzero(red[100])
    # The map's places 1 to 5 of 12 x 18; blurred by the enlargement by about half a place, 9 pixels.
    np.testing.assert_allclose([rows.min(), rows.max(), columns.min(), columns.max()], [17, 102, 20, 120], atol=12)
    assert red[100][HOT].sum() == 0

    # The cursor is the one white column of the strip; it moves with the frame.
    for number in (50, 100, 199):
        white = (strips[number][20:].min(axis=-1) > 170).mean(axis=0)
        assert white.argmax() == pytest.approx(number / 199 * (SHOWN[1] - 1), abs=1.5)
        assert white.max() > 0.8
    # The curve is high at the event and low elsewhere; the bar of the event is above it only.
    curve = (strips[199].mean(axis=-1) > 90) & (strips[199][..., 2] > strips[199][..., 0])
    at = lambda number: round(number / 199 * (SHOWN[1] - 1))  # noqa: E731
    assert np.nonzero(curve[28:, at(100)])[0].min() < 14
    assert np.nonzero(curve[28:, at(160)])[0].min() > 40
    bar = strips[199][21:23].mean(axis=0)
    assert bar[at(100)].mean() > 150
    assert bar[at(30)].mean() < 60
    # The number is red during an alarm.
    assert (strips[100][4:18, :, 0] - strips[100][4:18, :, 1] > 60).sum() > 50
    assert (strips[150][4:18, :, 0] - strips[150][4:18, :, 1] > 60).sum() == 0


def test_unknown_rate_and_large_frames(scores: VideoScores, tmp_path: Path) -> None:
    large = Video("large", ArrayFrames(np.zeros((N, 60, 400), np.uint8)))
    write_overlay(tmp_path / "large.mp4", large, scores)
    frames, stream = decode(tmp_path / "large.mp4")
    assert frames.shape[1:3] == (60 + STRIP_HEIGHT, 400)
    assert stream.average_rate == 25


def test_without_h264_it_is_mpeg4(
    video: Video, scores: VideoScores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx264"})
    write_overlay(tmp_path / "overlay.mp4", video, scores)
    frames, stream = decode(tmp_path / "overlay.mp4")
    assert stream.codec_context.name == "mpeg4"
    assert is_red(frames[100]).sum() > 100


def test_bad_input_is_one_sentence_and_leaves_nothing(video: Video, scores: VideoScores, tmp_path: Path) -> None:
    there = tmp_path / "there.mp4"
    there.write_text("mine")
    without = VideoScores(scores.frame_index, scores.raw, scores.calibrated)
    longer = VideoScores(scores.frame_index + 9, scores.raw, scores.calibrated, maps=scores.maps)
    for path, which, message in (
        (tmp_path / "new.avi", scores, r"new\.avi is no name of an MP4 file"),
        (there, scores, r"there\.mp4 exists; choose another file or overwrite it"),
        (tmp_path / "new.mp4", without, "the scores have no maps; score the video with map_size"),
        (tmp_path / "new.mp4", longer, "not those of clip, which has 200 frames but a score of frame 208"),
    ):
        with pytest.raises(VadError, match=message):
            write_overlay(path, video, which)
    assert there.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [there]

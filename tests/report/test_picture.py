from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vad.data.video import ArrayFrames, Labels, Video
from keras_vad.errors import VadError
from keras_vad.report import draw_scored_video
from keras_vad.scoring.series import VideoScores
from tests.command import verb

main = verb("picture")

N, HEIGHT, WIDTH = 60, 40, 50


@pytest.fixture
def video() -> Video:
    """Gray frames; a frame's brightness is its number."""
    frames = np.broadcast_to(np.arange(N, dtype=np.uint8)[:, None, None, None], (N, HEIGHT, WIDTH, 3))
    return Video("clip", ArrayFrames(np.array(frames)))


@pytest.fixture
def scores() -> VideoScores:
    """Peaks at the frames 14 and 44; the maps are hot in the upper left quarter there."""
    level = np.full(N - 4, 0.2, np.float32)
    level[[10, 11, 40]] = 0.9, 0.8, 0.7
    maps = np.zeros((N - 4, 20, 25), np.float32)
    maps[[10, 11, 40], :10, :12] = 1.0
    return VideoScores(np.arange(4, N), level * 3, level, maps=maps)


def is_red(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(int), -1, 0)
    return (red > 150) & (green < 60) & (blue < 60)


def test_shows_peaks_that_lie_apart_with_their_maps(video: Video, scores: VideoScores, tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    assert draw_scored_video(video, scores, path, frames=2) == [14, 44]
    assert [entry.name for entry in path.parent.iterdir()] == ["picture.png"]
    image = np.asarray(Image.open(path).convert("RGB"))
    strip, width = image[: len(image) // 2], image.shape[1]
    for half in (strip[:, : width // 2], strip[:, width // 2 :]):
        rows, columns = np.nonzero(is_red(half))
        # The hot quarter: about a quarter of the frame, up and left in it. The border of a frame with an alarm is red
        # too, but thin.
        assert len(rows) > 10_000
        assert np.median(rows) < len(half) * 0.4
        assert np.median(columns) < half.shape[1] * 0.45


def test_shades_the_ground_truth(video: Video, scores: VideoScores, tmp_path: Path) -> None:
    def shaded(labels: Labels | None) -> int:
        draw_scored_video(video, scores, tmp_path / "picture.png", labels=labels)
        red, green, blue = np.moveaxis(
            np.asarray(Image.open(tmp_path / "picture.png").convert("RGB")).astype(int), -1, 0
        )
        return int(((red > 240) & (green > 200) & (green < 235) & (blue < 225)).sum())

    none, half = shaded(None), shaded(Labels(np.arange(N) < N // 2, lambda n: np.eye(HEIGHT, WIDTH) > 0))
    whole = shaded(Labels(np.ones(N, bool)))
    assert none < 0.05 * half
    assert 0.4 < half / whole < 0.55


def test_bad_input_is_one_sentence(video: Video, scores: VideoScores, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    without_maps = VideoScores(scores.frame_index, scores.raw, scores.calibrated)
    longer = VideoScores(scores.frame_index + 10, scores.raw, scores.calibrated, maps=scores.maps)
    for arguments, options, message in (
        ((video, without_maps, path), {}, "no maps; score the video with maps=True"),
        ((video, longer, path), {}, "not those of clip, which has 60 frames"),
        ((video, scores, path), {"labels": Labels(np.ones(9, bool))}, "clip has 60 frames, but its labels 9"),
        ((video, scores, path), {"frames": 0}, "is 0, but must be at least 1"),
        ((video, scores, tmp_path / "picture.xyz"), {}, r"cannot be drawn .* name a \.png"),
    ):
        with pytest.raises(VadError, match=message):
            draw_scored_video(*arguments, **options)
    assert list(tmp_path.iterdir()) == []


def test_tool_refuses_what_does_not_fit(tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    there.write_text("")
    with pytest.raises(VadError, match="exists; pass --overwrite"):
        main(["clip", "--model", "m", "--output", str(there)])
    with pytest.raises(VadError, match="belong together"):
        main(["clip", "--model", "m", "--output", str(tmp_path / "new.png"), "--dataset", "shapes"])

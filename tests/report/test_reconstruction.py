from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.reconstruction import draw_restored

HEIGHT, WIDTH = 30, 40


def panels(path: Path) -> list[np.ndarray]:
    """The three panels of a picture, uint8 RGB, without the strip of titles."""
    image = np.asarray(Image.open(path).convert("RGB"))
    height, width = 300, 400  # 4 inches wide at 100 dots an inch, 3:4 as the frame
    assert abs(image.shape[0] - (height + 30)) <= 1
    assert abs(image.shape[1] - (3 * width + 20)) <= 1
    return [image[-height:, left : left + width] for left in (0, width + 10, 2 * (width + 10))]


def test_panels_show_frame_restored_frame_and_error(tmp_path: Path) -> None:
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, : WIDTH // 2] = (90, 150, 30)  # left half green
    frame[:, WIDTH // 2 :] = (60, 60, 60)
    restored = np.full((HEIGHT // 2, WIDTH // 2), 0.5)  # gray, and smaller than the frame
    restored[: HEIGHT // 4] = 0.25
    error = np.zeros((10, 20))
    error[7:, 15:] = 4.0  # lower right corner
    path = tmp_path / "new" / "restored.png"
    draw_restored(frame, restored, error, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["restored.png"]
    shown, again, overlay = panels(path)
    np.testing.assert_array_equal(shown[150, 100], (90, 150, 30))
    np.testing.assert_array_equal(shown[150, 300], (60, 60, 60))
    np.testing.assert_allclose(again[75, 200], 64, atol=1)
    np.testing.assert_allclose(again[225, 200], 128, atol=1)
    # Where the error is small the overlay is the frame in gray: the mean of its colours.
    np.testing.assert_allclose(overlay[100, 100], 90, atol=1)
    np.testing.assert_allclose(overlay[100, 300], 60, atol=1)
    red, green, blue = overlay[270, 370].astype(int)
    assert red > 200
    assert green < 40
    assert blue < 40


def test_floats_and_bytes_and_gray_shapes_draw_the_same(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    error = np.random.default_rng(1).random((HEIGHT, WIDTH))
    images = []
    for number, same in enumerate((frame, frame[..., None], np.stack([frame] * 3, -1), frame / 255.0)):
        path = tmp_path / f"{number}.png"
        draw_restored(same, same, error, path)
        images.append(np.asarray(Image.open(path).convert("RGB")))
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])
    shown, again, overlay = panels(tmp_path / "0.png")
    np.testing.assert_array_equal(shown[5::10, 5::10, 0], frame)  # ten pixels a pixel
    np.testing.assert_array_equal(shown, again)
    assert (shown != overlay).any()


def test_an_error_that_is_the_same_everywhere_hides_nothing(tmp_path: Path) -> None:
    frame = np.full((HEIGHT, WIDTH), 100, np.uint8)
    draw_restored(frame, frame, np.ones((HEIGHT, WIDTH)), tmp_path / "flat.png")
    for panel in panels(tmp_path / "flat.png"):
        np.testing.assert_allclose(panel[20:-20, 20:-20], 100, atol=1)


def test_replaces_a_picture_only_when_told_to(tmp_path: Path) -> None:
    frame, path = np.zeros((HEIGHT, WIDTH)), tmp_path / "restored.png"
    draw_restored(frame, frame, frame, path)
    before = path.read_bytes()
    with pytest.raises(VadError, match=r"restored\.png exists; choose another file or overwrite it"):
        draw_restored(frame + 1, frame, frame, path)
    assert path.read_bytes() == before
    draw_restored(frame + 1, frame, frame, path, overwrite=True)
    assert path.read_bytes() != before


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    good = np.zeros((HEIGHT, WIDTH))
    for frame, restored, error, name, message in (
        (good[0], good, good, "a.png", r"the frame has shape \(40,\), but must be gray \(h, w\) or RGB"),
        (good, np.zeros((4, 4, 2)), good, "a.png", r"the restored frame has shape \(4, 4, 2\)"),
        (good, good + 1.5, good, "a.png", r"the restored frame holds values from 1.5 to 1.5, but floats must lie in"),
        (good * np.nan, good, good, "a.png", "the frame holds values from nan to nan"),
        (good, good, good[..., None], "a.png", r"the error has shape \(30, 40, 1\), but must be a map \(h, w\)"),
        (good, good, good + np.inf, "a.png", "must be a map .* of finite numbers"),
        (good, good, good, "a.xyz", r"a\.xyz cannot be drawn .* name a \.png"),
    ):
        with pytest.raises(VadError, match=message):
            draw_restored(frame, restored, error, tmp_path / name)
    assert list(tmp_path.iterdir()) == []

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.attention import draw_attention

HEIGHT, WIDTH = 40, 60


@pytest.fixture
def frame() -> np.ndarray:
    """A blue frame."""
    return np.broadcast_to(np.array([0, 0, 240], np.uint8), (HEIGHT, WIDTH, 3))


def panels(path: Path, count: int) -> list[np.ndarray]:
    """The parts of a picture below the titles, one a panel, float (h, w, 3)."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(float)
    panel = round((image.shape[1] + 10) / count)  # with the gap of 0.1 inch
    height = round((panel - 10) * HEIGHT / WIDTH)
    return [image[-height:, column * panel : (column + 1) * panel - 10] for column in range(count)]


def is_red(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 80) & (pixels[..., 2] < 80)


def test_red_is_where_the_attention_is(frame: np.ndarray, tmp_path: Path) -> None:
    first, second = np.full((4, 6), 0.01), np.full((2, 3), 0.1)
    first[0, 5] = 0.5  # upper right
    second[1, 0] = 0.3  # lower left
    path = tmp_path / "new" / "attention.png"
    draw_attention(frame, [first, second], path)
    assert [entry.name for entry in path.parent.iterdir()] == ["attention.png"]
    plain, *over = panels(path, 3)
    np.testing.assert_allclose(plain, np.broadcast_to([0, 0, 240], plain.shape), atol=1)
    middles = []
    for panel in over:
        rows, columns = np.nonzero(is_red(panel))
        assert len(rows) > 100
        middles.append((rows.mean() / len(panel), columns.mean() / panel.shape[1]))
        # Elsewhere the frame is gray and nothing lies over it.
        assert (np.abs(panel - 80).max(axis=-1) <= 2).mean() > 0.4
    assert middles[0][0] < 0.3
    assert middles[0][1] > 0.7
    assert middles[1][0] > 0.6
    assert middles[1][1] < 0.4


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_even_attention_stays_clear(frame: np.ndarray, tmp_path: Path, value: float) -> None:
    draw_attention(frame, [np.full((4, 6), value)], tmp_path / "even.png")
    _, over = panels(tmp_path / "even.png", 2)
    np.testing.assert_allclose(over, 80, atol=1)


def test_the_title_depends_on_the_peak(frame: np.ndarray, tmp_path: Path) -> None:
    titles = []
    for name, peak in (("low", 2.0), ("high", 90.0)):
        attention = np.ones((4, 6))
        attention[1, 1] = peak
        draw_attention(frame, [attention], tmp_path / f"{name}.png")
        titles.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))[:28])
    assert (titles[0] < 128).sum() > 100
    assert (titles[0] != titles[1]).any()


def test_bad_input_is_one_sentence(frame: np.ndarray, tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    there.write_text("")
    good, path = [np.ones((4, 6))], tmp_path / "x.png"
    for arguments, message in (
        ((frame / 255, good, path), r"the frame is float64 of shape \(40, 60, 3\), but must be uint8"),
        ((frame[..., 0], good, path), r"uint8 of shape \(40, 60\), but must be uint8 of shape \(H, W, 3\)"),
        ((frame, [], path), "there are no attention maps"),
        ((frame, [np.ones((1, 4, 6))], path), r"has shape \(1, 4, 6\), but must be one window's \(h, w\)"),
        ((frame, [-np.ones((4, 6))], path), "of at least 0"),
        ((frame, [np.full((4, 6), np.nan)], path), "finite numbers"),
        ((frame, good, there), "exists; choose another file or overwrite it"),
        ((frame, good, tmp_path / "x.xyz"), r"cannot be drawn .* name a \.png"),
    ):
        with pytest.raises(VadError, match=message):
            draw_attention(*arguments)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.png"]
    draw_attention(frame, good, there, overwrite=True)
    assert there.stat().st_size > 0

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.growth import draw_growth
from keras_vad.report.picture import CURVE


def curve_pixels(path: Path) -> np.ndarray:
    """(x, y) of the pixels that have the curve's colour, y upwards."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    colour = [int(CURVE[i : i + 2], 16) for i in (1, 3, 5)]
    rows, columns = np.nonzero(np.abs(image - colour).max(axis=-1) <= 2)
    return np.stack([columns, -rows], axis=1)


def test_the_curve_rises_as_the_figures_do_on_a_logarithmic_axis(tmp_path: Path) -> None:
    draw_growth([100, 1000, 10000], [0.6, 0.7, 0.95], tmp_path / "new" / "growth.png")
    points = curve_pixels(tmp_path / "new" / "growth.png")
    left, right = points[:, 0].min(), points[:, 0].max()
    middle = (left + right) // 2

    def height(x: int) -> float:
        return float(points[np.abs(points[:, 0] - x) <= 2][:, 1].mean())

    # 1,000 lies in the middle between 100 and 10,000; 0.7 is (0.7 - 0.6) / (0.95 - 0.6) of the way up.
    share = (height(middle) - height(left)) / (height(right) - height(left))
    assert share == pytest.approx(0.1 / 0.35, abs=0.05)


def test_seeds_of_one_size_are_points_around_their_mean(tmp_path: Path) -> None:
    draw_growth([10, 10, 100], [0.2, 0.6, 0.8], tmp_path / "seeds.png")
    draw_growth([10, 100], [0.4, 0.8], tmp_path / "mean.png")
    seeds, mean = (curve_pixels(tmp_path / f"{name}.png") for name in ("seeds", "mean"))

    def spread(points: np.ndarray) -> int:
        return int(np.ptp(points[points[:, 0] <= points[:, 0].min() + 3][:, 1]))

    assert spread(seeds) > 5 * spread(mean)


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    there.write_text("")
    for arguments, message in (
        (([1, 2], [0.5], tmp_path / "x.png"), r"there are \(2,\) sizes and \(1,\) figures"),
        (([], [], tmp_path / "x.png"), "each size must have one"),
        (([0], [0.5], tmp_path / "x.png"), "a size is not above 0"),
        (([1], [50.0], tmp_path / "x.png"), r"a figure not in \[0, 1\]"),
        (([1], [0.5], there), "exists; choose another file or overwrite it"),
        (([1], [0.5], tmp_path / "x.xyz"), r"cannot be drawn .* name a \.png"),
    ):
        with pytest.raises(VadError, match=message):
            draw_growth(*arguments)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.png"]
    draw_growth([1], [0.5], there, overwrite=True)
    assert there.stat().st_size > 0

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vad.errors import VadError
from keras_vad.report.codes import cluster_colours, draw_codes


def groups(each: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Three groups of codes that lie far apart, and which group each is in."""
    generator = np.random.default_rng(0)
    kinds = np.repeat([4, 7, 9], each)
    return generator.normal(size=(3 * each, 8)) + 40.0 * np.eye(8)[kinds % 8], kinds


def places(path: Path, colour: tuple[float, float, float]) -> np.ndarray:
    """(x, y) of the pixels of a colour left of the legend."""
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    image = image[:, : int(0.85 * image.shape[1])]
    near = np.abs(image - np.round(np.array(colour) * 255)).max(axis=-1) <= 2
    return np.argwhere(near)[:, ::-1]


def test_groups_lie_apart_in_their_colours(tmp_path: Path) -> None:
    codes, kinds = groups()
    path = tmp_path / "new" / "codes.png"
    draw_codes(codes, kinds, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["codes.png"]
    found = [places(path, colour) for colour in cluster_colours(3)]
    centres = np.array([points.mean(axis=0) for points in found])
    for own, points in enumerate(found):
        assert len(points) > 500
        # Every pixel of a group is nearest to the middle of its own group.
        distances = np.linalg.norm(points[:, None] - centres[None], axis=-1)
        assert (distances.argmin(axis=1) == own).all()


def test_the_colours_are_the_clusters_not_the_places(tmp_path: Path) -> None:
    codes, kinds = groups()
    mixed = np.arange(len(kinds)) % 2
    draw_codes(codes, mixed, tmp_path / "codes.png")
    first, second = (places(tmp_path / "codes.png", colour) for colour in cluster_colours(2))
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) < 0.1 * np.ptp(first, axis=0).max()
    assert len(places(tmp_path / "codes.png", cluster_colours(3)[2])) == 0


def test_the_seed_fixes_the_picture(tmp_path: Path) -> None:
    codes, kinds = groups(10)
    for name, seed in (("a", 0), ("b", 0)):
        draw_codes(codes, kinds, tmp_path / f"{name}.png", seed=seed)
    a, b = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "ab")
    np.testing.assert_array_equal(a, b)


def test_few_codes_and_many_clusters(tmp_path: Path) -> None:
    draw_codes(np.eye(3), np.arange(3), tmp_path / "few.png")
    generator = np.random.default_rng(0)
    draw_codes(generator.normal(size=(60, 4)), np.arange(60) % 30, tmp_path / "many.png")
    assert (tmp_path / "many.png").stat().st_size > 0
    for count in (2, 10, 15, 30):
        assert len(set(cluster_colours(count))) == count


def test_bad_input_is_one_sentence(tmp_path: Path) -> None:
    codes, kinds = groups(2)
    there = tmp_path / "there.png"
    there.write_text("")
    bad = np.full_like(codes, np.nan)
    for arguments, message in (
        ((codes, kinds[1:], tmp_path / "x.png"), r"shape \(6, 8\) and the clusters \(5,\), but must have"),
        ((codes[:2], kinds[:2], tmp_path / "x.png"), "n of at least 3"),
        ((bad, kinds, tmp_path / "x.png"), "some codes are NaN or infinite"),
        ((codes, kinds, there), "exists; choose another file or overwrite it"),
        ((codes, kinds, tmp_path / "x.xyz"), r"cannot be drawn .* name a \.png"),
    ):
        with pytest.raises(VadError, match=message):
            draw_codes(*arguments)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.png"]
    draw_codes(codes, kinds, there, overwrite=True)
    assert there.stat().st_size > 0

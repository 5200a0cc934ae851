"""Maps against masks: golden values by hand, the histogram against scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from keras_vad.data.ucsd import PixelMasks
from keras_vad.data.video import FrameFolder
from keras_vad.errors import VadError
from keras_vad.evaluation.regions import (
    PixelAuroc,
    RegionFigures,
    evaluation_size,
    resized_maps,
    resized_masks,
    thresholds_of,
    track_regions,
)


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_pixel_auroc_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Multiples of 1/64 below 8 are exact in the bits that the histogram keeps; negative ones and ties among them.
    maps = (rng.integers(-100, 100, size=(4, 5, 6)) / 64).astype(np.float32)
    masks = rng.random((4, 5, 6)) < 0.3
    masks[0, 0, :2] = True, False
    figure = PixelAuroc()
    figure.add(masks[:1], maps[:1])
    figure.add(masks[1:], maps[1:])
    assert figure.value() == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-12)


def test_pixel_auroc_of_real_numbers_is_close() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((10, 40, 40)) < 0.1
    maps = (np.exp(rng.normal(size=masks.shape)) * (1 + masks)).astype(np.float32)
    figure = PixelAuroc()
    figure.add(masks, maps)
    assert figure.value() == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-5)


def test_pixel_auroc_where_it_is_not_defined() -> None:
    figure = PixelAuroc()
    figure.add(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), np.float32))
    assert figure.value() is None
    with pytest.raises(VadError, match="NaN or infinite"):
        figure.add(np.zeros((1, 2, 2), bool), np.full((1, 2, 2), np.nan, np.float32))
    with pytest.raises(VadError, match="resize them to one size"):
        figure.add(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 3), np.float32))


def test_sizes() -> None:
    assert evaluation_size(240, 360) == (120, 180)
    assert evaluation_size(34, 51) == (34, 51)
    masks = np.zeros((1, 4, 4), bool)
    masks[0, :2, :1] = True  # half of the first block
    masks[0, 2, 2] = True  # a quarter of the last one
    assert resized_masks(masks, (2, 2))[0].tolist() == [[True, False], [False, False]]
    maps = np.arange(16, dtype=np.float16).reshape(1, 4, 4)
    assert resized_maps(maps, (2, 2))[0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert resized_maps(maps, (8, 8)).shape == (1, 8, 8)


def test_tracks_join_regions_that_overlap_from_frame_to_frame() -> None:
    masks = np.zeros((4, 6, 6), bool)
    masks[0, 0:2, 0:2] = True
    masks[1, 1:3, 1:3] = True
    masks[1, 5, 5] = True
    masks[3, 1:3, 1:3] = True  # after an empty frame: a new track
    labelled, tracks = track_regions(masks)
    assert tracks.tolist() == [0, 0, 1, 2]
    assert [int(frame.max()) for frame in labelled] == [1, 2, 0, 1]


def test_rbdc_and_tbdc_by_hand() -> None:
    """Ten frames, a region of 2x2 in each of the first five; a map that finds it in one frame, with false regions."""
    masks, maps = np.zeros((10, 8, 8), bool), np.zeros((10, 8, 8), np.float32)
    masks[:5, 0:2, 0:2] = True
    maps[0, 0:2, 0:2] = 4.0
    maps[1, 5:7, 5:7] = 3.0  # false
    maps[2:7, 7, 7] = 1.0  # five more false ones
    maps[1:5, 0:2, 0:2] = 0.5
    figures = RegionFigures(np.array([3.5, 2.0, 0.75, 0.25]))
    figures.add(masks, maps)
    # False regions a frame: 0, .1, .6, .6; found regions: 1/5, 1/5, 1/5, 1. The track: found from the first on.
    assert figures.rbdc() == pytest.approx(0.6 * 0.2 + 0.4 * 1.0)
    assert figures.tbdc() == pytest.approx(1.0)


def test_a_region_needs_a_tenth_of_overlap() -> None:
    masks, maps = np.zeros((1, 10, 10), bool), np.zeros((1, 10, 10), np.float32)
    masks[0, 0, :10] = True
    maps[0, 0, 0] = 1.0
    for overlap, found in ((1, 1.0), (0, 0.0)):
        figures = RegionFigures(np.array([0.5]))
        # With one row more in the map's region the union is 11 places, below a tenth.
        maps[0, 1, 0] = 1.0 - overlap
        figures.add(masks, maps)
        assert figures.rbdc() == found


def test_without_regions_there_is_no_figure() -> None:
    figures = RegionFigures(np.array([0.5]))
    figures.add(np.zeros((3, 4, 4), bool), np.ones((3, 4, 4), np.float32))
    assert figures.rbdc() is figures.tbdc() is None


def test_a_perfect_map_reaches_one_and_an_empty_one_nothing() -> None:
    masks = np.zeros((20, 12, 12), bool)
    masks[5:15, 3:6, 3:6] = True
    for maps, expected in ((masks.astype(np.float32), 1.0), (np.zeros(masks.shape, np.float32), 0.0)):
        figures = RegionFigures(thresholds_of([maps]))
        figures.add(masks, maps)
        assert figures.rbdc() == figures.tbdc() == expected


@pytest.mark.parametrize("value", [255, 128])
@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 60}, {"quality": 75, "subsampling": 2}])
def test_masks_saved_as_jpeg_give_the_same_figures(tmp_path: Path, options: dict[str, int], value: int) -> None:
    """A codec blurs edges and makes dark gray of black; RBDC and TBDC stay those of the exact masks."""
    rng = np.random.default_rng(0)
    exact = np.zeros((12, 96, 128), bool)
    maps = 0.2 * rng.random(exact.shape, np.float32)
    for number in range(2, 10):
        top, left = 20 + 3 * number, 10 + 8 * number
        exact[number, top : top + 24, left : left + 16] = True
        if number != 5:
            maps[number, top + 2 : top + 24, left + 3 : left + 18] += 0.1 * number
    for kind in ("png", "jpg"):
        (tmp_path / kind).mkdir()
        for number, mask in enumerate(exact):
            image = Image.fromarray(np.repeat(mask[..., None], 3, axis=-1) * np.uint8(value))
            image.save(tmp_path / kind / f"{number:03d}.{kind}", **(options if kind == "jpg" else {}))

    def figures(kind: str) -> tuple[float, float, float]:
        paths = sorted((tmp_path / kind).iterdir())
        masks = PixelMasks(paths, FrameFolder(tmp_path / kind))
        truth = resized_masks([masks(number) for number in range(len(paths))], evaluation_size(96, 128))
        pixels, regions = PixelAuroc(), RegionFigures(thresholds_of([maps]))
        pixels.add(truth, maps)
        regions.add(truth, maps)
        found = pixels.value(), regions.rbdc(), regions.tbdc()
        assert None not in found
        return found  # type: ignore[return-value]

    assert figures("png")[1:] == (pytest.approx(0.8, abs=0.2), pytest.approx(0.9, abs=0.2))
    assert figures("jpg")[1:] == figures("png")[1:]
    assert figures("jpg")[0] == pytest.approx(figures("png")[0], abs=1e-3)

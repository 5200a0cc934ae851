import numpy as np
import pytest

from keras_vad.errors import VadError
from keras_vad.models.local_playback import LocalPlaybackRate
from keras_vad.scoring.maps import reduce_maps


def area_means(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By another way: enlarge to a common multiple of both sizes, then take means of whole blocks."""
    _, height, width = maps.shape
    fine = np.repeat(np.repeat(maps, size[0], axis=1), size[1], axis=2)
    return fine.reshape(len(maps), size[0], height, size[1], width).mean(axis=(2, 4))


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (7, 4), (1, 1)])
def test_every_value_is_the_mean_of_its_area(size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).random((5, 8, 12)).astype(np.float32)
    small = reduce_maps(maps, size)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small, area_means(maps, size), rtol=1e-5)


def test_sides_that_are_short_enough_stay() -> None:
    maps = np.random.default_rng(0).random((5, 8, 12)).astype(np.float32)
    np.testing.assert_array_equal(reduce_maps(maps, (20, 12)), maps)
    np.testing.assert_allclose(reduce_maps(maps, (20, 3)), maps.reshape(5, 8, 3, 4).mean(axis=-1), rtol=1e-5)
    assert reduce_maps(maps[:0], (2, 3)).shape == (0, 2, 3)


def test_no_size_is_refused() -> None:
    with pytest.raises(VadError, match=r"\(0, 3\), but height and width must be at least 1"):
        reduce_maps(np.zeros((1, 4, 4)), (0, 3))


def test_a_detector_keeps_its_maps_reduced() -> None:
    detector = LocalPlaybackRate(image_size=(32, 48), channels=(4, 4))
    video = np.random.default_rng(0).integers(0, 256, (100, 32, 48, 3), dtype=np.uint8)
    whole, small = detector.score_video(video, maps=True), detector.score_video(video, map_size=(3, 5))
    assert whole.maps is not None
    assert small.maps is not None
    assert whole.maps.shape == (100, 8, 12)
    np.testing.assert_allclose(small.maps, area_means(whole.maps, (3, 5)), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(small.calibrated, whole.calibrated)

from pathlib import Path

import numpy as np
import pytest

from keras_vad.data.cache import FrameCache
from keras_vad.data.video import ArrayFrames, Video
from keras_vad.errors import VadError
from keras_vad.evaluation.trivial import (
    FLOW_CELL,
    FRAME_SIZE,
    TRIVIAL_BASELINES,
    cell_means,
    row_normalised,
    trivial_scores,
    typical_speeds,
)


def gray_video(name: str, *values: int) -> Video:
    """One constant frame a value, at the baselines' size."""
    return Video(name, ArrayFrames(np.stack([np.full(FRAME_SIZE, value, np.uint8) for value in values])))


def test_by_hand(tmp_path: Path) -> None:
    train = [gray_video("a", 10, 51, 51), gray_video("b", 51, 200)]  # median 51, 0.2 of white
    scores = trivial_scores(train, [gray_video("c", 51, 102, 0)], FrameCache(tmp_path))
    assert tuple(scores) == TRIVIAL_BASELINES
    expected = {
        "trivial_background_difference": [0, 0.2, 0.2],
        "trivial_background_difference_squared": [0, 0.04, 0.04],
        "trivial_frame_difference": [0.2, 0.4],
        "trivial_frame_difference_squared": [0.04, 0.16],
        "trivial_blurred_frame_difference": [0.04, 0.16],
        "trivial_flow_squared": [0, 0],  # without texture there is no flow
        "trivial_flow_excess": [0, 0],
        "trivial_flow_row_normalised": [0, 0],
    }
    for name, values in expected.items():
        (series,) = scores[name]
        assert series.frame_index.tolist() == list(range(3 - len(values), 3))
        np.testing.assert_allclose(series.raw, values, atol=1e-6)


def test_batches_leave_no_seam(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, 150)
    scores = trivial_scores([gray_video("a", 0)], [gray_video("b", *values)], FrameCache(tmp_path))
    difference = np.abs(np.diff(values / 255))
    np.testing.assert_allclose(scores["trivial_frame_difference"][0].raw, difference, atol=1e-6)


def test_a_spot_moves_only_the_blurred_maximum_much(tmp_path: Path) -> None:
    frames = np.zeros((2, *FRAME_SIZE), np.uint8)
    frames[1, 40:60, 40:60] = 255
    spot = Video("spot", ArrayFrames(frames))
    scores = trivial_scores([gray_video("a", 0)], [spot], FrameCache(tmp_path))
    assert scores["trivial_frame_difference"][0].raw[0] == pytest.approx(400 / (120 * 180))
    assert scores["trivial_blurred_frame_difference"][0].raw[0] > 0.9


def test_fast_motion_exceeds_the_flow_of_training_and_slow_motion_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 256, (30, 60)), np.ones((4, 4))).astype(np.uint8)

    def moving(name: str, speed: int) -> Video:
        frames = [np.roll(texture, speed * t, axis=1)[:, : FRAME_SIZE[1]] for t in range(17)]
        return Video(name, ArrayFrames(np.stack(frames)))

    train = [moving("train", 1)]
    scores = trivial_scores(train, [moving("slow", 1), moving("fast", 2)], FrameCache(tmp_path))
    slow, fast = (series.raw.mean() for series in scores["trivial_flow_squared"])
    assert fast > 2 * slow > 0
    slow, fast = (series.raw.mean() for series in scores["trivial_flow_excess"])
    assert slow < 0.05 * fast


def test_speed_is_measured_by_the_speed_of_its_row_by_hand() -> None:
    train, test = np.zeros((2, 2, FRAME_SIZE[0] // 2, FRAME_SIZE[1] // 2), np.float32)  # 20 x 30 cells of 3 x 3
    # All cells of the upper half at 0.5, of the row below at 2, the next three too slow.
    train[:, :30], train[:, 30:33], train[:, 33:42], train[:, 42:45] = 0.5, 2.0, 0.09, 3.0
    test[:, :3, :3] = 1.0  # the first cell at twice the speed of its row
    test[:, 30:33, 88:] = 9.0  # two thirds of the last cell of the eleventh row: 6 in the mean, 3 times its row
    test[:, 36:39, :3] = 1.25  # where nothing moved, half way between rows of 2 and 3: half of that speed
    test[:, 57:, 87:] = 1.2  # as fast as the last row that moved, 3
    scores = row_normalised(test, typical_speeds(cell_means(train, FLOW_CELL)))
    # The largest three of 2, 3, 0.5, 0.4 and zeros.
    np.testing.assert_allclose(scores, [(2 + 3 + 0.5) / 3] * 2, rtol=1e-5)


def test_what_is_fast_for_its_row_stands_out_and_what_is_fast_for_another_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(0, 256, (30, 70)), np.ones((4, 4))).astype(np.uint8)

    def moving(name: str, above: int, below: int) -> Video:
        frames = [
            np.concatenate([np.roll(texture[:60], above * t, 1), np.roll(texture[60:], below * t, 1)])
            for t in range(17)
        ]
        return Video(name, ArrayFrames(np.stack(frames)[:, :, : FRAME_SIZE[1]]))

    train = [moving("far and near", 1, 2)]
    test = [moving("the same", 1, 2), moving("far things as fast as near ones", 2, 2)]
    scores = trivial_scores(train, test, FrameCache(tmp_path))
    same, fast = (series.raw.mean() for series in scores["trivial_flow_row_normalised"])
    assert same < 1.3 and fast > 1.4 * same


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(VadError, match="got no training videos"):
        trivial_scores([], [gray_video("a", 1, 2)], FrameCache(tmp_path))
    with pytest.raises(VadError, match="test video a has a single frame"):
        trivial_scores([gray_video("b", 1)], [gray_video("a", 1)], FrameCache(tmp_path))

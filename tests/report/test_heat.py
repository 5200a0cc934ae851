import numpy as np
import pytest

from keras_vad.errors import VadError
from keras_vad.report.embed import frame_order
from keras_vad.report.heat import HeatScale, heat_colours
from keras_vad.scoring.events import Event
from keras_vad.scoring.series import VideoScores


def scored(alarm: np.ndarray, maps: np.ndarray) -> VideoScores:
    level = np.where(alarm, 0.9, 0.1).astype(np.float32)
    return VideoScores(np.arange(len(level)), level, level, maps=maps.astype(np.float32))


def test_normal_places_are_clear_and_hot_ones_have_the_last_colour() -> None:
    alarm = np.arange(100) >= 80
    maps = np.random.default_rng(0).random((100, 10, 20))  # 0 to 1
    maps[alarm, :2, :2] += 9
    scale = HeatScale.of([scored(alarm, maps)])
    assert scale.low == pytest.approx(0.99, abs=0.01)
    assert 9 < scale.high < 10
    shown = scale.bytes_of(maps)
    assert (shown[~alarm] == 0).mean() >= 0.99
    assert shown[~alarm].max() <= 1
    assert shown[alarm, :2, :2].min() > 220


@pytest.mark.parametrize(("alarm", "value"), [(False, 0.0), (True, 0.0), (False, -3.0)])
def test_maps_of_one_value_are_clear(alarm: bool, value: float) -> None:
    maps = np.full((5, 4, 6), value)
    assert HeatScale.of([scored(np.full(5, alarm), maps)]).bytes_of(maps).max() == 0


def test_colours_go_from_clear_to_nearly_opaque() -> None:
    colours = heat_colours()
    assert colours.shape == (256, 4)
    assert colours[0, 3] == 0
    assert (np.diff(colours[:, 3].astype(int)) >= 0).all()
    luma = colours[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(luma) > -0.5).all()


def test_maps_that_cannot_be_shown_are_refused() -> None:
    nothing = scored(np.zeros(5, bool), np.zeros((5, 2, 2)))
    with pytest.raises(VadError, match="the scores have no maps"):
        HeatScale.of([nothing, VideoScores(nothing.frame_index, nothing.raw, nothing.calibrated)])
    with pytest.raises(VadError, match="NaN or infinite values"):
        HeatScale.of([scored(np.zeros(5, bool), np.full((5, 2, 2), np.nan))])


@pytest.mark.parametrize("n", [1, 2, 7, 64, 1000])
def test_any_beginning_of_the_order_is_spread_evenly_and_denser_in_events(n: int) -> None:
    zeros = np.zeros(n, np.float32)
    events = [Event(start=n // 4, end=n // 4 + max(n // 10, 1), peak=n // 4, score=0.9)]
    order = frame_order(VideoScores(np.arange(n) + 3, zeros, zeros), events=[])
    assert sorted(order) == list(range(n))
    order = frame_order(VideoScores(np.arange(n), zeros, zeros), events)
    assert sorted(order) == list(range(n))
    assert order[0] == n // 4
    if n == 1000:
        start = np.sort(order[:200])
        assert np.diff(start).max() <= 16
        assert ((start >= 250) & (start < 350)).sum() >= 90

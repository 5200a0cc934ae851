"""Boundaries from the tail of scores, by simulation: generated hours, of which minutes set the boundary.

The scores are a stationary Gaussian process of fast and slow parts, bent to several tails. As bending is increasing,
the rate of alarms above a boundary is that of the Gaussian process above the boundary bent back: one long simulation
gives the true rate for all of them.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from keras_vad.errors import VadError
from keras_vad.scoring.alarms import alarm_counts
from keras_vad.scoring.promise import boundary_for_rate, promised_boundary
from keras_vad.scoring.tail import Tail, tail_of

FPS = 5.0
HOURS = 400  # of truth
MINUTES = 20  # of footage
REPEATS = 20

# Of a Gaussian z: tails that end, are thin, exponential, and heavy (of a power; the last has hardly a variance).
TAILS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bounded": lambda z: 1 - norm.sf(z) ** 0.3,
    "gaussian": lambda z: z,
    "exponential": lambda z: -norm.logsf(z),
    "lognormal": lambda z: np.exp(0.6 * z),
    "power 0.25": lambda z: norm.sf(z) ** -0.25,
    "power 0.4": lambda z: norm.sf(z) ** -0.4,
}
LEVELS = np.linspace(-6, 8, 100_001)


def process(minutes: float, rng: np.random.Generator) -> np.ndarray:
    """A part that lasts 2 s and one that lasts 30 s, (frames,)."""
    length, warm = int(60 * minutes * FPS), 1000
    parts = []
    for seconds, size in ((2.0, 0.8), (30.0, 0.6)):
        decay = np.exp(-1 / (FPS * seconds))
        noise = rng.normal(size=length + warm, scale=size * np.sqrt(1 - decay**2))
        parts.append(lfilter([1.0], [1.0, -decay], noise)[warm:])
    return parts[0] + parts[1]


@pytest.fixture(scope="module")
def true_rate() -> Callable[[np.ndarray], np.ndarray]:
    """Alarms per hour above levels of the Gaussian process."""
    boundaries, counts = alarm_counts([process(60 * HOURS, np.random.default_rng(0))])

    def rate(levels: np.ndarray) -> np.ndarray:
        places = np.searchsorted(boundaries, levels, "right")
        return np.append(counts, 0)[np.maximum(places - 1, 0)] / HOURS

    return rate


@pytest.mark.parametrize("per_hour", [1.0, 0.2])  # 0.33 and 0.07 alarms in the footage
@pytest.mark.parametrize("tail", TAILS)
def test_the_promised_rate_is_met_within_its_interval(
    tail: str, per_hour: float, true_rate: Callable[[np.ndarray], np.ndarray]
) -> None:
    bend, rng = TAILS[tail], np.random.default_rng(1)
    bent, rates, inside = bend(LEVELS), [], 0
    for _ in range(REPEATS):
        footage = [bend(process(MINUTES / 4, rng)) for _ in range(4)]
        found = tail_of(footage, 60 * MINUTES)
        boundary = found.boundary(per_hour)
        expected, low, high = found.rate(boundary)
        assert expected == pytest.approx(per_hour, rel=1e-3) and low <= per_hour <= high
        rates.append(float(true_rate(np.interp(boundary, bent, LEVELS))))
        inside += low - 1 / HOURS <= rates[-1] <= high
    assert inside >= 0.85 * REPEATS  # of 95 %, with 20 draws
    # Nor is it met by the interval's width alone: on average the rate is about what was promised, or lower.
    assert np.mean(rates) <= 2 * per_hour


def test_the_empirical_boundary_cannot_keep_so_low_a_rate(true_rate: Callable[[np.ndarray], np.ndarray]) -> None:
    """What the tail is for: the highest score of the footage is passed three times an hour, whatever was promised."""
    rng = np.random.default_rng(1)
    rates = [
        float(true_rate(np.array(boundary_for_rate([process(MINUTES, rng)], 60 * MINUTES, 0.2))))
        for _ in range(REPEATS)
    ]
    assert np.mean(rates) > 5 * 0.2


def test_more_footage_narrows_the_interval() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for minutes in (20, 200):
        found = tail_of([process(minutes, rng)], 60 * minutes)
        _, low, high = found.rate(found.boundary(1.0))
        widths.append(high - low)
    assert widths[1] < widths[0] / 1.5


def test_a_rate_that_the_footage_shows_gives_nearly_the_empirical_boundary() -> None:
    footage = [process(60, np.random.default_rng(3))]
    tail, empirical = tail_of(footage, 3600.0).boundary(10.0), boundary_for_rate(footage, 3600.0, 10.0)
    assert tail == pytest.approx(empirical, abs=0.3)  # standard deviations


def test_exponential_peaks_by_hand() -> None:
    """Above a threshold with 100 peaks an hour of mean height 1, one an hour is passed at about log 100."""
    heights = -np.log((np.arange(100) + 0.5) / 100)
    tail = Tail(threshold=5.0, heights=heights, hours=1.0)
    assert tail.boundary(1.0) - 5 == pytest.approx(np.log(100), rel=0.15)
    assert tail.boundary(200.0) == 5.0  # never below the threshold
    expected, low, high = tail.rate(5.0)
    assert expected == pytest.approx(100.5)
    assert (low, high) == pytest.approx((82, 121), abs=3)  # gamma(100.5)


def test_scale_and_origin_of_the_scores_do_not_matter() -> None:
    footage = [process(MINUTES, np.random.default_rng(4))]
    plain = tail_of(footage, 60 * MINUTES).boundary(0.5)
    moved = tail_of([1e-6 * footage[0] + 3e-5], 60 * MINUTES).boundary(0.5)
    assert (moved - 3e-5) / 1e-6 == pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("scores", [np.full(10_000, 0.3), np.random.default_rng(0).random(500)])
def test_too_few_peaks_are_refused_and_told(scores: np.ndarray) -> None:
    with pytest.raises(
        VadError, match=r"has \d+ separate peaks of the score, but its tail needs 20; give more footage"
    ):
        promised_boundary([scores], [100.0], 1.0, "tail")
    boundary, report = promised_boundary([scores], [100.0], 1.0)
    assert report["boundaries"] == {"empirical": scores.max(), "tail": None} and report["rate_check"] is None
    assert boundary == np.float32(scores.max())


def test_the_boundary_that_was_asked_for_is_taken_and_both_are_told() -> None:
    footage = [process(MINUTES / 2, np.random.default_rng(seed)) for seed in range(4)]
    seconds = [30.0 * MINUTES] * 4
    empirical, told = promised_boundary(footage, seconds, 0.5)
    tail, also_told = promised_boundary(footage, seconds, 0.5, "tail")
    assert told["boundaries"] == also_told["boundaries"]
    assert empirical == np.float32(told["boundaries"]["empirical"]) == np.float32(np.concatenate(footage).max())
    assert tail == np.float32(told["boundaries"]["tail"]["boundary"]) > empirical
    assert (told["boundary_by"], also_told["boundary_by"]) == ("empirical", "tail")
    assert also_told["rate_check"]["alarms"] <= told["rate_check"]["alarms"]

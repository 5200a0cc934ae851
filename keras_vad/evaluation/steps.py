"""How published figures come about: what each step away from a running camera adds to the AUROC, measured.

The steps are cumulative. The first two are the protocols ``deployable`` and ``paper``. The third looks ahead in time.
The last two **choose by the labels of the test videos**: they show what not to do, and how much it feigns. Nothing in
this package uses what they choose.

The figures lie in a CSV file, ``zoo/steps.csv``, that ``tools/steps.py`` writes; the table of results' marker ``steps``
shows it.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vad.common.files import write_text
from keras_vad.errors import VadError
from keras_vad.evaluation.metrics import auroc
from keras_vad.evaluation.protocols import ScoreSeries
from keras_vad.presets.index import Preset
from keras_vad.scoring.rescale import rescale
from keras_vad.scoring.series import finite_scores

#: Key -> the title of its column.
STEPS = {
    "deployable": "as a running camera has it (`deployable`)",
    "rescaled": "each test video rescaled (`paper`)",
    "smoothed": "smoothed, looking ahead",
    "smoothing_chosen": "its length chosen on **test labels**",
    "weights_chosen": "weights of parts chosen on **test labels**",
}
CENTRED_FRAMES = 21
"""Ten frames to either side, a second each at the rate of UCSD; not chosen by any figure."""
LONGEST_FRAMES = 101
WEIGHTS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
ROUNDS = 5

COLUMNS = ("preset", "model", "dataset", "data_fingerprint", "step", "auroc_micro", "chosen", "git")


@dataclass(frozen=True)
class Step:
    """One step.

    Args:
        name: Its key in ``STEPS``.
        auroc_micro: AUROC of the pooled frames after it, in [0, 1]; ``None`` if the test videos have one class only.
        chosen: What was chosen on the labels of the test videos, in words; empty for steps that choose nothing.
    """

    name: str
    auroc_micro: float | None
    chosen: str = ""


def published_steps(
    own: Sequence[ScoreSeries],
    parts: Mapping[str, Sequence[ScoreSeries]],
    labels: Sequence[np.ndarray],
    rescaling: str = "min_max",
) -> list[Step]:
    """The AUROC of a detector's score after each step.

    1. ``deployable``: the calibrated score (raw where there is none), frames of all videos pooled.
    2. ``rescaled``: the raw score of each test video rescaled over the whole of it.
    3. ``smoothed``: before that, each score is the mean of ``CENTRED_FRAMES`` around it.
    4. ``smoothing_chosen``: of all odd numbers of frames up to ``LONGEST_FRAMES`` the best on the test labels.
    5. ``weights_chosen``: a sum of scores, smoothed so and rescaled (parts by ``min_max``), that is put together by
       the test labels: to the best single one that part with that weight is added that helps most, five times at most.

    Args:
        own: The detector's score of each test video.
        parts: Name -> a part of its score, likewise.
        labels: Of each test video, bool (n_i,), True where the frame is anomalous.
        rescaling: Of the method's paper, see ``keras_vad.scoring.rescale``.

    Raises:
        VadError: If a video has no frame that the score and all parts have, or a score is not finite.
    """
    own, named, truths = _common_frames(own, parts, labels)
    truth = np.concatenate(truths)

    def measured(scores: Sequence[np.ndarray]) -> float | None:
        return auroc(truth, np.concatenate(scores))

    def rescaled(series: Sequence[ScoreSeries], frames: int, how: str) -> list[np.ndarray]:
        return [rescale(centred_mean(video.raw, frames), how) for video in series]

    steps = [
        Step("deployable", measured([v.raw if v.calibrated is None else v.calibrated for v in own])),
        Step("rescaled", measured(rescaled(own, 1, rescaling))),
        Step("smoothed", measured(rescaled(own, CENTRED_FRAMES, rescaling))),
    ]
    if not 0 < truth.mean() < 1:
        return [*steps, *(Step(name, None) for name in ("smoothing_chosen", "weights_chosen"))]
    by_frames = {frames: measured(rescaled(own, frames, rescaling)) for frames in range(1, LONGEST_FRAMES + 1, 2)}
    frames = max(by_frames, key=lambda n: (by_frames[n], -n))
    steps.append(Step("smoothing_chosen", by_frames[frames], f"{frames} frames" if frames > 1 else "no smoothing"))
    candidates = {"own": np.concatenate(rescaled(own, frames, rescaling))}
    candidates |= {name: np.concatenate(rescaled(series, frames, "min_max")) for name, series in named.items()}
    best, weights = _weights_by_labels(candidates, truth)
    told = " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in weights.items())
    return [*steps, Step("weights_chosen", best, told)]


def _weights_by_labels(scores: Mapping[str, np.ndarray], truth: np.ndarray) -> tuple[float, dict[str, float]]:
    """The AUROC of a sum of scores that is high on these very labels, and the weights of the scores in it."""

    def measured(values: np.ndarray) -> float:
        value = auroc(truth, values)
        assert value is not None  # both classes are there
        return value

    first = max(scores, key=lambda name: measured(scores[name]))
    total, best, chosen = scores[first], measured(scores[first]), {first: 1.0}
    for _ in range(ROUNDS):
        tried = {(name, weight): measured(total + weight * scores[name]) for name in scores for weight in WEIGHTS}
        name, weight = max(tried, key=lambda one: tried[one])
        if tried[name, weight] <= best:
            break
        total, best = total + weight * scores[name], tried[name, weight]
        chosen[name] = chosen.get(name, 0.0) + weight
    return best, chosen


def _common_frames(
    own: Sequence[ScoreSeries], parts: Mapping[str, Sequence[ScoreSeries]], labels: Sequence[np.ndarray]
) -> tuple[list[ScoreSeries], dict[str, list[ScoreSeries]], list[np.ndarray]]:
    """Of every video the frames that all scores have: trivial baselines do not begin at the same one."""
    shared = []
    for number, video in enumerate(own):
        index = video.frame_index
        for series in parts.values():
            index = np.intersect1d(index, series[number].frame_index)
        if not len(index):
            raise VadError(f"no frame of test video {number} has the score and all its parts; leave the video out.")
        shared.append(index)

    def cut(series: Sequence[ScoreSeries]) -> list[ScoreSeries]:
        result = []
        for video, index in zip(series, shared, strict=True):
            kept = np.isin(video.frame_index, index)
            calibrated = None if video.calibrated is None else video.calibrated[kept]
            result.append(ScoreSeries(index, video.raw[kept], calibrated))
        return result

    truths = [video_labels[index] for video_labels, index in zip(labels, shared, strict=True)]
    return cut(own), {name: cut(series) for name, series in parts.items()}, truths


def centred_mean(scores: np.ndarray, frames: int) -> np.ndarray:
    """Mean of each score and those before and after it, which a running camera cannot have.

    Args:
        scores: (m,), scores of one video's frames in order.
        frames: How many scores to average, an odd number; fewer at the ends of the video. 1 changes nothing.

    Returns:
        float64 (m,).

    Raises:
        VadError: If ``frames`` is even or below 1, there are no scores, or one is not finite.

    Example:
    >>> centred_mean(np.array([3, 1, 2, 9]), frames=3).tolist()
    [2.0, 2.0, 4.0, 5.5]
    """
    if frames < 1 or frames % 2 == 0:
        raise VadError(f"centred smoothing is over {frames} frames, but must be over an odd number, 1 for none.")
    scores = finite_scores(scores, "smoothing")
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    middle = np.arange(len(scores))
    start, stop = np.maximum(middle - frames // 2, 0), np.minimum(middle + frames // 2 + 1, len(scores))
    return (sums[stop] - sums[start]) / (stop - start)


def write_steps(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write the CSV file anew; rows with ``COLUMNS``.

    Raises:
        VadError: If it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_steps(path: Path) -> list[dict[str, str]]:
    """The rows of the CSV file; none if there is no such file.

    Raises:
        VadError: If its columns are not ``COLUMNS``.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise VadError(f"{path} has other columns than {', '.join(COLUMNS)}; write it with tools/steps.py.")
        return list(reader)


def stale_steps(rows: Iterable[Mapping[str, str]], presets: Iterable[Preset]) -> list[str]:
    """A sentence for each preset in the table of steps that has a newer version, or is gone."""
    newest: dict[str, int] = {}
    for preset in presets:
        newest[preset.name] = max(preset.version, newest.get(preset.name, 0))
    faults = []
    for preset_version in dict.fromkeys(row["preset"] for row in rows if row["preset"]):
        name, _, version = preset_version.partition("/")
        if str(newest.get(name)) != version:
            found = f"its newest version is {newest[name]}" if name in newest else "there is no such preset"
            faults.append(f"the table of steps has {preset_version}, but {found}; run tools/steps.py.")
    return faults


def render_steps(rows: Sequence[Mapping[str, str]], dataset: str) -> str:
    """A Markdown table: a line a detector, a column a step, AUROC in percent and what the step has added."""
    of_detector: dict[str, dict[str, Mapping[str, str]]] = {}
    for row in rows:
        if row["dataset"] == dataset:
            of_detector.setdefault(row["preset"] or row["model"], {})[row["step"]] = row
    if not of_detector:
        return "No results yet.\n"
    header = ["detector", *(f"{'+ ' if number else ''}{title}" for number, title in enumerate(STEPS.values()))]
    header += ["chosen on test labels"]
    lines = [f"| {' | '.join(header)} |", "|---|" + "--:|" * len(STEPS) + "---|"]
    for name, steps in of_detector.items():
        cells, before = [f"`{name}`"], None
        for step in STEPS:
            text = steps[step]["auroc_micro"] if step in steps else ""
            value = round(100 * float(text), 1) if text else None
            gain = "" if value is None or before is None else f" ({value - before:+.1f})"
            cells.append("–" if value is None else f"{value:.1f}{gain}")
            before = value
        chosen = [steps[step]["chosen"] for step in STEPS if step in steps and steps[step]["chosen"]]
        lines.append(f"| {' | '.join([*cells, '; '.join(chosen) or '–'])} |")
    return "\n".join(lines) + "\n"

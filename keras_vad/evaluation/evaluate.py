"""Evaluate a detector on a data set, with the trivial baselines beside it."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vad.common.revision import git_revision
from keras_vad.data.base import VideoDataset
from keras_vad.data.cache import FrameCache
from keras_vad.data.video import Labels, Video
from keras_vad.errors import VadError
from keras_vad.evaluation.cost import macs_per_frame
from keras_vad.evaluation.protocols import PROTOCOLS, ScoreSeries, evaluate_series
from keras_vad.evaluation.regions import (
    PixelAuroc,
    RegionFigures,
    evaluation_size,
    resized_maps,
    resized_masks,
    thresholds_of,
)
from keras_vad.evaluation.trivial import trivial_scores
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.registry import by_method
from keras_vad.scoring.combine import combine
from keras_vad.scoring.maps import reduce_maps
from keras_vad.scoring.rescale import rescaled_sum
from keras_vad.scoring.series import VideoScores

FRAME_SCORES = "frame_scores"
REGION_FIGURES = ("pixel_auroc", "rbdc", "tbdc")


@dataclass(frozen=True)
class EvaluationReport:
    """What an evaluation found.

    Args:
        about: What was evaluated, on what, with which versions; the same in every row of the detector.
        rows: A row for every (model, score, protocol, smoothing), see ``evaluate_series``; all columns of the table of
            results (``keras_vad.evaluation.results``) and more. The figures of its maps (``REGION_FIGURES``) stand with
            the detector's own, unsmoothed score under ``deployable``.
        videos: Likewise, for every test video by itself.
        video_names: The labelled test videos, in order.
        labels: Of each of these, bool (n_i,).
        series: (model, score) -> its series of each of these videos.
        scores: The detector's own scores of each of these videos, with maps if they were asked for.
    """

    about: dict[str, Any]
    rows: list[dict[str, Any]]
    videos: list[dict[str, Any]]
    video_names: list[str]
    labels: list[np.ndarray]
    series: dict[tuple[str, str], list[ScoreSeries]]
    scores: list[VideoScores]

    def to_json(self) -> str:
        """``about``, the descriptions of the protocols, ``rows`` and ``videos`` as JSON."""
        content = {
            "about": self.about,
            "protocols": {name: protocol.description for name, protocol in PROTOCOLS.items()},
            "rows": self.rows,
            "videos": self.videos,
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"


def evaluate(
    detector: VideoAnomalyDetector,
    dataset: VideoDataset,
    cache: FrameCache,
    smoothing: int = 1,
    *,
    second: VideoAnomalyDetector | None = None,
    recipe: str = "",
    seed: int | None = None,
    log: str = "",
    chunk_length: int | None = None,
    baselines: bool = True,
    fps: float | None = None,
    map_size: tuple[int, int] | None = None,
    track: Callable[[Sequence[Video]], Iterable[Video]] = iter,
) -> EvaluationReport:
    """Score every labelled test video once and measure under every protocol.

    Rows are made for the detector's score (``frame_scores``), for each of its named parts, and for the trivial
    baselines; each without smoothing and, if asked for, with it. Parts and baselines are not calibrated: under
    ``deployable`` their raw scores are ranked. Under ``paper`` the detector's scores and parts are rescaled as its
    paper says, the baselines by ``min_max``.

    With a second detector the rows are those of the two together (``keras_vad.scoring.combine``), named by both, with
    the calibrated score of each as a part; rescaled by ``min_max``, as no paper says how.

    Args:
        detector: A trained, calibrated detector.
        dataset: Test videos without labels are left out.
        cache: Keeps the decoded frames.
        smoothing: Causal mean over so many frames.
        second: A detector of another method, also trained and calibrated; the two are evaluated as one.
        recipe: Name of the recipe it was trained with, for the rows.
        seed: Seed it was trained with, for the rows.
        log: Path of its training log, for the rows.
        chunk_length: Frames scored at once; changes speed and memory, not scores.
        baselines: Whether to score the trivial baselines, too.
        fps: Frames a second of videos that do not tell theirs, for figures in hours and seconds.
        map_size: Keep the detector's maps, reduced to at most this (height, width), for a report.
        track: Wraps the test videos, to show progress.

    Raises:
        VadError: If no test video has labels, the labels do not fit, a video cannot be read or scored, or both
            detectors are of one method.
    """
    detectors = by_method([detector] if second is None else [detector, second])
    labelled = [(video, labels) for video, labels in dataset.test_videos() if labels is not None]
    if not labelled:
        raise VadError(
            f"the data set {dataset.name} has no labelled test videos, but evaluation needs at least one; give labels "
            "(see docs/evaluation.md)."
        )
    test_videos, labels = [video for video, _ in labelled], [labels.frame for _, labels in labelled]
    model = "+".join(detectors)
    macs = [macs_per_frame(one) for one in detectors.values()]
    about = {
        "model": model,
        "dataset": dataset.name,
        "recipe": recipe,
        "seed": seed,
        "log": log,
        "data_fingerprint": dataset.fingerprint(),
        "parameters": int(sum(np.prod(w.shape) for one in detectors.values() for w in one.trainable_weights)),
        "macs_per_frame": None if None in macs else sum(filter(None, macs)),
        "tf": tf.__version__,
        "keras": keras.__version__,
        "git": git_revision(),
    }

    series: dict[tuple[str, str], list[ScoreSeries]] = {}
    own: list[VideoScores] = []
    regions = _Regions()
    seconds = 0.0
    for video, (_, video_truth) in zip(track(test_videos), labelled, strict=True):
        video_labels = video_truth.frame
        frames = {name: cache.get(video, one.window.size) for name, one in detectors.items()}
        n_frames = max(map(len, frames.values()))
        if n_frames != len(video_labels):
            raise VadError(
                f"the test video {video.name} has {n_frames} frames, but {len(video_labels)} labels; each frame "
                "needs one: check that the data set is complete."
            )
        size = map_size if video_truth.mask is None else evaluation_size(*video_truth.mask(0).shape)
        started = time.perf_counter()
        each_scores = {
            name: one.score_video(frames[name], chunk_length=chunk_length, map_size=size if second is None else None)
            for name, one in detectors.items()
        }
        scores = each_scores[model] if second is None else combine(each_scores)
        seconds += time.perf_counter() - started
        if scores.maps is not None and video_truth.mask is not None:
            regions.add(video_truth, scores)
        kept = None if map_size is None or scores.maps is None else reduce_maps(scores.maps, map_size)
        own.append(replace(scores, maps=kept))
        found = {FRAME_SCORES: ScoreSeries(scores.frame_index, scores.raw, scores.calibrated)}
        found |= {name: ScoreSeries(scores.frame_index, part) for name, part in scores.parts.items()}
        for name, one in found.items():
            series.setdefault((model, name), []).append(one)

    if baselines:
        for name, each in trivial_scores(dataset.train_videos(), test_videos, cache).items():
            series[name, FRAME_SCORES] = each

    about["frames_per_second"] = round(sum(map(len, labels)) / seconds, 1)
    rates = [video.fps or fps for video in test_videos]
    where = regions.figures()
    names = [video.name for video in test_videos]
    rows: list[dict[str, Any]] = []
    videos: list[dict[str, Any]] = []
    rescaled = {} if second is not None else _rescaled_sums(detector, model, own)
    for made_by, score in dict.fromkeys([*series, *rescaled]):
        identity = about | {"model": made_by, "score": score}
        rescaling = detector.paper_rescaling if second is None else "min_max"
        if made_by != model:
            identity |= {"recipe": "", "seed": None, "log": "", "parameters": 0, "macs_per_frame": None}
            identity["frames_per_second"] = None
            rescaling = "min_max"
        for protocol in PROTOCOLS:
            for window in sorted({1, smoothing}):
                options: dict[str, Any] = {"rescaling": rescaling, "smoothing": window}
                measured = series.get((made_by, score), [])
                if protocol == "paper" and (made_by, score) in rescaled:
                    measured, options["rescaling"] = rescaled[made_by, score], "none"  # rescaled already
                if not measured:
                    continue
                row = evaluate_series(measured, labels, protocol, fps=rates, **options)
                of_maps = (made_by, score, protocol, window) == (model, FRAME_SCORES, "deployable", 1)
                rows.append(identity | row | (where if of_maps else dict.fromkeys(REGION_FIGURES)))
                for name, one, video_labels, rate in zip(names, measured, labels, rates, strict=True):
                    row = evaluate_series([one], [video_labels], protocol, fps=[rate], **options)
                    videos.append(_video_row(made_by, score, name, video_labels, row))
    return EvaluationReport(about, rows, videos, names, labels, series, own)


def _rescaled_sums(
    detector: VideoAnomalyDetector, model: str, own: Sequence[VideoScores]
) -> dict[tuple[str, str], list[ScoreSeries]]:
    """The detector's ``paper_scores`` of each video."""
    return {
        (model, name): [
            ScoreSeries(scores.frame_index, rescaled_sum({FRAME_SCORES: scores.raw, **scores.parts}, parts))
            for scores in own
        ]
        for name, parts in detector.paper_scores.items()
    }


class _Regions:
    """Collects maps and masks of test videos at the size of evaluation."""

    def __init__(self) -> None:
        self._masks: list[np.ndarray] = []
        self._maps: list[np.ndarray] = []

    def add(self, labels: Labels, scores: VideoScores) -> None:
        assert labels.mask is not None and scores.maps is not None
        masks = [labels.mask(int(number)) for number in scores.frame_index]
        size = evaluation_size(*masks[0].shape)
        self._masks.append(resized_masks(masks, size))
        self._maps.append(resized_maps(scores.maps, size))

    def figures(self) -> dict[str, float | None]:
        """``REGION_FIGURES``, of the videos with masks; ``None`` if there are none."""
        if not self._maps:
            return dict.fromkeys(REGION_FIGURES)
        pixels, regions = PixelAuroc(), RegionFigures(thresholds_of(self._maps))
        for masks, maps in zip(self._masks, self._maps, strict=True):
            pixels.add(masks, maps)
            regions.add(masks, maps)
        return {"pixel_auroc": pixels.value(), "rbdc": regions.rbdc(), "tbdc": regions.tbdc()}


def _video_row(model: str, score: str, video: str, labels: np.ndarray, row: dict[str, Any]) -> dict[str, Any]:
    """The row of a single video, where micro and macro AUROC are the same."""
    figures = {"auroc" if key == "auroc_micro" else key: value for key, value in row.items()}
    for key in ("auroc_macro", "videos_with_both_classes", *(key for key in row if key.endswith(("_low", "_high")))):
        del figures[key]
    return {"model": model, "score": score, "video": video, "anomalous_frames": int(labels.sum())} | figures

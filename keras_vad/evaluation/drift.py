"""How far an edge variant is from the detector that it was made of."""

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from keras_vad.artifacts.litert import EdgeDetector
from keras_vad.data.base import Labels, Video
from keras_vad.evaluation.metrics import auroc
from keras_vad.layers.frames import resize_each
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.scoring.series import VideoScores

_TIMED_FRAMES = 256


def measure_drift(
    detector: VideoAnomalyDetector, edge: EdgeDetector, videos: Iterable[tuple[Video, Labels | None]]
) -> dict[str, Any]:
    """Score videos with both and compare.

    Args:
        detector: The detector.
        edge: What was made of it.
        videos: The videos, with labels where there are some; at least one. One that is shorter than the window is an
            error.

    Returns:
        Plain values: ``videos``, ``frames``; ``largest_change`` and ``mean_change`` of raw scores, in standard
        deviations of the detector's own; ``rank_correlation`` (Spearman's; ``None`` if all scores are equal);
        ``alarms`` of ``both``, ``detector_only`` and ``edge_only``, in frames; ``auroc`` over the labelled videos
        together of ``detector`` and ``edge``, calibrated scores as they are (``None`` if the labels have one class);
        ``frames_per_second`` of either, for frames that are decoded and resized, and their ``speed_ratio``, edge over
        detector.

    Raises:
        VadError: If a video cannot be scored.
    """
    videos = list(videos)
    own = [detector.score_video(video) for video, _ in videos]
    other = [edge.score_video(video) for video, _ in videos]
    truth = [
        None if labels is None else labels.frame[one.frame_index] for one, (_, labels) in zip(own, videos, strict=True)
    ]
    raw, edge_raw = (np.concatenate([one.raw for one in scores]) for scores in (own, other))
    alarm, edge_alarm = (np.concatenate([one.alarm for one in scores]) for scores in (own, other))
    change = np.abs(edge_raw - raw) / max(float(raw.std()), np.finfo(np.float32).tiny)
    clip = list(islice(resize_each(videos[0][0].frames, detector.window.size), _TIMED_FRAMES))
    rates = _frames_per_second([detector, edge], clip)
    varies = raw.std() > 0 and edge_raw.std() > 0
    return {
        "videos": len(own),
        "frames": len(raw),
        "largest_change": float(change.max()),
        "mean_change": float(change.mean()),
        "rank_correlation": float(spearmanr(raw, edge_raw).statistic) if varies else None,
        "alarms": {
            "both": int((alarm & edge_alarm).sum()),
            "detector_only": int((alarm & ~edge_alarm).sum()),
            "edge_only": int((edge_alarm & ~alarm).sum()),
        },
        "auroc": {"detector": _auroc(own, truth), "edge": _auroc(other, truth)},
        "frames_per_second": {"detector": round(rates[0], 1), "edge": round(rates[1], 1)},
        "speed_ratio": round(rates[1] / rates[0], 2),
    }


def _frames_per_second(scorers: Sequence[VideoAnomalyDetector | EdgeDetector], clip: list[np.ndarray]) -> list[float]:
    """Medians of three turns, after one to warm up."""
    seconds: list[list[float]] = [[] for _ in scorers]
    for turn in range(4):
        for scorer, times in zip(scorers, seconds, strict=True):
            started = time.perf_counter()
            scorer.score_video(clip)
            if turn:
                times.append(time.perf_counter() - started)
    return [len(clip) / float(np.median(times)) for times in seconds]


def _auroc(scores: list[VideoScores], truth: list[np.ndarray | None]) -> float | None:
    known = [(one.calibrated, labels) for one, labels in zip(scores, truth, strict=True) if labels is not None]
    if not known:
        return None
    return auroc(np.concatenate([labels for _, labels in known]), np.concatenate([one for one, _ in known]))

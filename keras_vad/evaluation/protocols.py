"""Named protocols: what is done to the scores of the test videos before they are measured.

A figure without its protocol says little: on UCSD Ped2 the same scores reach an AUROC of 0.65 under ``deployable`` and
0.90 under ``paper`` (``trivial_background_difference``).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_vad.errors import VadError
from keras_vad.evaluation import metrics
from keras_vad.evaluation.bootstrap import auroc_intervals
from keras_vad.evaluation.event_figures import EVENT_FIGURES, event_figures
from keras_vad.scoring.rescale import rescale
from keras_vad.scoring.series import ALARM_BOUNDARY
from keras_vad.scoring.smooth import causal_mean


@dataclass(frozen=True)
class ScoreSeries:
    """One score of the m scored frames of one video.

    Args:
        frame_index: int (m,), frame numbers from 0.
        raw: (m,), higher is more anomalous.
        calibrated: (m,) in (0, 1), above 0.5 is an alarm; ``None`` if this score has no calibration.
    """

    frame_index: np.ndarray
    raw: np.ndarray
    calibrated: np.ndarray | None = None


@dataclass(frozen=True)
class Protocol:
    """A way to evaluate.

    Args:
        name: Its key in ``PROTOCOLS``.
        description: What it does, in a sentence.
        calibrated: Whether it measures calibrated scores, where there are any, or raw ones.
        prepare: (series of a video, per-video rescaling, smoothing in frames) -> the scores to measure, (m,).
    """

    name: str
    description: str
    calibrated: bool
    prepare: Callable[[ScoreSeries, str, int], np.ndarray]


def _paper(series: ScoreSeries, rescaling: str, smoothing: int) -> np.ndarray:
    return rescale(causal_mean(series.raw, smoothing), rescaling)


def _deployable(series: ScoreSeries, rescaling: str, smoothing: int) -> np.ndarray:
    return causal_mean(series.raw if series.calibrated is None else series.calibrated, smoothing)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "paper",
            "raw scores, rescaled over each whole test video as the method's paper does, frames of all videos pooled",
            calibrated=False,
            prepare=_paper,
        ),
        Protocol(
            "deployable",
            "scores as a running camera has them: calibrated on held-out normal training videos (raw where a score has "
            "no calibration), nothing of the test video looked at in advance",
            calibrated=True,
            prepare=_deployable,
        ),
    )
}


def evaluate_series(
    series: Sequence[ScoreSeries],
    labels: Sequence[np.ndarray],
    protocol: str,
    *,
    rescaling: str = "min_max",
    smoothing: int = 1,
    times: Sequence[np.ndarray | None] | None = None,
) -> dict[str, Any]:
    """Measure one score on all test videos under one protocol.

    Args:
        series: Of each video.
        labels: Of each video, bool (n_i,), True where the frame is anomalous; all n_i frames, scored or not.
        protocol: Key of ``PROTOCOLS``.
        rescaling: The paper's per-video rescaling (``keras_vad.scoring.rescale``); only ``paper`` uses it.
        smoothing: Causal mean over so many frames, before any rescaling; 1 is none.
        times: Of each video, float64 (n_i,), seconds of every frame, ``None`` without a clock; ``None`` if no video has
            one.

    Returns:
        A JSON-serialisable row:

        * ``protocol``, ``smoothing``, ``rescaling`` (``None`` under ``deployable``), ``calibrated`` (whether the
          measured scores are).
        * ``auroc_micro``, ``eer``, ``ap``: of the pooled frames; ``auroc_macro``: mean of the AUROC of the
          ``videos_with_both_classes``. ``None`` where not defined (see ``keras_vad.evaluation.metrics``).
        * ``auroc_micro_low``, ``auroc_micro_high`` and the same of ``auroc_macro``: 95 % intervals over draws of the
          videos (``keras_vad.evaluation.bootstrap``); ``None`` where there are fewer than two.
        * ``accuracy``, ``false_positive_rate``, ``true_positive_rate``, ``precision``, ``f1``: of frames above 0.5; and
          the figures of ``keras_vad.evaluation.event_figures``. ``None`` if not ``calibrated``.
        * ``frames``: scored frames, which all figures are of; ``frames_unscored``: the others.

    Raises:
        VadError: If the protocol is unknown, there are no videos, or scores and labels do not fit together.
    """
    if protocol not in PROTOCOLS:
        raise VadError(f"there is no protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}.")
    if not series or len(series) != len(labels):
        raise VadError(
            f"there are scores of {len(series)} videos and labels of {len(labels)}, but evaluation needs both for each "
            "of at least one video."
        )
    for number, (video, video_labels) in enumerate(zip(series, labels, strict=True)):
        if video.frame_index[-1] >= len(video_labels):
            raise VadError(
                f"video {number} has a score of frame {video.frame_index[-1]}, but labels of {len(video_labels)} "
                "frames only; check that both are of the same video."
            )
    scores = [PROTOCOLS[protocol].prepare(video, rescaling, smoothing) for video in series]
    scored_labels = [video_labels[video.frame_index] for video, video_labels in zip(series, labels, strict=True)]
    pooled_scores, pooled_labels = np.concatenate(scores), np.concatenate(scored_labels)

    macro, videos_with_both = metrics.macro_auroc(scored_labels, scores)
    calibrated = PROTOCOLS[protocol].calibrated and all(video.calibrated is not None for video in series)
    intervals = auroc_intervals(scored_labels, scores)
    ends = {
        f"{name}_{end}": pair and pair[i] for name, pair in intervals.items() for i, end in enumerate(("low", "high"))
    }
    alarms: dict[str, Any] = dict.fromkeys((*metrics.RATES, *EVENT_FIGURES))
    if calibrated:
        index = [video.frame_index for video in series]
        alarms = metrics.rates_at(pooled_labels, pooled_scores, ALARM_BOUNDARY)
        alarms |= event_figures(labels, index, scores, times or [None] * len(series))
    return {
        "protocol": protocol,
        "smoothing": smoothing,
        "rescaling": None if PROTOCOLS[protocol].calibrated else rescaling,
        "calibrated": calibrated,
        "auroc_micro": metrics.auroc(pooled_labels, pooled_scores),
        "auroc_macro": macro,
        "videos_with_both_classes": videos_with_both,
        "ap": metrics.average_precision(pooled_labels, pooled_scores),
        "eer": metrics.equal_error_rate(pooled_labels, pooled_scores),
        **ends,
        **alarms,
        "frames": len(pooled_scores),
        "frames_unscored": sum(map(len, labels)) - len(pooled_scores),
    }

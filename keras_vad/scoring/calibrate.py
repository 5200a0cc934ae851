"""Calibration: raw scores to (0, 1) by the quantiles of normal scores, with 0.5 as the alarm boundary.

Let Q(p) be the p-quantile of the raw scores of held-out normal frames, a the alarm quantile (0.99: one normal frame in
a hundred is above it), lo = Q(0), hi = Q(1). The calibrated score C(r) of a raw score r is

* at r = Q(p): 0.05 + 0.45 p / a for p <= a, and 0.5 + 0.1 (p - a) / (1 - a) above; linear between 128 such knots;
* above hi: y + (1 - y) z / (1 + z), with y = C(hi) and z = (r - hi) / (hi - lo);
* below lo: y / (1 + z), with y = C(lo) and z = (lo - r) / (hi - lo).

So 0.5 is exactly Q(a), an observed score (or a boundary above all of them, from the tail of the scores), and at most a
share 1 - a of the normal frames is above it. C increases strictly as far as float32 can tell, which keeps rankings (and
AUROC). The tails are hyperbolas, not exponentials, for that reason: anomalies often score ten times the largest normal
score, where an exponential has long been 1 in float32.

Ties: knots of equal score become one, with 0.5 if Q(a) is among them and their mean level otherwise. If all normal
scores are equal, that score gets 0.5, and the tails take its size (or 1 if it is 0) for hi - lo.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.scoring.series import ALARM_BOUNDARY, LOWEST_LEVEL, finite_scores

N_KNOTS = 128

_KNOTS_UP_TO_ALARM = 96
_HIGHEST_LEVEL = 0.6
_EPSILON = 2.0**-24  # 1 - 2**-24 is the largest float32 below 1


def calibration_knots(
    normal_scores: np.ndarray, alarm_quantile: float, boundary: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The knots of the calibration curve.

    Args:
        normal_scores: (n,), raw scores of normal frames that the model was not trained on, n >= 1.
        alarm_quantile: Share of normal frames that shall stay at or below the alarm boundary, in (0, 1); 1 is allowed
            with ``boundary``.
        boundary: The alarm boundary itself, one of the scores or above them, if it is known; ``alarm_quantile`` is
            then the share of scores at or below it.

    Returns:
        x: float32 (128,), raw scores, non-decreasing. When scores tie, the last knot is repeated at the end.
        y: float32 (128,), their calibrated scores, non-decreasing, 0.5 at the alarm quantile.

    Raises:
        VadError: If there are no scores, a score is not finite or the quantile is not in (0, 1).

    Example:
    >>> x, y = calibration_knots(np.arange(1001), alarm_quantile=0.99)
    >>> float(x[0]), float(x[y == 0.5][0]), float(x[-1])
    (0.0, 990.0, 1000.0)
    """
    scores = finite_scores(normal_scores, "calibration").astype(np.float32).ravel()
    if not 0 < alarm_quantile < 1 and (boundary is None or alarm_quantile != 1):
        raise VadError(f"alarm quantile is {alarm_quantile}, but must lie between 0 and 1, for example 0.99.")

    below = np.linspace(0, 1, _KNOTS_UP_TO_ALARM)
    above = np.linspace(0, 1, N_KNOTS - _KNOTS_UP_TO_ALARM + 1)[1:]
    share = np.concatenate([below * alarm_quantile, alarm_quantile + above * (1 - alarm_quantile)])
    level = np.concatenate(
        [
            LOWEST_LEVEL + (ALARM_BOUNDARY - LOWEST_LEVEL) * below,
            _level_above(above),
        ]
    )
    # "higher": every knot is an observed score, and no more than the promised share of them lies above the boundary.
    quantiles = np.quantile(scores, np.minimum(share, 1), method="higher")
    if boundary is not None:
        quantiles[_KNOTS_UP_TO_ALARM - 1] = np.float32(boundary)  # exactly it, whatever rounding makes of its share
        quantiles = np.maximum.accumulate(quantiles)
        quantiles[:_KNOTS_UP_TO_ALARM] = np.minimum(quantiles[:_KNOTS_UP_TO_ALARM], np.float32(boundary))
    x, group = np.unique(quantiles, return_inverse=True)
    y = np.bincount(group, weights=level) / np.bincount(group)
    y[group[_KNOTS_UP_TO_ALARM - 1]] = ALARM_BOUNDARY
    padding = (0, N_KNOTS - len(x))
    return np.pad(x, padding, mode="edge").astype(np.float32), np.pad(y, padding, mode="edge").astype(np.float32)


def level_below_share(share: float) -> float:
    """The calibrated score that a share of a calibration's false alarms is above, whatever the alarm quantile.

    Args:
        share: Of the normal frames above the alarm boundary, in (0, 1]; 1 gives the boundary.

    Returns:
        The score at the quantile 1 - share (1 - a), as float32 has it; see the module's description.

    Example:
    >>> [round(level_below_share(share), 3) for share in (1, 0.5, 0.1)]
    [0.5, 0.55, 0.59]
    """
    return float(np.float32(_level_above(1 - share)))


def _level_above(way: Any) -> Any:
    """Calibrated score at a part of the way from the alarm quantile to the highest normal score."""
    return ALARM_BOUNDARY + (_HIGHEST_LEVEL - ALARM_BOUNDARY) * way


def apply_calibration(raw: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Calibrated scores, with core TensorFlow operations only, so that it can live in an exported graph.

    Args:
        raw: float32 of any shape.
        x: float32 (K,), knots of ``calibration_knots``.
        y: float32 (K,), their calibrated scores.

    Returns:
        float32 like ``raw``, in (0, 1), increasing with ``raw``; NaN where ``raw`` is NaN.

    Example:
    >>> x, y = calibration_knots(np.arange(1001), alarm_quantile=0.99)
    >>> apply_calibration([-1e9, 990.0, 2000.0], x, y).numpy().round(3)
    array([0.   , 0.5  , 0.798], dtype=float32)
    """
    raw = tf.convert_to_tensor(raw, tf.float32)
    x, y = tf.convert_to_tensor(x, tf.float32), tf.convert_to_tensor(y, tf.float32)

    right = tf.reshape(tf.searchsorted(x, tf.reshape(raw, [-1]), side="right"), tf.shape(raw))
    right = tf.clip_by_value(right, 1, tf.shape(x)[0] - 1)
    x0, x1 = tf.gather(x, right - 1), tf.gather(x, right)
    y0, y1 = tf.gather(y, right - 1), tf.gather(y, right)
    inside = y0 + (y1 - y0) * tf.clip_by_value(tf.math.divide_no_nan(raw - x0, x1 - x0), 0.0, 1.0)

    spread, size = x[-1] - x[0], tf.abs(x[0])
    scale = tf.where(spread > 0, spread, tf.where(size > 0, size, tf.ones_like(size)))
    largest = 1e30  # keeps z / (1 + z) a number for infinite raw scores
    beyond = tf.clip_by_value((raw - x[-1]) / scale, 0.0, largest)
    short = tf.clip_by_value((x[0] - raw) / scale, 0.0, largest)
    calibrated = tf.where(raw >= x[-1], y[-1] + (1 - y[-1]) * (beyond / (1 + beyond)), inside)
    calibrated = tf.where(raw < x[0], y[0] / (1 + short), calibrated)
    calibrated = tf.clip_by_value(calibrated, _EPSILON, 1 - _EPSILON)
    return tf.where(tf.math.is_nan(raw), raw, calibrated)


def told_calibration(report: Mapping[str, Any]) -> list[str]:
    """Sentences about an alarm boundary: what was set, and how far the promise can be trusted.

    Args:
        report: What ``VideoAnomalyDetector.calibrate`` returned.
    """
    hours = report["normal_hours"]
    length = "" if hours is None else f", {hours:.2f} h"
    lines = [
        f"alarm boundary {report['boundary']:.6g}: {100 * report['alarm_quantile']:.2f} % of {report['normal_frames']} "
        f"normal frames of {report['normal_videos']} videos{length} are at or below it."
    ]
    if "false_alarms_per_hour" not in report:
        return lines
    promised, check, by = report["false_alarms_per_hour"], report["rate_check"], report["boundary_by"]
    empirical, tail = report["boundaries"]["empirical"], report["boundaries"]["tail"]
    told_tail = (
        "the footage has too few peaks of the score for one from its tail"
        if tail is None
        else f"from the tail of its {tail['peaks']} highest peaks {tail['boundary']:.6g} (95 % interval of the rate "
        f"there {tail['low_per_hour']:.2g} to {tail['high_per_hour']:.2g} an hour)"
    )
    lines.append(
        f"boundary for {promised:g} false alarms an hour by the scores that the footage shows {empirical:.6g}, "
        f"{told_tail}; taken is the {'former' if by == 'empirical' else 'latter'}."
    )
    too_short = hours * promised < 1 and by == "empirical"
    if too_short:
        lines.append(
            f"note: {promised:g} an hour is less than one alarm in this footage; no normal frame of it is above the "
            f"boundary, but to measure so low a rate takes {1 / promised:.2g} h of normal footage or more. A boundary "
            "from the tail (--boundary tail) reckons with scores that the footage does not show."
        )
    if check is None:
        lines.append(
            "note: too few videos, or too short ones, to check the promise on one that did not set the boundary; give "
            "more."
        )
        return lines
    reason = "the footage is too short for so low a rate" if too_short else "the footage differs from video to video"
    verdict = {
        True: "kept",
        False: f"NOT kept: {reason}; give more of it" + (", or take --boundary tail" if too_short else ""),
        None: f"cannot be told from so little footage; {check['hours_to_tell']:.2g} h would tell",
    }
    under_alarm = f", under alarm for {100 * check['alarmed_share']:.1f} % of the time" if check["alarms"] else ""
    lines.append(
        f"promised {promised:g} false alarms an hour; videos left out in turn raised {check['alarms']} in "
        f"{check['hours']:.2f} h, {check['seen_per_hour']:.3g} an hour (95 % interval {check['low_per_hour']:.3g} "
        f"to {check['high_per_hour']:.3g}){under_alarm}: {verdict[check['kept']]}."
    )
    return lines

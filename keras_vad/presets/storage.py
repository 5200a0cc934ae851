"""Storing a detector's weights in half the bytes, where its scores do not show it."""

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_vad.artifacts.keras_file import load_detector
from keras_vad.data.base import Video
from keras_vad.errors import VadError
from keras_vad.models.detector import VideoAnomalyDetector

#: The largest change of a score that counts as none, in standard deviations of the scores of normal video.
LARGEST_CHANGE = 0.05

_WEIGHTS = "model.weights.h5"


def store_in_float16(file: Path, videos: Sequence[Video]) -> dict[str, Any]:
    """Rewrite a detector file with the kernels of its networks in float16; loading gives float32 again.

    Kernels are trainable weights of two dimensions or more, nearly all bytes of a file. Biases, norms, calibration and
    what else was measured stay in float32: they are small, and range further than float16 does.

    Args:
        file: A ``.keras`` file, replaced when all is well.
        videos: Normal videos, held out from training, whose scores tell whether the change shows.

    Returns:
        Plain values for the card: ``weights`` (``"float16"``), ``bytes_in_float32``, ``frames`` that were scored,
        ``largest_change`` of their raw scores, in standard deviations, and ``alarms_changed``, in frames.

    Raises:
        VadError: If a weight is too large for float16, a score changes by more than ``LARGEST_CHANGE``, or the videos
            cannot be scored; the file is as it was then.
    """
    detector = load_detector(file)
    before = [detector.score_video(video) for video in videos]
    _round_kernels(detector, file)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        rounded, stored = Path(folder, "rounded.keras"), Path(folder, file.name)
        detector.save(rounded)
        _pack(rounded, stored)
        after = [load_detector(stored).score_video(video) for video in videos]
        raw, new = (np.concatenate([scores.raw for scores in both]) for both in (before, after))
        alarm, new_alarm = (np.concatenate([scores.alarm for scores in both]) for both in (before, after))
        change = float(np.abs(new - raw).max() / max(float(raw.std()), np.finfo(np.float32).tiny))
        if not change <= LARGEST_CHANGE:
            raise VadError(
                f"with weights in float16 a score of normal video changes by {change:.3g} standard deviations, but at "
                f"most {LARGEST_CHANGE:g} counts as none; publish it in float32."
            )
        about = {
            "weights": "float16",
            "bytes_in_float32": file.stat().st_size,
            "frames": len(raw),
            "largest_change": change,
            "alarms_changed": int((alarm != new_alarm).sum()),
        }
        shutil.copyfile(stored, file)
    return about


def _round_kernels(detector: VideoAnomalyDetector, file: Path) -> None:
    for weight in detector.trainable_weights:
        if len(weight.shape) > 1:
            with np.errstate(over="ignore"):
                half = np.asarray(weight, np.float32).astype(np.float16)
            if not np.isfinite(half).all():
                raise VadError(f"{file} has a weight too large for float16 ({weight.path}); publish it in float32.")
            weight.assign(half.astype(np.float32))


def _pack(rounded: Path, stored: Path) -> None:
    """Copy the archive; arrays of which float16 loses nothing are float16 in the copy."""
    with zipfile.ZipFile(rounded) as old, zipfile.ZipFile(stored, "w") as new:
        for member in old.namelist():
            if member != _WEIGHTS:
                new.writestr(member, old.read(member))
        weights = stored.with_name(_WEIGHTS)
        old.extract(_WEIGHTS, weights.parent)
        packed = weights.with_name(f"packed-{_WEIGHTS}")
        with h5py.File(weights) as source, h5py.File(packed, "w") as target:
            _copy(source, target)
        new.write(packed, _WEIGHTS)


def _copy(source: h5py.Group, target: h5py.Group) -> None:
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name))
            continue
        values = item[()]
        if item.dtype == np.float32 and item.ndim > 1:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            values = half if np.array_equal(half.astype(np.float32), values) else values
        target.create_dataset(name, data=values).attrs.update(item.attrs)

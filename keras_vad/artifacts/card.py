"""The card of a model: what it is, what it takes, where it comes from; JSON that programs and people read.

Every version carries its own, ``assets.extra/model_card.json``; beside the versions lies a copy of the newest one's.
TensorFlow Serving looks at neither.
"""

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_vad
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.registry import method_of
from keras_vad.scoring.chunks import fit_chunk_length
from keras_vad.scoring.series import ALARM_BOUNDARY


def model_card(
    detector: VideoAnomalyDetector,
    name: str,
    *,
    calibration: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The card of a detector, but for the number of its version.

    Args:
        detector: The detector.
        name: The model's name in the zoo.
        calibration: What ``VideoAnomalyDetector.calibrate`` returned, if it is known.
        training: Where the weights come from, see ``RunFolder.training``; if it is known.

    Returns:
        Plain values. ``input.chunk_length`` is what clients send by default; a chunk may have any length from
        ``shortest_chunk`` in steps of ``chunk_step``, and then gives each frame the score of the whole video.
    """
    window = detector.window
    boundary = np.argmax(detector.calibration_level.numpy() >= ALARM_BOUNDARY)
    return {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "method": method_of(detector),
        "paper": detector.paper,
        "parameters": int(sum(np.prod(weight.shape) for weight in detector.trainable_variables)),
        "input": {
            "height": window.size[0],
            "width": window.size[1],
            "channels": window.channels,
            "length": window.length,
            "step": window.step,
            "span": window.span,
            "hop": window.hop,
            "targets": list(window.targets),
            "offsets": list(window.scored),
            "chunk_length": fit_chunk_length(window),
            "shortest_chunk": fit_chunk_length(window, 1),
            "chunk_step": window.hop,
        },
        "calibration": {
            **(calibration or {}),
            "alarm_above": ALARM_BOUNDARY,
            "boundary": float(detector.calibration_raw.numpy()[boundary]),
        },
        "training": None if training is None else dict(training),
        "config": detector.get_config(),
        "libraries": {
            "keras_vad": keras_vad.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "python": platform.python_version(),
        },
    }


def card_text(card: Mapping[str, Any], version: int) -> str:
    """The card of one version as JSON; name and version come first."""
    return json.dumps({"name": card["name"], "version": version, **card}, indent=2, ensure_ascii=False) + "\n"

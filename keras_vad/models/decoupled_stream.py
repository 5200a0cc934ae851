"""Scoring a running video with ``decoupled``, one frame at a time."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.models.decoupled import DecoupledAppearanceMotion
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.scoring.calibrate import apply_calibration
from keras_vad.scoring.series import ALARM_BOUNDARY


@dataclass(frozen=True)
class FrameScore:
    """The score of one frame.

    Args:
        frame: Its number, counted from 0.
        raw: The method's own score; higher is more anomalous.
        calibrated: In (0, 1); above 0.5 is an alarm.
    """

    frame: int
    raw: float
    calibrated: float

    @property
    def alarm(self) -> bool:
        """Whether the calibrated score is above 0.5."""
        return self.calibrated > ALARM_BOUNDARY


class DecoupledStream:
    """Scores a video while it runs; every frame is encoded once (section 3.4).

    It keeps the latent codes of as many frames as a window spans, and the encoder's features of the last few frames if
    the score needs the decoder. The scores are those of ``score_video``, to rounding errors.

    Args:
        detector: A trained ``decoupled`` detector.

    Raises:
        VadError: If the detector is of another method.

    Example:
    >>> detector = DecoupledAppearanceMotion(image_size=16, channels=(2, 4), window_length=2, step=1, horizon=1)
    >>> stream = DecoupledStream(detector)
    >>> scores = [stream.push(frame) for frame in np.zeros((5, 48, 64, 3), "uint8")]
    >>> [score and score.frame for score in scores]
    [None, None, 2, 3, 4]
    """

    def __init__(self, detector: VideoAnomalyDetector) -> None:
        if not isinstance(detector, DecoupledAppearanceMotion):
            raise VadError(f"streaming needs a decoupled detector, but got {type(detector).__name__}; use score_video.")
        self._detector = detector
        frame = tf.TensorSpec((None, None, 3), tf.uint8)
        self._encode = tf.function(self._encode_frame, input_signature=[frame], autograph=False)
        self._score = tf.function(self._score_frame, autograph=False)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: the next frame is the first of another video."""
        window = self._detector.window
        self._codes: deque[tf.Tensor] = deque(maxlen=window.span)
        self._features: deque[list[tf.Tensor]] = deque(maxlen=window.step + 1)
        self._seen = 0

    def push(self, frame: np.ndarray) -> FrameScore | None:
        """Take the next frame of the video.

        Args:
            frame: uint8, (H0, W0, 3), RGB, 0 to 255.

        Returns:
            Its score, or ``None`` while there are too few frames before it.

        Raises:
            VadError: If it is not such a frame.
        """
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise VadError(f"frame {self._seen} is {frame.dtype} {frame.shape}, but must be uint8 (height, width, 3).")
        inputs, code, features = self._encode(frame)
        self._codes.append(code)
        self._features.append(features)
        self._seen += 1
        window = self._detector.window
        if len(self._codes) < window.span:
            return None
        past = [self._codes[number * window.step] for number in range(window.length)]
        raw, calibrated = self._score(past, code, self._features[0], inputs)
        return FrameScore(self._seen - 1, float(raw), float(calibrated))

    def _encode_frame(self, frame: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        inputs = self._detector.preprocess(frame[None])
        *features, code = self._detector.encoder(inputs, training=False)
        return inputs, code, self._detector.used_features(features) if self._detector.needs_decoder else []

    def _score_frame(
        self, past: list[tf.Tensor], code: tf.Tensor, features: list[tf.Tensor], inputs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        detector = self._detector
        raw = detector.compare(tf.stack(past, axis=1), code, features, inputs)["frame_scores"][0, 0]
        knots = tf.convert_to_tensor(detector.calibration_raw), tf.convert_to_tensor(detector.calibration_level)
        return raw, apply_calibration(raw, *knots)

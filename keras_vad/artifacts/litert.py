"""Edge variants: a detector as a LiteRT file for small computers, and the same detector run from it.

The file scores one window: ``frames`` uint8 (1, F, h, w, 3), the frames of ``Window.frames`` at the model's size in RGB
-> ``raw_scores`` float32 (1, scored frames), ``maps`` float32 (1, scored frames, h', w'). Cutting a video into windows,
the mean over the windows that a frame lies in, and the calibration of that mean are left to the caller, as
``EdgeDetector`` does them.
"""

import json
import os
import re
import tempfile
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_vad.artifacts.layout import CARD_NAME
from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_each
from keras_vad.models.detector import VideoAnomalyDetector, VideoLike, frames_of
from keras_vad.models.registry import method_of
from keras_vad.scoring.calibrate import apply_calibration
from keras_vad.scoring.series import VideoScores, score_in_chunks
from keras_vad.window import Window

PRECISIONS = ("float32", "float16", "int8")
MODEL_NAME = "model.tflite"

_CALIBRATION_WINDOWS = 32
_LARGEST_SHARE = 0.9  # of the size in 16 bits, where 8 bits are worth it; about 0.6 if all layers have them
# Where scores are made of a network's output: 8 bits would leave 256 different scores.
_KEPT_IN_FLOAT = (
    *("ABS", "ADD", "ADD_N", "DIV", "EQUAL", "EXP", "LOG", "MAXIMUM", "MEAN", "MINIMUM", "MUL", "REDUCE_MAX"),
    *("REDUCE_MIN", "RSQRT", "SELECT", "SELECT_V2", "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "SUM"),
    *("BROADCAST_TO", "CAST", "EXPAND_DIMS", "GATHER", "PACK", "RESHAPE", "SLICE", "SQUEEZE", "STRIDED_SLICE", "TILE"),
    *("TRANSPOSE", "UNPACK"),
)


def convert(detector: VideoAnomalyDetector, precision: str, normal: Sequence[VideoLike] = ()) -> bytes:
    """A detector as a LiteRT file.

    Args:
        detector: A trained, calibrated detector.
        precision: ``"float32"``; ``"float16"`` stores weights in 16 bits; ``"int8"`` computes the networks in 8 bits,
            what is before and after them in float32.
        normal: For ``"int8"``: videos of normal scenes, the calibration set. They tell the ranges of what the layers
            give. What is unusual gives more, so every window is also taken with every other frame inverted: without
            those all anomalies would get the score of the largest normal one.

    Raises:
        VadError: If the precision is unknown, LiteRT lacks an operation of the method, its layers have no 8-bit form,
            or there are no videos for ``"int8"``.
    """
    if precision not in PRECISIONS:
        raise VadError(f"precision is {precision!r}, but must be one of {', '.join(PRECISIONS)}.")
    with tempfile.TemporaryDirectory() as folder:
        _save(detector, folder)
        if precision != "int8":
            return _converted(detector, folder, precision)
        windows = list(calibration_windows(detector.window, normal))
        if not windows:
            raise VadError("int8 got no normal videos, but takes the ranges of its layers from some; name a data set.")
        quantized = _quantized(detector, folder, windows)
        if len(quantized) > _LARGEST_SHARE * len(_converted(detector, folder, "float16")):
            raise VadError(
                f"{method_of(detector)} has no int8 form: LiteRT computes most of its layers in floating point only, "
                "as 3D convolutions and recurrent layers; use float16."
            )
        return quantized


class EdgeDetector:
    """A detector that LiteRT runs.

    Args:
        folder: Folder with ``model.tflite`` and the card that tells its window, see ``keras-vad edge``.
        threads: Threads of LiteRT; as many as there are processors if ``None``.

    Raises:
        VadError: If the folder does not hold them, or they do not belong together.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        file, card = folder / MODEL_NAME, folder / CARD_NAME
        try:
            self.card: dict[str, Any] = json.loads(card.read_text("utf-8"))
            self.window = window_of_card(self.card)
            self._knots = [np.float32(self.card["edge"]["calibration"][name]) for name in ("raw", "level")]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # later versions of TensorFlow will not have it
                self._interpreter = tf.lite.Interpreter(str(file), num_threads=threads or os.cpu_count())
            self._score = self._interpreter.get_signature_runner()
            shape = tuple(int(size) for size in self._score.get_input_details()["frames"]["shape"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise VadError(f"{folder} holds no edge variant ({reason}); make one with keras-vad edge.") from error
        if shape != (1, len(self.window.frames), *self.window.size, 3):
            raise VadError(f"{file} takes frames {shape}, but its card tells of another model; make it anew.")

    def score_video(self, video: VideoLike, *, maps: bool = False) -> VideoScores:
        """Score a whole video; as ``VideoAnomalyDetector.score_video``.

        Args:
            video: A video file, a folder of frames, a ``Video``, or its frames, uint8 (H0, W0, 3) each.
            maps: Whether to keep the anomaly maps.

        Raises:
            VadError: If the video cannot be read or is shorter than one window.
        """
        frames = resize_each(frames_of(video), self.window.size)
        return score_in_chunks(frames, self.window, lambda chunk: self._score_chunk(chunk, maps))

    def _score_chunk(self, chunk: np.ndarray, maps: bool) -> dict[str, np.ndarray]:
        """What ``VideoAnomalyDetector.score_chunk`` gives, window by window, for uint8 (1, N, h, w, 3)."""
        n_frames, window = chunk.shape[1], self.window
        wanted = ["raw_scores", *(["maps"] if maps else [])]
        sums: dict[str, Any] = dict.fromkeys(wanted, 0.0)
        counts = np.zeros(n_frames, np.float32)
        last_regular = (n_frames - window.span) // window.hop * window.hop
        for start in window.starts(n_frames):
            answer = self._score(frames=chunk[:, start + np.array(window.frames)])
            for number, offset in enumerate(window.scored):
                # A window at the end counts only for frames that the others do not score.
                if start > last_regular and start + offset <= last_regular + max(window.scored):
                    continue
                counts[start + offset] += 1
                for name in wanted:
                    value = answer[name][0, number]
                    if not isinstance(sums[name], np.ndarray):
                        sums[name] = np.zeros((n_frames, *value.shape), np.float32)
                    sums[name][start + offset] += value
        offsets = np.flatnonzero(counts)
        means = {
            name: (total[offsets] / counts[offsets].reshape(-1, *[1] * (total.ndim - 1)))[np.newaxis]
            for name, total in sums.items()
        }
        scores = apply_calibration(means["raw_scores"], *self._knots).numpy()
        return {**means, "scores": scores, "frame_offsets": offsets[np.newaxis]}


def calibration_windows(window: Window, videos: Sequence[VideoLike]) -> Iterator[np.ndarray]:
    """The calibration set of int8.

    Args:
        window: The detector's window.
        videos: Videos of normal scenes; those that are shorter than the window are left out.

    Returns:
        Windows at equal distances, uint8 (1, F, h, w, 3), each followed by itself with every other frame inverted.
    """
    each = -(-_CALIBRATION_WINDOWS // max(1, len(videos)))
    for video in videos:
        frames = frames_of(video)
        if not isinstance(frames, Sized):
            frames = list(frames)
        last = len(frames) - window.span
        starts = set(np.linspace(0, last, each).astype(int).tolist()) if last >= 0 else set()
        held: deque[np.ndarray] = deque(maxlen=window.span)  # not the whole video, which may be hours long
        for number, frame in enumerate(resize_each(frames, window.size)):
            held.append(frame)
            if number - window.span + 1 in starts:
                clip = np.stack([held[offset] for offset in window.frames])[np.newaxis]
                yield clip
                strange = clip.copy()
                strange[:, ::2] = 255 - strange[:, ::2]
                yield strange


def calibration_of(detector: VideoAnomalyDetector) -> dict[str, list[float]]:
    """The knots of a detector's calibration, as the card of its edge variants tells them."""
    knots = {"raw": detector.calibration_raw, "level": detector.calibration_level}
    return {name: [float(value) for value in np.asarray(weight)] for name, weight in knots.items()}


def window_of_card(card: Mapping[str, Any]) -> Window:
    """The window that a model's card tells of."""
    about = card["input"]
    return Window(
        length=about["length"],
        size=(about["height"], about["width"]),
        channels=about["channels"],
        step=about["step"],
        offsets=tuple(about["offsets"]),
        targets=tuple(about["targets"]),
        hop=about["hop"],
    )


def _save(detector: VideoAnomalyDetector, folder: str) -> None:
    """Write the scoring of one window as a SavedModel without variables."""
    window = detector.window
    frames = tf.TensorSpec((1, len(window.frames), *window.size, 3), tf.uint8, name="frames")
    outputs = {"raw_scores": "frame_scores", "maps": "maps"}

    def score(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        output = detector.anomaly(detector.preprocess(frames))
        return {name: tf.cast(output[part], tf.float32) for name, part in outputs.items()}

    graph = tf.function(score, input_signature=[frames], autograph=False).get_concrete_function()
    names = sorted(graph.structured_outputs)  # the order in which a graph without names gives them
    module = tf.Module()
    module.frozen = convert_variables_to_constants_v2(graph)
    module.score = tf.function(
        lambda frames: dict(zip(names, module.frozen(frames), strict=True)), input_signature=[frames], autograph=False
    )
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, folder, signatures=module.score, options=options)


def _converter(folder: str) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(folder)


def _converted(detector: VideoAnomalyDetector, folder: str, precision: str) -> bytes:
    converter = _converter(folder)
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter has an exception of its own, and raises others
        raise VadError(_refusal(detector, error)) from error


def _quantized(detector: VideoAnomalyDetector, folder: str, windows: Sequence[np.ndarray]) -> bytes:
    def calibration_set() -> Iterator[dict[str, np.ndarray]]:
        for window in windows:
            yield {"frames": window}

    converter = _converter(folder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration_set
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=list(_KEPT_IN_FLOAT))
    try:
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=calibration_set, debug_options=options
        )
        return bytes(debugger.get_nondebug_quantized_model())
    except Exception as error:
        raise VadError(_refusal(detector, error)) from error


def _refusal(detector: VideoAnomalyDetector, error: Exception) -> str:
    missing = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", str(error))))
    if missing:
        return (
            f"{method_of(detector)} has no LiteRT form: it needs {', '.join(missing)}, which LiteRT cannot compute; "
            "serve it, or choose another method."
        )
    return f"{method_of(detector)} cannot be converted to LiteRT ({' '.join(str(error).split())[:200]}); serve it."

"""Export: a detector as a SavedModel that TensorFlow Serving runs, in an immutable version of the zoo."""

import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.files import appearing
from keras_vad.models.detector import VideoAnomalyDetector

DETECTOR_FILE = Path("assets.extra") / "detector.keras"


def export(detector: VideoAnomalyDetector, zoo: Path, name: str) -> Path:
    """Publish a detector as the next version of a model in a zoo folder.

    The version is written beside its place and renamed last, so a server that watches the folder never sees half of
    it; versions are never changed. Signatures, all batch-first:

    * ``serving_default``: ``frames`` uint8 (B, N, H, W, 3), RGB of any size, N >= the window's span -> ``scores``
      float32 (B, M) calibrated to [0, 1], ``raw_scores`` float32 (B, M), ``frame_offsets`` int32 (B, M).
    * ``score_maps``: the same and ``maps`` float32 (B, M, h, w).
    * ``describe``: ``query`` int32 (B,), ignored -> ``length``, ``step``, ``span``, ``hop``, ``height``, ``width``,
      ``channels`` int32 (B,) and ``offsets`` int32 (B, scored frames of a window): all that a client must know.

    Args:
        detector: A trained, calibrated detector.
        zoo: The zoo folder.
        name: The model's name in it: letters, digits, ``_``, ``-`` and ``.``.

    Returns:
        The folder of the version, ``zoo/name/number``.

    Raises:
        VadError: If the detector's graph has parts outside TensorFlow, the name does not serve, or the folder cannot
            be written; nothing is left then.
    """
    if detector.not_exportable_because:
        raise VadError(f"{detector.name} cannot be exported: {detector.not_exportable_because}.")
    check_name(name)
    model_folder = zoo / name
    number = 1 + max(versions(model_folder), default=0)
    target = model_folder / str(number)
    with appearing(target) as partial:
        try:
            _archive(detector).write_out(str(partial), verbose=False)
            (partial / DETECTOR_FILE).parent.mkdir(exist_ok=True)
            detector.save(partial / DETECTOR_FILE)
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
    return target


def check_name(name: str) -> None:
    """Refuse a name that does not serve for a model, which is a folder and part of addresses.

    Raises:
        VadError: If it has characters other than letters, digits, ``_``, ``-`` and ``.``, or starts with one of these
            three.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise VadError(
            f"the model name {name!r} does not serve; it must start with a letter or digit, and have only letters, "
            "digits, '_', '-' and '.'."
        )


def versions(model_folder: Path) -> list[int]:
    """Versions of a model in a zoo folder, ascending."""
    if not model_folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in model_folder.iterdir() if entry.name.isdigit() and entry.is_dir())


def _archive(detector: VideoAnomalyDetector) -> keras.export.ExportArchive:
    window = detector.window
    outputs = ("scores", "raw_scores", "frame_offsets")

    def serving_default(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        result = detector.score_chunk(frames)
        return {name: result[name] for name in outputs}

    def score_maps(frames: tf.Tensor) -> dict[str, tf.Tensor]:
        result = detector.score_chunk(frames, maps=True)
        return {name: result[name] for name in (*outputs, "maps")}

    def describe(query: tf.Tensor) -> dict[str, tf.Tensor]:
        def constant(value: Any) -> tf.Tensor:
            value = tf.constant(value, tf.int32)
            return tf.broadcast_to(value, tf.concat([tf.shape(query), tf.shape(value)], 0))

        return {
            "length": constant(window.length),
            "step": constant(window.step),
            "span": constant(window.span),
            "hop": constant(window.hop),
            "height": constant(window.size[0]),
            "width": constant(window.size[1]),
            "channels": constant(window.channels),
            "offsets": constant(window.scored),
        }

    archive = keras.export.ExportArchive()
    archive.track(detector)
    frames = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")
    archive.add_endpoint("serving_default", serving_default, input_signature=[frames])
    archive.add_endpoint("score_maps", score_maps, input_signature=[frames])
    archive.add_endpoint("describe", describe, input_signature=[tf.TensorSpec((None,), tf.int32, name="query")])
    return archive

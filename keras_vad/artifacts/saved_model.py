"""Export: a detector as a SavedModel that TensorFlow Serving runs, in an immutable version of the zoo."""

import errno
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_vad.artifacts.card import card_text, model_card
from keras_vad.artifacts.layout import CARD_FILE, CARD_NAME, DETECTOR_FILE
from keras_vad.artifacts.signatures import archive, signatures_of
from keras_vad.artifacts.warmup import write_warmup
from keras_vad.common.files import scratch, write_text
from keras_vad.common.names import check_name, versions
from keras_vad.errors import VadError
from keras_vad.models.detector import VideoAnomalyDetector


def export(
    detector: VideoAnomalyDetector,
    zoo: Path,
    name: str,
    *,
    calibration: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> Path:
    """Publish a detector as the next version of a model in a zoo folder.

    The version is written beside its place and renamed last, so a server that watches the folder never sees half of
    it; versions are never changed. Processes may publish the same model at once: each gets a version of its own.
    Signatures, all batch-first:

    * ``serving_default``: ``frames`` uint8 (B, N, H, W, 3), RGB of any size, N >= the window's span -> ``scores``
      float32 (B, M) calibrated to [0, 1], ``raw_scores`` float32 (B, M), ``frame_offsets`` int32 (B, M).
    * ``score_maps``: the same and ``maps`` float32 (B, M, h, w).
    * ``score_jpegs``: ``jpegs`` string (B, N), the frames as image files (JPEG, PNG, BMP, GIF) -> as
      ``serving_default``. Every frame is resized by itself to the model's size.
    * ``describe``: ``query`` int32 (B,), ignored -> ``length``, ``step``, ``span``, ``hop``, ``height``, ``width``,
      ``channels`` int32 (B,) and ``offsets`` int32 (B, scored frames of a window): all that a client must know.

    Beside the graph the version holds the detector itself, warm-up requests for TensorFlow Serving and its card; a copy
    of the newest version's card lies beside the versions (see ``keras_vad.artifacts.card``).

    Args:
        detector: A trained, calibrated detector.
        zoo: The zoo folder.
        name: The model's name in it: letters, digits, ``_``, ``-`` and ``.``.
        calibration: For the card: how the alarm boundary came about (``VideoAnomalyDetector.calibrate``).
        training: For the card: where the weights come from.

    Returns:
        The folder of the version, ``zoo/name/number``.

    Raises:
        VadError: If the detector's graph has parts outside TensorFlow, the name does not serve, or the folder cannot
            be written; nothing is left then.
    """
    if detector.not_exportable_because:
        raise VadError(f"{detector.name} cannot be exported: {detector.not_exportable_because}.")
    check_name(name)
    folder = zoo / name
    with scratch(folder / str(_next(folder))) as work:
        version = work / "version"
        try:
            archive(detector).write_out(str(version), verbose=False)
            write_warmup(version, name, detector.window)
            detector.save(version / DETECTOR_FILE)
        except tf.errors.OpError as error:
            raise OSError(error.message) from error
        card = model_card(detector, name, calibration=calibration, training=training)
        card["signatures"] = signatures_of(version)
        target = _claim(work, folder, card)
    _settle_card(folder)
    return target


def _next(folder: Path) -> int:
    return 1 + max(versions(folder), default=0)


def _claim(work: Path, folder: Path, card: Mapping[str, Any]) -> Path:
    """Give the finished version its number; another process may take the same one first."""
    version, copy = work / "version", work / CARD_NAME
    number = _next(folder)
    while True:
        # Both cards are written before the version appears: once it has, a full disk must not fail the export.
        for path in (version / CARD_FILE, copy):
            path.write_text(card_text(card, number), "utf-8")
        target = folder / str(number)
        try:
            version.rename(target)  # fails where a version is: only an empty folder would be replaced
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            number = max(number + 1, _next(folder))
        else:
            copy.rename(folder / CARD_NAME)
            return target


def _settle_card(folder: Path) -> None:
    """Make the card beside the versions the newest one's, also if processes that publish at once finish out of order.

    Whoever comes last looks after writing, so it is right in the end.
    """
    with suppress(VadError, OSError):  # the version is published whatever happens to this copy
        while (newest := _newest_card(folder)) != (folder / CARD_NAME).read_text("utf-8"):
            write_text(folder / CARD_NAME, newest)


def _newest_card(folder: Path) -> str:
    return (folder / str(versions(folder)[-1]) / CARD_FILE).read_text("utf-8")

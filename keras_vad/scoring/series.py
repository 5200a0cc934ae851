"""The scores of a video, frame by frame, put together from a detector's answers to its chunks."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from keras_vad.errors import VadError
from keras_vad.scoring.chunks import Chunk, iter_chunks
from keras_vad.scoring.maps import reduce_maps
from keras_vad.window import Window

ALARM_BOUNDARY = 0.5  # of calibrated scores
PART_PREFIX = "part/"


@dataclass(frozen=True)
class VideoScores:
    """Anomaly scores of the m scored frames of one video, in order.

    Args:
        frame_index: int64 (m,), frame numbers from 0, strictly increasing. A prediction method scores no first frames.
        raw: float32 (m,), the method's own score; higher is more anomalous. Unit and range are the method's.
        calibrated: float32 (m,) in (0, 1); above 0.5 is an alarm.
        parts: Name -> float32 (m,), scores that the method's score is made of, raw.
        maps: float32 (m, h, w), raw error maps, perhaps reduced, or ``None`` if they were not asked for.
        time_s: float64 (m,), seconds from the first frame of the video to each; ``None`` if it has no clock.
    """

    frame_index: np.ndarray
    raw: np.ndarray
    calibrated: np.ndarray
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    maps: np.ndarray | None = None
    time_s: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame_index)

    @property
    def alarm(self) -> np.ndarray:
        """Where the calibrated score is above 0.5; bool (m,)."""
        return self.calibrated > ALARM_BOUNDARY


def score_in_chunks(
    frames: Iterable[np.ndarray],
    window: Window,
    score_chunk: Callable[[np.ndarray], Mapping[str, np.ndarray]],
    chunk_length: int | None = None,
    map_size: tuple[int, int] | None = None,
) -> VideoScores:
    """Score a video with any function that scores a chunk; the one way for a model in process and for a served one.

    Args:
        frames: uint8 (H, W, 3) each, in order; read once, never held whole.
        window: The detector's window.
        score_chunk: Takes uint8 (1, N, H, W, 3) and gives what ``VideoAnomalyDetector.score_chunk`` gives, as arrays
            with the batch dimension.
        chunk_length: Frames in a chunk; the scores do not depend on it (see ``keras_vad.scoring.chunks``).
        map_size: Reduce the maps of each chunk to at most (height, width), see ``keras_vad.scoring.maps``.

    Raises:
        VadError: If the video is shorter than one window.
    """

    def answer(chunk: Chunk) -> dict[str, np.ndarray]:
        arrays = {key: np.asarray(value)[0] for key, value in score_chunk(chunk.frames[np.newaxis]).items()}
        if map_size is not None and "maps" in arrays:
            arrays["maps"] = reduce_maps(arrays["maps"], map_size)
        return arrays

    return assemble((chunk, answer(chunk)) for chunk in iter_chunks(frames, window, chunk_length))


def assemble(answers: Iterable[tuple[Chunk, Mapping[str, np.ndarray]]]) -> VideoScores:
    """Put the answers to a video's chunks together.

    Args:
        answers: The chunks of ``iter_chunks`` in order, each with its answer without the batch dimension:
            ``raw_scores``, ``scores`` and ``frame_offsets`` (M,), ``part/<name>`` (M,) if any, ``maps`` (M, h, w) if
            asked for.

    Raises:
        VadError: If an answer lacks the scores, or the chunks have different parts.
    """
    pieces: dict[str, list[np.ndarray]] = {}
    for chunk, answer in answers:
        missing = {"raw_scores", "scores", "frame_offsets"} - answer.keys()
        if missing or (pieces and pieces.keys() != answer.keys()):
            raise VadError(
                f"the model's answer holds {sorted(answer)}, but must hold frame_offsets, raw_scores and scores, and "
                "the same for every chunk; export the model again."
            )
        frame_numbers = chunk.start + np.asarray(answer["frame_offsets"], np.int64)
        keep = (frame_numbers >= chunk.keep.start) & (frame_numbers < chunk.keep.stop)
        for key, value in answer.items():
            pieces.setdefault(key, []).append((frame_numbers if key == "frame_offsets" else np.asarray(value))[keep])
    joined = {key: np.concatenate(arrays) for key, arrays in pieces.items()}
    if not joined:
        raise VadError("the video has no chunks, but at least one is needed; give a video that is not empty.")
    return VideoScores(
        frame_index=joined["frame_offsets"],
        raw=joined["raw_scores"],
        calibrated=joined["scores"],
        parts={key.removeprefix(PART_PREFIX): value for key, value in joined.items() if key.startswith(PART_PREFIX)},
        maps=joined.get("maps"),
    )


def finite_scores(scores: np.ndarray, needed_by: str) -> np.ndarray:
    """The scores as float64, or an error if there is none or one is not finite.

    Args:
        scores: Any shape.
        needed_by: What needs them, for the message.

    Raises:
        VadError: If there are no scores, or one is NaN or infinite.
    """
    scores = np.asarray(scores, np.float64)
    if scores.size == 0:
        raise VadError(f"{needed_by} got no scores, but needs at least one; give a video that is not empty.")
    bad = np.count_nonzero(~np.isfinite(scores))
    if bad:
        raise VadError(
            f"{bad} of {scores.size} scores are NaN or infinite, but {needed_by} needs finite ones; the model may have "
            "diverged: train it again with a lower learning rate."
        )
    return scores

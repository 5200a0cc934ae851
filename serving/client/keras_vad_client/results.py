"""What comes back: scores of frames, put together from the answers to chunks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from keras_vad_client.chunks import Chunk
from keras_vad_client.errors import VadClientError
from keras_vad_client.events import ALARM_BOUNDARY
from keras_vad_client.smoothing import CausalMean
from keras_vad_client.window import Window


@dataclass(frozen=True)
class FrameScore:
    """The anomaly score of one frame.

    Args:
        frame: Frame number from 0. A prediction method scores no first frames.
        raw: The method's own score; higher is more anomalous. Unit and range are the method's.
        calibrated: In 0 to 1; above 0.5 is an alarm.
        score: ``calibrated``, smoothed as the client was asked to.
        map: float32 (h, w), the raw error map, or ``None`` if it was not asked for.
    """

    frame: int
    raw: float
    calibrated: float
    score: float
    map: np.ndarray | None = None

    @property
    def alarm(self) -> bool:
        """Whether ``score`` is above 0.5."""
        return self.score > ALARM_BOUNDARY


@dataclass(frozen=True)
class VideoScores:
    """The anomaly scores of the m scored frames of one video, in order.

    Args:
        frame_index: int64 (m,), frame numbers from 0, strictly increasing.
        raw: float32 (m,), see ``FrameScore``.
        calibrated: float32 (m,) in 0 to 1.
        score: float64 (m,), ``calibrated`` smoothed.
        maps: float32 (m, h, w), or ``None`` if they were not asked for.
    """

    frame_index: np.ndarray
    raw: np.ndarray
    calibrated: np.ndarray
    score: np.ndarray
    maps: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.frame_index)

    @property
    def alarm(self) -> np.ndarray:
        """Where ``score`` is above 0.5; bool (m,)."""
        return self.score > ALARM_BOUNDARY

    @classmethod
    def collect(cls, results: Iterable[FrameScore]) -> VideoScores:
        """Put the scores of a video's frames together."""
        results = list(results)
        maps = [result.map for result in results if result.map is not None]
        return cls(
            frame_index=np.array([result.frame for result in results], np.int64),
            raw=np.array([result.raw for result in results], np.float32),
            calibrated=np.array([result.calibrated for result in results], np.float32),
            score=np.array([result.score for result in results], np.float64),
            maps=np.stack(maps) if maps else None,
        )


class Assembler:
    """Takes the answers to a video's chunks, in order, and gives the scores that became final with each.

    Args:
        window: The model's window.
        smoothing: Frames to smooth over, see ``CausalMean``.
        maps: Whether answers have maps.
    """

    def __init__(self, window: Window, smoothing: int, maps: bool) -> None:
        self._window = window
        self._scored: set[int] = set()  # offsets in the chunk
        self._length = 0  # frames in the chunk
        self._mean = CausalMean(smoothing)
        self._maps = maps

    def take(self, chunk: Chunk, answer: Mapping[str, np.ndarray]) -> list[FrameScore]:
        """The scores of the frames that the chunk keeps.

        Args:
            chunk: The chunk.
            answer: ``scores``, ``raw_scores``, ``frame_offsets`` (1, M), and ``maps`` (1, M, h, w) if asked for.

        Raises:
            VadClientError: If the answer lacks one of them, or the score of a frame.
        """
        wanted = ["frame_offsets", "raw_scores", "scores", *(["maps"] if self._maps else [])]
        arrays = [answer[name] for name in wanted if name in answer]
        if len(arrays) < len(wanted) or any(array.shape[:2] != arrays[0].shape for array in arrays):
            shapes = {name: array.shape for name, array in sorted(answer.items())}
            raise VadClientError(
                f"the model answers {shapes}, but must answer {', '.join(wanted)}, one a frame; export the model again."
            )
        offsets, raw, calibrated = (array[0].tolist() for array in arrays[:3])
        self._check_complete(chunk, set(offsets))
        results = []
        for place, offset in enumerate(offsets):
            frame = chunk.start + offset
            if frame in chunk.keep:
                smooth = self._mean.push(calibrated[place])
                # A copy, so that a map that is kept does not keep those of the whole chunk.
                error_map = arrays[3][0, place].copy() if self._maps else None
                results.append(FrameScore(frame, raw[place], calibrated[place], smooth, error_map))
        return results

    def _check_complete(self, chunk: Chunk, answered: set[int]) -> None:
        if (
            chunk.frames is not None and len(chunk.frames) != self._length
        ):  # chunks have one length, but for a short video
            self._length = len(chunk.frames)
            self._scored = self._window.scored_in(self._length)
        missing = {offset for offset in self._scored - answered if chunk.start + offset in chunk.keep}
        if missing:
            raise VadClientError(
                f"the model answers no score for frame {chunk.start + min(missing)}, though its window has one; start "
                "the stream again, or export the model again."
            )

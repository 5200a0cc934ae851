"""How a video travels to a detector: in chunks of constant length whose scores fit together exactly.

The chunks, and so the scores, are those of ``keras_vad.scoring.chunks``, which says why they fit. What differs is when
they are known: a chunk is given out with the frame that fills it, not when the frames after it have shown that another
one follows. Until then it keeps only those frames whose scores are final either way; if none follows, its answer is
used once more, for the rest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from keras_vad_client.errors import VadClientError
from keras_vad_client.window import Window

DEFAULT_CHUNK_LENGTH = 64


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video, and the frames whose scores to take from the detector's answer.

    Args:
        frames: The frames, as they were given; ``None`` if the answer to the chunk before holds these scores too.
        start: Frame number in the video of the chunk's first frame.
        keep: Frame numbers in the video. The ``keep`` of a video's chunks follow each other without gap or overlap.
    """

    frames: list[Any] | None
    start: int
    keep: range


def fit_chunk_length(window: Window, chunk_length: int | None = None) -> int:
    """The shortest usable chunk length, span + k hop, that is not below ``chunk_length``.

    Args:
        window: The model's window.
        chunk_length: Frames wished for; 64 if ``None``.

    Raises:
        VadClientError: If ``chunk_length`` is below 1.
    """
    wanted = DEFAULT_CHUNK_LENGTH if chunk_length is None else chunk_length
    if wanted < 1:
        raise VadClientError(f"chunk length is {wanted}, but must be at least 1 frame.")
    hops = max(_ceil_div(_scored_width(window), window.hop) - 1, _ceil_div(wanted - window.span, window.hop))
    return window.span + hops * window.hop


def new_frames(window: Window, length: int) -> int:
    """Frames from the start of one chunk to that of the next: those of a chunk that the one before does not score.

    Args:
        window: The model's window.
        length: Frames in a chunk, from ``fit_chunk_length``.
    """
    windows = (length - window.span) // window.hop + 1
    return (windows + 1 - _ceil_div(_scored_width(window), window.hop)) * window.hop


class Chunker:
    """Cuts one video into chunks while it arrives; holds less than the frames of one chunk and one hop.

    Args:
        window: The model's window.
        chunk_length: Frames in a chunk, rounded up by ``fit_chunk_length``.

    Raises:
        VadClientError: If ``chunk_length`` is below 1.

    Example:
    >>> window = Window(length=16, step=1, span=16, hop=16, height=8, width=8, channels=1, offsets=tuple(range(16)))
    >>> chunker = Chunker(window, chunk_length=32)
    >>> chunks = [chunk for frame in range(40) for chunk in [chunker.push(frame)] if chunk]
    >>> [(chunk.start, len(chunk.frames or []), chunk.keep) for chunk in [*chunks, *chunker.finish()]]
    [(0, 32, range(0, 32)), (8, 32, range(32, 40))]
    """

    def __init__(self, window: Window, chunk_length: int | None = None) -> None:
        self._window = window
        self._length = fit_chunk_length(window, chunk_length)
        self._regular = (self._length - window.span) // window.hop + 1  # windows in a chunk
        self._stride = new_frames(window, self._length)
        self._held: deque[Any] = deque(maxlen=self._length + window.hop - 1)
        self._n = 0  # frames so far
        self._start = 0  # of the next chunk
        self._kept = 0  # frames below this number have their scores
        self._last_stop = 0  # frame number after the last frame of the last chunk; 0 if there was none

    def push(self, frame: Any) -> Chunk | None:
        """Take the next frame; give the chunk that it fills, if it fills one."""
        self._held.append(frame)
        self._n += 1
        if self._n < self._start + self._length:
            return None
        next_window = self._start + self._regular * self._window.hop
        # The next window may never come: then frames that only it scores are left to the tail's window.
        keep_to = min(next_window + min(self._window.offsets), self._scored_to(next_window - self._window.hop))
        chunk = self._chunk(self._start, keep_to)
        self._start += self._stride
        self._last_stop = self._n
        return chunk

    def finish(self) -> list[Chunk]:
        """The chunks that are left when the video has ended.

        Raises:
            VadClientError: If the video is shorter than one window.
        """
        n, span, length = self._n, self._window.span, self._length
        if n < span:
            raise VadClientError(
                f"the video has {n} frames, but this model needs at least {span}; give it a longer video."
            )
        if n < length:
            return [self._chunk(0, n)]
        last_regular = (n - span) // self._window.hop * self._window.hop
        complete = last_regular + span == n
        chunks = [self._chunk(last_regular + span - length, n if complete else self._scored_to(last_regular))]
        if not complete:
            chunks.append(self._chunk(n - length, n))
        return [chunk for chunk in chunks if chunk.frames is not None or chunk.keep]

    def _chunk(self, start: int, keep_to: int) -> Chunk:
        keep = range(self._kept, keep_to)
        self._kept = keep_to
        if start + self._length == self._last_stop:
            return Chunk(None, start, keep)
        held_from = self._n - len(self._held)
        frames = [self._held[i] for i in range(start - held_from, min(start + self._length, self._n) - held_from)]
        return Chunk(frames, start, keep)

    def _scored_to(self, window_start: int) -> int:
        """Frame number after the last one that a window scores."""
        return window_start + max(self._window.offsets) + 1


def _scored_width(window: Window) -> int:
    return max(window.offsets) - min(window.offsets) + 1


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)

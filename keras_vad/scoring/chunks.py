"""How a video travels to a detector: in chunks of constant length whose scores fit together exactly.

A detector scores a chunk of N frames (``VideoAnomalyDetector.score_chunk``, in process or behind a server) with windows
at frames 0, hop, 2 hop, ... of the chunk, and with one more window that ends at the chunk's last frame when the others
do not reach it. That **tail window** counts only for frames after the last frame that the others score. A frame in
several windows gets their mean.

A frame's score must not depend on the length of the chunks. Let o1 and o2 be the first and last scored offset of the
window, S its span, h its hop, and let a chunk hold N = S + k h frames:

* A chunk that starts at s, a multiple of h, holds the video's windows s, s + h, ..., s + k h and no tail window. The
  windows outside it score no frame of s - h + o2 + 1, ..., s + (k + 1) h + o1 - 1: there its means are the video's, and
  these are the frames it may keep. The next chunk starts at most (k + 2) h - (o2 - o1 + 1) frames later, so that
  what they keep meets. This must be at least h, which bounds k from below.
* The last such chunk ends with the video's last regular window, r, and keeps all that is left up to frame r + o2.
* If the video goes on, its tail window starts at t with r < t < r + h. One more chunk ends with the video and keeps the
  frames after r + o2. Its windows are t, t - h, ...; of these only t scores a frame after r + o2, as t - h < r.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from keras_vad.errors import VadError
from keras_vad.window import Window

DEFAULT_CHUNK_LENGTH = 64


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a video, and the frames whose scores to take from the detector's answer.

    Args:
        frames: uint8 (N, H, W, 3).
        start: Frame number in the video of the chunk's first frame.
        keep: Frame numbers in the video. The ``keep`` of a video's chunks follow each other without gap or overlap.
    """

    frames: np.ndarray
    start: int
    keep: range


def fit_chunk_length(window: Window, chunk_length: int | None = None) -> int:
    """The shortest usable chunk length, span + k hop, that is not below ``chunk_length``.

    Args:
        window: The detector's window.
        chunk_length: Frames wished for; 64 if ``None``.

    Raises:
        VadError: If ``chunk_length`` is below 1.

    Example:
    >>> fit_chunk_length(Window(length=16, size=(8, 8), hop=16))
    64
    >>> fit_chunk_length(Window(length=16, size=(8, 8), hop=1), chunk_length=20)  # room for all windows of a frame
    31
    """
    wanted = DEFAULT_CHUNK_LENGTH if chunk_length is None else chunk_length
    if wanted < 1:
        raise VadError(f"chunk length is {wanted}, but must be at least 1 frame.")
    hops_needed = _ceil_div(_scored_width(window), window.hop) - 1
    hops_wanted = _ceil_div(wanted - window.span, window.hop)
    return window.span + max(hops_needed, hops_wanted) * window.hop


def iter_chunks(frames: Iterable[np.ndarray], window: Window, chunk_length: int | None = None) -> Iterator[Chunk]:
    """Cut a video into chunks while it is being decoded; at most about two chunks of frames are held.

    All chunks have the same length, except that a video shorter than a chunk is one chunk of its own length.

    Args:
        frames: uint8 (H, W, 3) each, in order.
        window: The detector's window.
        chunk_length: Frames in a chunk, rounded up by ``fit_chunk_length``.

    Raises:
        VadError: If the video is shorter than one window, or a frame is not like the first one.

    Example:
    >>> video = np.zeros((100, 8, 8, 3), np.uint8)
    >>> for chunk in iter_chunks(video, Window(length=16, size=(8, 8), hop=16), chunk_length=64):
    ...     print(chunk.start, len(chunk.frames), chunk.keep)
    0 64 range(0, 64)
    32 64 range(64, 96)
    36 64 range(96, 100)
    """
    length = fit_chunk_length(window, chunk_length)
    first_offset, last_offset = min(window.scored), max(window.scored)
    regular_windows = (length - window.span) // window.hop + 1
    advance = (regular_windows + 1 - _ceil_div(_scored_width(window), window.hop)) * window.hop

    held: list[np.ndarray] = []
    held_from = 0  # frame number of held[0]
    start = 0  # of the next chunk
    kept = 0  # frames below this number have their scores
    n = 0

    def chunk(at: int, keep_to: int) -> Chunk:
        return Chunk(np.stack(held[at - held_from : at - held_from + length]), at, range(kept, keep_to))

    for frame in frames:
        _check_frame(frame, held[0] if held else None, n)
        held.append(frame)
        n += 1
        if n == start + length + window.hop:  # the video has a regular window after this chunk's last one
            keep_to = start + regular_windows * window.hop + first_offset
            yield chunk(start, keep_to)
            kept = keep_to
            # No later chunk starts before the next regular window.
            del held[: start + window.hop - held_from]
            held_from = start + window.hop
            start += advance

    last_regular = window.starts(n)[-1] // window.hop * window.hop
    if n <= length:
        yield Chunk(np.stack(held), 0, range(0, n))
    elif last_regular + window.span == n:
        yield chunk(n - length, n)
    else:
        keep_to = last_regular + last_offset + 1
        yield chunk(last_regular + window.span - length, keep_to)
        kept = keep_to
        yield chunk(n - length, n)


def _scored_width(window: Window) -> int:
    return max(window.scored) - min(window.scored) + 1


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _check_frame(frame: np.ndarray, first: np.ndarray | None, number: int) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
        raise VadError(f"frame {number} is {frame.dtype} {frame.shape}, but must be uint8 (height, width, 3).")
    if first is not None and frame.shape != first.shape:
        raise VadError(
            f"frame {number} has size {frame.shape[:2]}, but the frames before it {first.shape[:2]}; "
            "give a video whose frames all have one size."
        )

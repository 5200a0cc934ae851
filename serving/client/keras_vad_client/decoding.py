"""Frames of a container as FFmpeg would show them: when each is shown, which way is up, what is missing.

The rules are those of ``keras_vad.data.decoding``, which tests compare with these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

MOST_LOST = 0.05  # share of a file's frames that may be damaged or missing before it is refused

_ERRORS_IN_A_ROW = 1000  # of a container: whoever cannot find its way back after so many does not


def has_clock(container: Any) -> bool:
    """Whether frames come with times; those of raw streams and multipart JPEG are FFmpeg's guess."""
    import av

    flags: Any = container.format.flags
    return not flags & av.format.Flags.no_timestamps.value


def times_increase(container: Any) -> bool:
    """Whether frames' times can be relied on; AVI numbers packets, which are in another order with B-frames."""
    return not ("avi" in container.format.name and container.streams.video[0].codec_context.has_b_frames)


def nominal_rate(container: Any) -> float | None:
    """Frames a second by the container's word; ``None`` without a clock."""
    stream = container.streams.video[0]
    # AVI counts two packets for each frame with B-frames: there the base rate is right and the mean is not.
    rates = stream.average_rate, stream.guessed_rate
    rate = rates[1] if "avi" in container.format.name else rates[0]
    rate = rate or rates[0] or rates[1]
    return float(rate) if rate and has_clock(container) else None


class Promise:
    """How many frames, or how many seconds, the container promises of its video track, if it does."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._frames: int | None = None
        self._seconds: float | None = None
        self._rate = float(stream.average_rate or stream.guessed_rate or 0)
        name = container.format.name
        if "mov" in name:
            # The index has an entry a frame; those that an edit list hides are marked.
            self._frames = sum(not entry.is_discard for entry in stream.index_entries)
        elif "matroska" in name:
            track = stream.metadata.get("DURATION")
            alone = len(container.streams) == 1
            if track is not None:
                hours, minutes, seconds = track.split(":")
                self._seconds = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
            elif alone and container.duration:  # of several tracks the container's is the longest one's
                self._seconds = container.duration / 1_000_000  # FFmpeg counts microseconds
        elif stream.frames and self._rate:
            self._seconds = stream.frames / self._rate

    def missing(self, count: int, last: float | None) -> int:
        """Frames that were promised and did not come.

        Args:
            count: Frames that came.
            last: Time of the last one.
        """
        if self._frames is not None:
            return max(0, self._frames - count)
        if self._seconds is None or last is None or not self._rate:
            return 0
        # One frame lasts after the last time; headers of sound files promise a little more than decoders give.
        missing = self._seconds - last - 1 / self._rate
        mean = (last + 1 / self._rate) / count
        return round(missing / mean) if missing > max(2 * mean, 0.02 * self._seconds) else 0


def packets_of(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream; ``None`` for what cannot be read of the container."""
    import av

    packets = container.demux(stream)
    errors = 0
    while errors < _ERRORS_IN_A_ROW:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.ExitError:  # the time to wait is over
            raise
        except av.FFmpegError:
            errors += 1
            packets = container.demux(stream)
            yield None
            continue
        errors = 0
        yield packet


def display_matrix(frame: Any) -> tuple[int, int, int, int] | None:
    """(a, b, c, d) of the matrix that says how a frame is shown; ``None`` if it is shown as it is stored."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(memoryview(data), np.int32).tolist()
    return a, b, c, d


def upright(image: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """Turn and mirror an image as its display matrix says.

    Args:
        image: (H, W, 3).
        matrix: A stored point (x, y) is shown at (a x + c y, b x + d y). Turns by other angles than quarters, which no
            camera makes, are left alone.

    Returns:
        (H, W, 3) or (W, H, 3), contiguous.

    Example:
    >>> upright(np.arange(6).reshape(2, 3, 1), (0, 1, -1, 0))[..., 0]  # a quarter clockwise
    array([[3, 0],
           [4, 1],
           [5, 2]])
    """
    if matrix is None:
        return image
    a, b, c, d = matrix
    if a == d == 0 and b and c:
        image, across, down = image.swapaxes(0, 1), c, b
    elif b == c == 0 and a and d:
        across, down = a, d
    else:
        return image
    image = image[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1]
    return np.ascontiguousarray(image)

"""How the served model looks at time, as its signature ``describe`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_vad_client.errors import VadClientError

_NUMBERS = ("length", "step", "span", "hop", "height", "width", "channels")


@dataclass(frozen=True)
class Window:
    """The frames of one model input, and what its output speaks of.

    Args:
        length: Number of input frames.
        step: Frames of the video between two of them.
        span: Frames of the video that a window reaches over, from its first input frame to the last frame it needs.
        hop: Frames between the starts of consecutive windows.
        height: Of the model's input in pixels.
        width: Likewise.
        channels: Of the model's input: 1 (gray) or 3 (RGB). Frames are sent as RGB all the same.
        offsets: Offsets from the window's first frame of the frames that get a score.
    """

    length: int
    step: int
    span: int
    hop: int
    height: int
    width: int
    channels: int
    offsets: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the model's input."""
        return self.height, self.width

    def scored_in(self, n: int) -> set[int]:
        """Offsets of the frames that get a score, of a chunk of ``n`` frames.

        Windows start at every multiple of ``hop``; when they do not reach the last frame, one more ends there, which
        scores only frames after the last one that the others score.
        """
        last = n - self.span
        starts = range(0, last + 1, self.hop)
        scored = {start + offset for start in starts for offset in self.offsets}
        after = max(scored, default=-1)
        return scored | {last + offset for offset in self.offsets if last + offset > after}

    @classmethod
    def from_answer(cls, answer: Mapping[str, np.ndarray]) -> Window:
        """The window from what ``describe`` answers to one query: int32 (1,) each, ``offsets`` int32 (1, n).

        Raises:
            VadClientError: If something is missing or out of range.
        """
        try:
            window = cls(
                **{name: int(answer[name][0]) for name in _NUMBERS},
                offsets=tuple(int(offset) for offset in answer["offsets"][0]),
            )
        except (KeyError, IndexError, TypeError) as error:
            raise VadClientError(
                f"the model's signature describe answers {sorted(answer)}, but must answer {', '.join(_NUMBERS)} and "
                "offsets; export the model again."
            ) from error
        offsets = window.offsets
        if min(window.length, window.step, window.hop, *window.size) < 1 or not offsets or max(offsets) >= window.span:
            raise VadClientError(f"the model describes its window as {window}, which cannot be; export it again.")
        return window

"""How a detector looks at time: which frames enter a window and which of them get a score."""

from collections.abc import Sequence
from dataclasses import dataclass

from keras_vad.errors import VadError


@dataclass(frozen=True)
class Window:
    """The frames of one model input, and what its output speaks of.

    Offsets count frames of the video from the first frame of the window, so they include ``step``.

    Args:
        length: Number of input frames, T.
        size: (height, width) of the model input in pixels.
        channels: Channels of the model input after preprocessing: 1 (gray) or 3 (RGB).
        step: Frames of the video between two input frames when scoring.
        offsets: Offsets of the scored frames; every input frame if ``None``.
        targets: Offsets of further frames that follow the T input frames, such as the frame that a prediction method
            predicts.
        hop: Frames between the starts of consecutive windows when scoring. A frame that lies in several windows gets
            the mean of its scores.

    Example:
    >>> window = Window(length=16, size=(128, 192), hop=16)
    >>> window.span
    16
    >>> window.starts(40)
    [0, 16, 24]
    """

    length: int
    size: tuple[int, int]
    channels: int = 1
    step: int = 1
    offsets: tuple[int, ...] | None = None
    targets: tuple[int, ...] = ()
    hop: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        for name in ("length", "step", "hop"):
            if getattr(self, name) < 1:
                raise VadError(f"window {name} is {getattr(self, name)}, but must be at least 1.")
        if self.offsets is None:
            object.__setattr__(self, "offsets", tuple(range(0, self.length * self.step, self.step)))
        if min(self.targets, default=0) < 0:
            raise VadError(f"window targets are {self.targets}, but an offset must be at least 0.")

    @property
    def span(self) -> int:
        """Frames of the video from the first input frame to the last frame needed (input, scored or target)."""
        return 1 + max(*self.frames, *self.scored)

    @property
    def frames(self) -> tuple[int, ...]:
        """Offsets of all frames of a window, in its order: the T input frames, then the targets."""
        return (*range(0, self.length * self.step, self.step), *self.targets)

    @property
    def scored(self) -> tuple[int, ...]:
        """Offsets of the scored frames."""
        assert self.offsets is not None
        return self.offsets

    def starts(self, n_frames: int) -> list[int]:
        """First frames of the windows that score a video of ``n_frames`` frames.

        Windows start at every multiple of ``hop``. When they do not reach the last frame, one more window ends there;
        it scores only frames after the last one that the others score, so that a frame's score does not depend on the
        length of the video or of the chunk it travels in (see ``keras_vad.scoring.chunks``).

        Raises:
            VadError: If the video is shorter than one window.
        """
        if n_frames < self.span:
            raise VadError(
                f"the video has {n_frames} frames, but this model needs at least {self.span}; give it a longer video."
            )
        last = n_frames - self.span
        starts = list(range(0, last + 1, self.hop))
        return starts if starts[-1] == last else [*starts, last]


def as_size(value: int | Sequence[int], name: str = "image_size") -> tuple[int, int]:
    """(height, width) from one number for both or from a pair.

    Raises:
        VadError: If it is neither, or below 1; it says what ``name`` is.
    """
    pair = [value, value] if isinstance(value, int) else list(value)
    if len(pair) != 2 or not all(isinstance(number, int) and number >= 1 for number in pair):
        raise VadError(f"{name} is {value!r}, but must be (height, width), or one number for both, of at least 1.")
    return pair[0], pair[1]

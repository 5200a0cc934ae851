"""What every data-set reader offers."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

from keras_vad.data.recordings import LeftOut
from keras_vad.data.video import Labels, Video


class VideoDataset(ABC):
    """Training videos of normal scenes, and test videos with their labels.

    Readers list and count files when they are opened, and say what is missing by its path; frames are decoded later.

    Attributes:
        name: Its key.
        left_out: What was found and does not serve as a video, to be told to the user.
        of_the_user: Whether these are recordings of the user's own, of which one that is too short or damaged may be
            left out of training; of a published data set none may.
    """

    name: str
    left_out: Sequence[LeftOut] = ()
    of_the_user = False

    @abstractmethod
    def train_videos(self) -> list[Video]:
        """The training videos in natural order; normal footage only."""

    @abstractmethod
    def test_videos(self) -> list[tuple[Video, Labels | None]]:
        """The test videos in natural order, each with its labels or ``None`` where there are none."""

    def fingerprint(self) -> str:
        """A hash of all frames as stored and all frame labels: runs with equal fingerprints saw equal data."""
        digest = hashlib.sha256(self.name.encode())
        for video in self.train_videos():
            digest.update(f"train {video.name} {video.frames.content_key()}".encode())
        for video, labels in self.test_videos():
            digest.update(f"test {video.name} {video.frames.content_key()}".encode())
            digest.update(b"unlabelled" if labels is None else labels.frame.tobytes())
        return digest.hexdigest()[:16]

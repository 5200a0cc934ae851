"""The UCSD pedestrian data sets (Mahadevan et al., CVPR 2010), and data in their layout.

Layout: ``Train/Train001/001.tif``, ``Test/Test001/001.tif``, pixel masks ``Test/Test001_gt/001.bmp``, and frame ranges
in one ``Test/*.m`` file, a line ``TestVideoFile{end+1}.gt_frame = [61:180];`` for each test clip. Any image type will
do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_vad.data.base import VideoDataset
from keras_vad.data.video import FrameFolder, Labels, Video, image_files, read_image, visible
from keras_vad.errors import VadError


@dataclass(frozen=True)
class UCSDCounts:
    """What a complete copy holds.

    Args:
        folder: Name of the data set's folder.
        train: Frames of each training clip.
        test: Frames of each test clip.
        masked: Number of test clips with pixel masks.
        fps: Frames a second.
    """

    folder: str
    train: tuple[int, ...]
    test: tuple[int, ...]
    masked: int
    fps: float = 10.0


PED1 = UCSDCounts("UCSDped1", train=(200,) * 34, test=(200,) * 36, masked=10)
PED2 = UCSDCounts(
    "UCSDped2",
    train=(120, 150, 150, 180, 180, 150, 150, 120, 180, 180, 180, 180, 180, 150, 150, 150),
    test=(180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180),
    masked=12,
)


class UCSDDataset(VideoDataset):
    """A data set in the layout of UCSD Ped1 and Ped2.

    Args:
        name: Key of the data set.
        data_dir: The folder with ``Train`` and ``Test``, or one that holds ``expected.folder`` at most three levels
            below.
        expected: What a complete copy holds; without it any number of clips and frames will do.

    Raises:
        VadError: If something is missing, by its path.
    """

    def __init__(self, name: str, data_dir: Path, expected: UCSDCounts | None = None) -> None:
        self.name = name
        self.fps = None if expected is None else expected.fps
        self.path = _find(data_dir, expected)
        self._train = _clips(self.path / "Train")
        self._test = _clips(self.path / "Test")
        self._masks = {clip.path.name: _masks(clip) for clip in self._test}
        if expected is not None:
            _check_frames(self.path / "Train", self._train, expected.train)
            _check_frames(self.path / "Test", self._test, expected.test)
        self._check_masks(len(self._test) if expected is None else expected.masked)
        self._frame_labels = _frame_labels(self.path / "Test", [len(clip) for clip in self._test])

    def train_videos(self) -> list[Video]:
        """The clips below ``Train``."""
        return [Video(clip.path.name, clip, self.fps) for clip in self._train]

    def test_videos(self) -> list[tuple[Video, Labels | None]]:
        """The clips below ``Test``, labelled by the frame ranges; with pixel masks where the clip has them."""
        videos: list[tuple[Video, Labels | None]] = []
        for clip, frame_labels in zip(self._test, self._frame_labels, strict=True):
            name = clip.path.name
            paths = self._masks[name]
            labels = Labels(frame_labels, None if paths is None else PixelMasks(paths, clip))
            videos.append((Video(name, clip, self.fps), labels))
        return videos

    def _check_masks(self, expected: int) -> None:
        without = [name for name, paths in self._masks.items() if paths is None]
        found = len(self._masks) - len(without)
        if found < expected:
            raise VadError(
                f"{self.path / 'Test'} holds pixel masks of {found} clips, but {expected} are expected "
                f"(there is no folder {without[0]}_gt); unpack the data set again."
            )


class PixelMasks:
    """The pixel masks of one clip, read when asked for.

    Args:
        paths: One image a frame, in order; anything but 0 is anomalous.
        clip: The frames they belong to.
    """

    def __init__(self, paths: Sequence[Path], clip: FrameFolder) -> None:
        self._paths = paths
        self._clip = clip

    def __call__(self, frame: int) -> np.ndarray:
        """The mask of a frame number: bool (H, W).

        Raises:
            VadError: If the mask is not the size of the frames.
        """
        path = self._paths[frame]
        image = read_image(path)
        mask = (image if image.ndim == 2 else image.max(axis=-1)) > 0
        if mask.shape != self._clip.size:
            raise VadError(
                f"the mask {path} is {mask.shape[1]}x{mask.shape[0]}, but the frames in {self._clip.path} are "
                f"{self._clip.size[1]}x{self._clip.size[0]}; unpack the data set again."
            )
        return mask


def _find(data_dir: Path, expected: UCSDCounts | None) -> Path:
    """The folder with ``Train`` and ``Test``."""

    def complete(path: Path) -> bool:
        return (path / "Train").is_dir() and (path / "Test").is_dir()

    if complete(data_dir):
        return data_dir
    if expected is None:
        missing = "Test" if (data_dir / "Train").is_dir() else "Train"
        raise VadError(f"{data_dir} holds no folder {missing}; give the folder with the folders Train and Test.")
    for pattern in (expected.folder, f"*/{expected.folder}", f"*/*/{expected.folder}"):
        for path in sorted(data_dir.glob(pattern)):
            if complete(path):
                return path
    raise VadError(
        f"{data_dir} holds no folder {expected.folder} with the folders Train and Test in it; unpack the data set "
        "there or give the folder it lies in."
    )


def _clips(folder: Path) -> list[FrameFolder]:
    paths = [path for path in visible(folder) if path.is_dir() and not path.name.endswith("_gt")]
    if not paths:
        raise VadError(f"{folder} holds no clips; it must hold one folder of frames a clip: unpack the data set again.")
    return [FrameFolder(path) for path in paths]


def _masks(clip: FrameFolder) -> list[Path] | None:
    """Mask images of a clip, matched by their order: some clips of Ped2 name them ``frame001.bmp``."""
    folder = clip.path.with_name(clip.path.name + "_gt")
    if not folder.is_dir():
        return None
    paths, others = image_files(folder)
    if others:
        raise VadError(f"{others[0]} is no image, but {folder} holds the frames of one clip only; move it elsewhere.")
    if len(paths) != len(clip):
        raise VadError(
            f"{folder} holds {len(paths)} masks, but {clip.path} holds {len(clip)} frames; unpack the data set again."
        )
    return paths


def _check_frames(folder: Path, clips: Sequence[FrameFolder], expected: Sequence[int]) -> None:
    if len(clips) != len(expected):
        raise VadError(
            f"{folder} holds {len(clips)} clips, but the data set has {len(expected)}; unpack it again, or read what "
            "is there with the data set 'folder'."
        )
    for clip, n_frames in zip(clips, expected, strict=True):
        if len(clip) != n_frames:
            raise VadError(f"{clip.path} holds {len(clip)} frames, but the clip has {n_frames}; unpack it again.")


def _frame_labels(folder: Path, lengths: Sequence[int]) -> list[np.ndarray]:
    """Frame labels of every test clip from the ``.m`` file, whose ranges count from 1 and include their end."""
    files = [path for path in visible(folder) if path.suffix == ".m"]
    if len(files) != 1:
        raise VadError(
            f"{folder} holds {len(files)} .m files, but one with the frame ranges of the test clips is expected; "
            "unpack the data set again."
        )
    code = re.sub(r"%.*", "", files[0].read_text())
    clips = re.findall(r"gt_frame\s*=\s*\[([^\]]*)\]", code)
    if len(clips) != len(lengths):
        raise VadError(
            f"{files[0]} labels {len(clips)} clips, but {folder} holds {len(lengths)}; unpack the data set again."
        )
    labels = []
    for number, (ranges, n_frames) in enumerate(zip(clips, lengths, strict=True), start=1):
        frame = np.zeros(n_frames, bool)
        for text in re.sub(r"\s*:\s*", ":", ranges).replace(",", " ").split():
            match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
            if not 1 <= first <= last <= n_frames:
                raise VadError(
                    f"{files[0]} gives clip {number} the frames {text}, but FIRST:LAST between 1 and {n_frames} is "
                    "expected; correct it or unpack the data set again."
                )
            frame[first - 1 : last] = True
        labels.append(frame)
    return labels

"""Any folder of videos or of frame folders.

Layout: ``DIR/train`` and ``DIR/test``, each holding video files or folders of frames, in folders of any depth (or
frames themselves: one video), and optionally ``DIR/labels.csv`` with a line ``video,start,end`` for each anomalous
range of a test video, frames counted from 1, end included. A ``DIR`` without ``train`` holds training videos itself.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_vad.data.base import VideoDataset
from keras_vad.data.recordings import LeftOut, find_recordings
from keras_vad.data.video import Labels, Video, video_name
from keras_vad.errors import VadError


class FolderDataset(VideoDataset):
    """Training videos of normal scenes in a folder; test videos and labels are optional.

    Args:
        data_dir: The folder.

    Raises:
        VadError: If it holds no training videos, or two of the same name.
    """

    name = "folder"
    of_the_user = True

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir
        train, test = data_dir / "train", data_dir / "test"
        self.left_out: list[LeftOut] = []
        self._test: list[Video] = []
        if train.is_dir():
            self._train = self._find(train)
            if test.is_dir():
                self._test = self._find(test)
        elif test.is_dir():
            raise VadError(
                f"{data_dir} holds a folder test but no folder train; put videos of normal scenes in {train}."
            )
        else:
            self._train = self._find(data_dir)
        labels = data_dir / "labels.csv"
        self._ranges = _ranges(labels, self._test) if labels.exists() else None

    def _find(self, folder: Path) -> list[Video]:
        found = find_recordings(folder, frozenset({"labels.csv"}))
        self.left_out += found.left_out
        return found.videos

    def train_videos(self) -> list[Video]:
        """The videos below ``train``, or in the folder itself."""
        return list(self._train)

    def test_videos(self) -> list[tuple[Video, Labels | None]]:
        """The videos below ``test``; a video that ``labels.csv`` does not name is normal throughout.

        Raises:
            VadError: If a range of ``labels.csv`` reaches beyond its video.
        """
        if self._ranges is None:
            return [(video, None) for video in self._test]
        return [(video, Labels(self._frame_labels(video))) for video in self._test]

    def _frame_labels(self, video: Video) -> np.ndarray:
        assert self._ranges is not None
        frame = np.zeros(len(video.frames), bool)
        for line, start, end in self._ranges[video.name]:
            if end > len(frame):
                raise VadError(
                    f"line {line} of {self.path / 'labels.csv'} ends at frame {end}, but {video.name} has {len(frame)} "
                    "frames; correct the line."
                )
            frame[start - 1 : end] = True
        return frame


def _ranges(path: Path, videos: Sequence[Video]) -> dict[str, list[tuple[int, int, int]]]:
    """(line number, start, end) of the anomalous ranges of every test video."""
    ranges: dict[str, list[tuple[int, int, int]]] = {video.name: [] for video in videos}
    with path.open(newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        if next(reader, None) != ["video", "start", "end"]:
            raise VadError(f"{path} must begin with the line 'video,start,end'; add it.")
        for row in reader:
            if not row:
                continue
            line = reader.line_num
            if len(row) != 3 or not row[1].isdecimal() or not row[2].isdecimal() or not 1 <= int(row[1]) <= int(row[2]):
                raise VadError(
                    f"line {line} of {path} is {','.join(row)!r}, but VIDEO,START,END with frames counted from 1 and "
                    "START <= END is expected; correct the line."
                )
            name = video_name(Path(row[0]))
            if name not in ranges:
                raise VadError(
                    f"line {line} of {path} names the video {row[0]!r}, which is not in {path.parent / 'test'}; "
                    "correct the line."
                )
            ranges[name].append((line, int(row[1]), int(row[2])))
    return ranges

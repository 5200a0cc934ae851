"""Any folder of videos or of frame folders.

Layout: ``DIR/train`` and ``DIR/test``, each holding video files or folders of frames (or frames themselves: one
video), and optionally ``DIR/labels.csv`` with a line ``video,start,end`` for each anomalous range of a test video,
frames counted from 1, end included; as spreadsheets save it, with commas, semicolons or tabs, in UTF-8 or UTF-16. A
``DIR`` without ``train`` holds training videos itself.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_vad.data.base import VideoDataset
from keras_vad.data.recordings import LeftOut, find_recordings
from keras_vad.data.video import Labels, Video, video_name
from keras_vad.errors import VadError

_COLUMNS = ("video", "start", "end")


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
    rows = _rows(path)
    if next(rows, (0, []))[1] != list(_COLUMNS):
        raise VadError(f"{path} must begin with the line 'video,start,end'; add it.")
    for line, row in rows:
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


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of the lines that are not empty; the first with its names in lower case."""
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise VadError(
            f"{path} is not text in {encoding.removesuffix('-sig').upper()} (byte {error.start}), but labels are; save "
            "it as CSV in UTF-8."
        ) from error
    if "\0" in text:
        raise VadError(f"{path} is not text in UTF-8 (it holds zero bytes), but labels are; save it as CSV in UTF-8.")
    first = (text.splitlines() or [""])[0]
    delimiter = next((mark for mark in ";\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    begun = False
    for row in reader:
        cells = [cell.strip() for cell in row]
        while cells and not cells[-1]:  # spreadsheets write empty cells of other rows, too
            cells.pop()
        if cells:
            yield reader.line_num, cells if begun else [cell.lower() for cell in cells]
            begun = True

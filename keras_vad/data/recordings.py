"""Recordings below a folder, as recorders and people leave them: date folders, sidecar files, pictures beside films."""

from dataclasses import dataclass
from pathlib import Path

from keras_vad.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Video, open_video, video_name, visible
from keras_vad.errors import VadError


@dataclass(frozen=True)
class LeftOut:
    """What was found among recordings and does not serve as one.

    Args:
        name: Its path, or the video's name.
        reason: Why, to stand in brackets behind it.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


@dataclass(frozen=True)
class Recordings:
    """What lies below a folder.

    Args:
        videos: In natural order, each named by its path below the folder, without the suffix of a file.
        left_out: What serves as none.
    """

    videos: list[Video]
    left_out: list[LeftOut]


def find_recordings(folder: Path, ignored: frozenset[str] = frozenset()) -> Recordings:
    """Search a folder and those below it for video files and folders of frames.

    A folder that holds images and neither video files nor folders is one video. Images elsewhere, as recorders lay
    thumbnails beside their films, and files of other kinds are left out; so are video files that cannot be opened and,
    of several with the same content, all but the first.

    Args:
        folder: The folder.
        ignored: Names of files in the folder itself that are no recordings and need not be told.

    Raises:
        VadError: If there is no recording, or two have the same name.
    """
    found: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    _search(folder, folder, ignored, found, left_out)
    videos: list[Video] = []
    known: dict[str, str] = {}
    for name, path in found.items():
        try:
            video = open_video(path, name)
        except VadError as error:
            left_out.append(LeftOut(str(path), str(error).removeprefix(f"{path} ").rstrip(".")))
            continue
        key = video.frames.content_key()
        if key in known:
            left_out.append(LeftOut(str(path), f"the same as {known[key]}"))
            continue
        known[key] = name
        videos.append(video)
    if not videos:
        detail = f"; found {told(left_out)}" if left_out else ""
        raise VadError(f"{folder} holds no videos{detail}; put video files or folders of frames there.")
    return Recordings(videos, left_out)


def _search(folder: Path, root: Path, ignored: frozenset[str], found: dict[str, Path], left_out: list[LeftOut]) -> None:
    entries = [path for path in visible(folder) if not (folder == root and path.name in ignored)]
    folders = [path for path in entries if path.is_dir()]
    films = [path for path in entries if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()]
    images = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()]
    others = [path for path in entries if path not in {*folders, *films, *images}]
    is_video = bool(images) and not films and not folders
    if is_video:
        _take(folder, folder.name if folder == root else folder.relative_to(root).as_posix(), found)
    for path in entries:
        if path in films:
            _take(path, (path.parent.relative_to(root) / video_name(path)).as_posix(), found)
        elif path in folders:
            _search(path, root, frozenset(), found, left_out)
    if images and not is_video:
        what = "an image beside" if len(images) == 1 else f"{len(images)} images beside"
        left_out.append(LeftOut(str(folder), f"{what} {'videos' if films else 'folders'}"))
    if not is_video:  # a folder of frames tells its own
        left_out += [LeftOut(str(path), "neither a video nor an image") for path in others]
    if not entries and folder != root:
        left_out.append(LeftOut(str(folder), "an empty folder"))


def _take(path: Path, name: str, found: dict[str, Path]) -> None:
    if name in found:
        raise VadError(f"{path} and {found[name].name} would both be called {name!r}; rename one of them.")
    found[name] = path


def told(left_out: list[LeftOut], most: int = 5) -> str:
    """The first few of what was left out, and how many more there are.

    Example:
    >>> told([LeftOut("a.txt", "neither a video nor an image"), LeftOut("b", "too short")], most=1)
    'a.txt (neither a video nor an image) and 1 more'
    """
    shown = ", ".join(map(str, left_out[:most]))
    return shown if len(left_out) <= most else f"{shown} and {len(left_out) - most} more"

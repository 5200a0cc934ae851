"""Cutting a recording into parts, as training holds out whole videos."""

from contextlib import ExitStack
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from keras_vad.common.files import scratch
from keras_vad.data.video import VideoFile, video_name
from keras_vad.errors import VadError


def cut_video(path: Path, folder: Path, seconds: float, *, start: float = 0.0, end: float | None = None) -> list[Path]:
    """Copy a stretch of a video file into files of about equal length, without encoding it again.

    Encoding again would smooth the noise of the camera, and a detector would then take the camera's own for unusual.
    Parts can begin at key frames only, so they may be longer than asked for, by up to the distance of two key frames.

    Args:
        path: The video file.
        folder: Where the parts go, ``NAME_001.SUFFIX`` and so on; it is created.
        seconds: A part ends at the first key frame after so many seconds.
        start: Where the stretch starts, in seconds; it does so at the first key frame from there on.
        end: Where it ends, in seconds; ``None`` takes the rest of the video.

    Returns:
        The parts, in order.

    Raises:
        VadError: If the file is no video, the stretch is empty, a part exists already, or frames would be lost. No part
            is left then.
    """
    if seconds <= 0:
        raise VadError(f"the length of a part is {seconds:g} seconds, but must be above 0.")
    video = VideoFile(path)
    name = video_name(path)
    if folder.is_dir() and (there := sorted(folder.glob(f"{name}_[0-9][0-9][0-9]{path.suffix}"))):
        raise VadError(f"{there[0]} exists; delete the parts of {path.name} there, or name another folder.")
    with scratch(folder / name) as work:
        work.mkdir()
        parts = _copy(video.path, work, seconds, start, end)
        if not parts:
            raise VadError(
                f"{path} has no key frame between {start:g} and {'its end' if end is None else f'{end:g}'} seconds; "
                "choose another stretch."
            )
        for part, count in parts:
            if len(VideoFile(part)) != count:
                raise VadError(
                    f"{path} cannot be cut without loss, as frames before a key frame need later ones; use it as it is."
                )
        return [part.rename(folder / part.name) for part, _ in parts]


def _copy(path: Path, folder: Path, seconds: float, start: float, end: float | None) -> list[tuple[Path, int]]:
    """Write the parts; each with the number of its frames."""
    parts: list[tuple[Path, int]] = []
    copied: VideoStream | None = None
    began, offset = 0.0, 0
    try:
        with av.open(str(path)) as container, ExitStack() as stack:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            for packet in container.demux(stream):
                if packet.size == 0 or packet.dts is None:  # the end of the stream
                    continue
                time = float((packet.dts - (stream.start_time or 0)) * stream.time_base)
                if end is not None and time >= end:
                    break
                if packet.is_keyframe and time >= (start if copied is None else began + seconds):
                    stack.close()
                    file = folder / f"{video_name(path)}_{len(parts) + 1:03d}{path.suffix}"
                    output: OutputContainer = stack.enter_context(av.open(str(file), "w"))
                    copied = output.add_stream_from_template(stream)
                    parts.append((file, 0))
                    began, offset = time, packet.dts
                if copied is None:
                    continue
                packet.dts -= offset
                if packet.pts is not None:
                    packet.pts -= offset
                packet.stream = copied
                output.mux(packet)
                parts[-1] = parts[-1][0], parts[-1][1] + 1
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VadError(f"{path} cannot be cut ({reason}); use it as it is, or convert it with ffmpeg.") from error
    return parts

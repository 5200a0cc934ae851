"""Cutting a recording into parts, as training holds out whole videos."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from keras_vad.common.files import scratch
from keras_vad.data.decoding import has_clock, open_container
from keras_vad.data.video import Video, VideoFile, video_name
from keras_vad.errors import VadError

_TICKS = 90_000  # a second, of the times that are written


_QUALITY = "10"  # x264's rate factor: what it takes away cannot be seen


def cut_video(
    path: Path,
    folder: Path,
    seconds: float,
    *,
    start: float = 0.0,
    end: float | None = None,
    encode: bool = False,
    fps: float | None = None,
) -> list[Path]:
    """Copy a stretch of a video file into files of about equal length, if possible without encoding it again.

    Encoding again smooths the noise of the camera, and a detector may then take the camera's own for unusual. Without
    it parts can begin at key frames only, so they may be longer than asked for, by up to the distance of two key
    frames; and there are files that cannot be cut so without losing frames.

    Args:
        path: The video file.
        folder: Where the parts go, ``NAME_001.SUFFIX`` and so on; it is created.
        seconds: A part ends at the first key frame after so many seconds.
        start: Where the stretch starts, in seconds; it does so at the first key frame from there on.
        end: Where it ends, in seconds; ``None`` takes the rest of the video.
        encode: Whether to encode again, as H.264 in MP4; parts then begin wherever they should.
        fps: Frames a second of a file that has no clock; for ``encode``.

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
    suffix = ".mp4" if encode else path.suffix
    if folder.is_dir() and (there := sorted(folder.glob(f"{name}_[0-9][0-9][0-9]{suffix}"))):
        raise VadError(f"{there[0]} exists; delete the parts of {path.name} there, or name another folder.")
    with scratch(folder / name) as work:
        work.mkdir()
        if encode:
            parts = _encode(video, work, seconds, start, end, fps)
        else:
            parts = _copy(video.path, work, seconds, start, end)
        if not parts:
            raise VadError(
                f"{path} has no key frame between {start:g} and {'its end' if end is None else f'{end:g}'} seconds; "
                "choose another stretch."
            )
        for part, count in parts:
            if len(VideoFile(part)) != count:
                raise VadError(
                    f"{path} cannot be cut without loss, as frames before a key frame need later ones; encode it again "
                    "(--encode), or use it as it is."
                )
        return [part.rename(folder / part.name) for part, _ in parts]


def _copy(path: Path, folder: Path, seconds: float, start: float, end: float | None) -> list[tuple[Path, int]]:
    """Write the parts; each with the number of its frames."""
    with open_container(path) as container:
        if not has_clock(container):
            raise VadError(
                f"{path} is a stream without times, which cannot be cut as it is; encode it again (--encode, and "
                "--fps)."
            )
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
                # With B-frames a packet is decoded before it is shown: what begins a part is when it is shown.
                shown = packet.dts if packet.pts is None or not packet.is_keyframe else packet.pts
                time = float((shown - (stream.start_time or 0)) * stream.time_base)
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
        raise VadError(f"{path} cannot be cut ({reason}); encode it again (--encode), or use it as it is.") from error
    return parts


def _encode(
    video: VideoFile, folder: Path, seconds: float, start: float, end: float | None, fps: float | None
) -> list[tuple[Path, int]]:
    """Write the parts as H.264; each with the number of its frames."""
    times = Video(video.path.stem, video, video.fps or fps).times
    if times is None:
        raise VadError(f"{video.path} has no clock; say how many frames it has a second (--fps).")
    parts: list[tuple[Path, int]] = []
    began = 0.0
    stream: VideoStream | None = None
    output: OutputContainer | None = None

    def finish() -> None:
        if output is not None and stream is not None:
            output.mux(stream.encode(None))
            output.close()

    try:
        for time, image in zip(times, video, strict=True):
            if time < start or (end is not None and time >= end):
                continue
            if stream is None or time >= began + seconds:
                finish()
                file = folder / f"{video_name(video.path)}_{len(parts) + 1:03d}.mp4"
                output = av.open(str(file), "w")
                stream = output.add_stream("libx264", rate=25, options={"crf": _QUALITY, "bf": "0"})
                even = [side - side % 2 for side in image.shape[:2]]  # of H.264 with colours at half the resolution
                stream.height, stream.width, stream.pix_fmt = *even, "yuv420p"
                stream.codec_context.time_base = Fraction(1, _TICKS)
                parts.append((file, 0))
                began = time
            assert output is not None
            frame = av.VideoFrame.from_ndarray(image[: stream.height, : stream.width], format="rgb24")
            frame.pts, frame.time_base = round((time - began) * _TICKS), Fraction(1, _TICKS)
            output.mux(stream.encode(frame))
            parts[-1] = parts[-1][0], parts[-1][1] + 1
    finally:
        finish()
    return parts

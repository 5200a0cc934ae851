"""Small videos that tests write themselves."""

import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from PIL import Image


def gray_frames(n_frames: int, size: tuple[int, int] = (24, 36), seed: int = 0) -> np.ndarray:
    """uint8 (n, H, W): smooth ramps that move, so that codecs and resizing change them little."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    phase = rng.uniform(0, 6) + np.arange(n_frames)[:, None, None] / 5
    return (128 + 100 * np.sin(x / 9 + y / 7 + phase)).astype(np.uint8)


def colour_frames(n_frames: int, size: tuple[int, int] = (24, 36), seed: int = 0) -> np.ndarray:
    """uint8 (n, H, W, 3) RGB."""
    return np.stack([gray_frames(n_frames, size, seed + channel) for channel in range(3)], axis=-1)


def write_images(folder: Path, frames: np.ndarray, names: Sequence[str] | None = None) -> list[Path]:
    """One image a frame; named 001.png, ... by default."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names or [f"{i + 1:03d}.png" for i in range(len(frames))]]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def write_video(path: Path, frames: np.ndarray, fps: int = 25, codec: str = "mpeg4") -> Path:
    """A video file from uint8 (n, H, W, 3) RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def truncate(path: Path, share: float = 0.5) -> Path:
    """Keep the first share of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@contextmanager
def file_size_limit(n_bytes: int) -> Iterator[None]:
    """Let the operating system refuse to write files beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

"""Videos whose frames were encoded once, for training on codes that rest."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow as tf
from numpy.lib import format as npy

from keras_vad.data.cache import CachedFrames, read_exactly
from keras_vad.errors import VadError

_BATCH = 8  # frames encoded at once


@dataclass(frozen=True)
class EncodedFrames:
    """The codes of a video's frames in a file; ``window_dataset`` takes it in place of ``CachedFrames``.

    Args:
        name: Of the video.
        path: A .npy file's data, without its header, from ``offset`` on.
        offset: Bytes before the first code.
        length: Number of frames.
        frame_shape: Shape of a code.
        size: (height, width) of the frames that were encoded.
    """

    name: str
    path: Path
    offset: int
    length: int
    frame_shape: tuple[int, ...]
    size: tuple[int, int]
    dtype: ClassVar[np.dtype] = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.length

    def read_into(self, out: np.ndarray, start: int, step: int = 1) -> None:
        """Read as many codes as ``out`` has: contiguous float32 (count, *frame_shape).

        Raises:
            IndexError: If frames outside the video are asked for.
        """
        if start < 0 or step < 1 or start + (len(out) - 1) * step >= self.length:
            raise IndexError(f"frames {start} + {step} * [0, {len(out)}) of {self.length}")
        file = os.open(self.path, os.O_RDONLY)
        try:
            for number, code in enumerate(out):
                position = self.offset + (start + number * step) * code.nbytes
                read_exactly(file, memoryview(code).cast("B"), position, self.path)
        finally:
            os.close(file)


def encode_video(video: CachedFrames, encode: Callable[[tf.Tensor], tf.Tensor], path: Path) -> EncodedFrames:
    """Encode every frame of a video once and keep the codes in a file.

    Args:
        video: The video.
        encode: From frames, uint8 (n, H, W, 3), to codes, float32 (n, ...).
        path: The .npy file to write; its folder is made.

    Raises:
        VadError: If the file cannot be written, for example because the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, len(video), _BATCH):
                frames = video.read(start, min(_BATCH, len(video) - start))
                codes = np.ascontiguousarray(encode(tf.constant(frames)), np.float32)
                if start == 0:
                    frame_shape = codes.shape[1:]
                    header = {"descr": "<f4", "fortran_order": False, "shape": (len(video), *frame_shape)}
                    npy.write_array_header_1_0(file, header)
                    offset = file.tell()
                file.write(codes.tobytes())
    except OSError as error:
        raise VadError(
            f"the codes of {video.name} cannot be kept in {path.parent} ({error.strerror}); free some space there, or "
            "choose another --run-dir."
        ) from error
    return EncodedFrames(video.name, path, offset, len(video), frame_shape, video.size)

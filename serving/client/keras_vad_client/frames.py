"""What is done to a frame before it is sent: checked, resized, and encoded if it travels as JPEG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from keras_vad_client.errors import VadClientError
from keras_vad_client.resize import resize_frame


class FramePreparer:
    """Prepares the frames of one video.

    Args:
        size: (height, width) to resize to; ``None`` to send frames as they are.
        jpeg_quality: Encode as JPEG of this quality, 1 to 100; ``None`` to send raw pixels.
    """

    def __init__(self, size: tuple[int, int] | None, jpeg_quality: int | None) -> None:
        self._size = size
        self._jpeg_quality = jpeg_quality
        self._first: tuple[int, ...] | None = None
        self._count = 0

    def prepare(self, frame: np.ndarray | bytes) -> Any:
        """The frame as it is sent: uint8 (height, width, 3), or bytes if it travels as JPEG.

        Args:
            frame: uint8 (H0, W0, 3) RGB. Where frames travel as JPEG, bytes of an image that is encoded already, such
                as a network camera's, are sent as they are.

        Raises:
            VadClientError: If the frame is something else, or differs in size from the ones before.
        """
        number, self._count = self._count, self._count + 1
        if isinstance(frame, bytes) and self._jpeg_quality is not None:
            return frame
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or frame.size == 0:
            raise VadClientError(
                f"frame {number} is {frame.dtype} {frame.shape}, but must be uint8 (height, width, 3)."
            )
        if self._first is None:
            self._first = frame.shape
        if frame.shape != self._first:
            raise VadClientError(
                f"frame {number} has size {frame.shape[:2]}, but the frames before it {self._first[:2]}; "
                "give a video whose frames all have one size."
            )
        # A copy, as a camera may write its next frame into the same memory while this one waits.
        small = resize_frame(frame, self._size) if self._size else frame
        if self._jpeg_quality is not None:
            return encode_jpeg(small, self._jpeg_quality)
        return small.copy() if small is frame else small


def encode_jpeg(frame: np.ndarray, quality: int = 95) -> bytes:
    """Encode a frame, with its colors in full resolution.

    Args:
        frame: uint8 (H, W, 3) RGB.
        quality: 1 to 100.

    Raises:
        VadClientError: If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise VadClientError(
            "frames are encoded as JPEG by Pillow, which is not installed; pip install 'keras-vad-client[images]'."
        ) from error
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()

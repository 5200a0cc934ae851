"""Scores of a video from a served model: TensorFlow Serving or the local server."""

from collections.abc import Iterable
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_each
from keras_vad.scoring.series import VideoScores, score_in_chunks
from keras_vad.window import Window

_CHANNEL_OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class ServedDetector:
    """A model behind a gRPC server; scores videos as a ``VideoAnomalyDetector`` in process does.

    It asks the model itself for its window (signature ``describe``), so an address and a name are all it needs.

    Args:
        target: Address of the server, ``HOST:PORT``.
        model: Name of the model in the server's zoo.
        version: Number of the version; the server's newest if ``None``.
        timeout: Seconds to wait for the answer to one chunk.

    Example:
    >>> with ServedDetector("localhost:8500", "adv3dcae_ucsdped2") as detector:    # doctest: +SKIP
    ...     scores = detector.score_video(frames)
    """

    def __init__(self, target: str, model: str, version: int | None = None, timeout: float = 120.0) -> None:
        self._target = target
        self._model = model
        self._version = version
        self._timeout = timeout
        self._channel = grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._window: Window | None = None

    def __enter__(self) -> "ServedDetector":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    @property
    def window(self) -> Window:
        """The model's window; asks the server the first time.

        Raises:
            VadError: If the server or the model does not answer.
        """
        if self._window is None:
            answer = self._predict("describe", query=np.zeros(1, np.int32))
            numbers = {name: int(value[0]) for name, value in answer.items() if name != "offsets"}
            span, offsets = numbers["span"], tuple(int(offset) for offset in answer["offsets"][0])
            last_needed = max((numbers["length"] - 1) * numbers["step"], *offsets)
            self._window = Window(
                length=numbers["length"],
                size=(numbers["height"], numbers["width"]),
                channels=numbers["channels"],
                step=numbers["step"],
                offsets=offsets,
                # A target that is no scored frame shows in nothing but the span.
                targets=(span - 1,) if span - 1 > last_needed else (),
                hop=numbers["hop"],
            )
        return self._window

    def score_video(
        self,
        frames: Iterable[np.ndarray],
        maps: bool = False,
        chunk_length: int | None = None,
        map_size: tuple[int, int] | None = None,
    ) -> VideoScores:
        """Score a video, chunk by chunk; frames are resized to the model's size before they are sent.

        Args:
            frames: uint8 (H, W, 3) RGB each, in order; read once, never held whole.
            maps: Whether to ask for the error maps too.
            chunk_length: Frames sent in one request, see ``keras_vad.scoring.chunks``; the scores do not depend on it.
            map_size: Ask for the maps and keep them reduced to at most this (height, width) by area mean.

        Returns:
            The scores; without ``parts``, which the server does not send.

        Raises:
            VadError: If the server or the model does not answer, or the video is shorter than the model's window.
        """
        signature = "score_maps" if maps or map_size is not None else "serving_default"
        return score_in_chunks(
            resize_each(frames, self.window.size),
            self.window,
            lambda chunk: self._predict(signature, frames=chunk),
            chunk_length,
            map_size,
        )

    def _predict(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise VadError(self._sentence(error)) from error
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def _sentence(self, error: Any) -> str:
        code, details = error.code(), " ".join(error.details().split())
        version = "" if self._version is None else f" version {self._version}"
        if code is grpc.StatusCode.UNAVAILABLE:
            return (
                f"no server answers at {self._target} ({details}); start one with tools/serve.py, or give the address "
                "of a running one."
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"the server at {self._target} did not answer within {self._timeout:g} s; allow more time with "
                "--timeout, or send shorter chunks."
            )
        if code is grpc.StatusCode.NOT_FOUND:
            return (
                f"the server at {self._target} has no model {self._model!r}{version} ({details}); give a model that it "
                "serves."
            )
        return f"the server at {self._target} refused model {self._model!r}{version}: {code.name}: {details}"


def score_over_grpc(
    target: str,
    model: str,
    frames: Iterable[np.ndarray],
    *,
    version: int | None = None,
    maps: bool = False,
    map_size: tuple[int, int] | None = None,
    chunk_length: int | None = None,
    timeout: float = 120.0,
) -> VideoScores:
    """Score one video with a served model; see ``ServedDetector``.

    Example:
    >>> score_over_grpc("localhost:8500", "adv3dcae_ucsdped2", open_video("clip.mp4").frames)    # doctest: +SKIP
    """
    with ServedDetector(target, model, version, timeout) as detector:
        return detector.score_video(frames, maps, chunk_length, map_size)

"""The client against the real server over a socket: the numbers, and sentences for what goes wrong."""

import io
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from client_server import make_video
from jpeg_detector import export_jpeg
from keras_vad_client import VadClient, VadClientError, ready
from PIL import Image
from tiny_detector import WINDOW, TinyDetector, export_tiny, reference_scores

from keras_vad.layers.frames import resize_frames
from keras_vad.scoring.smooth import causal_mean
from keras_vad_server.server import ServerOptions, start_server
from keras_vad_server.store import ModelStore

CLIENT = Path(__file__).parents[3] / "serving" / "client"


@pytest.fixture(scope="module")
def zoo_of_its_own(tmp_path_factory):
    """A zoo whose versions may change, its store, and the server's address."""
    root = tmp_path_factory.mktemp("client_zoo")
    export_jpeg(root / "jpeg" / "1")
    export_tiny(root / "swapped" / "1")
    module = tf.Module()
    module.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
    tf.saved_model.save(module, str(root / "double" / "1"), signatures=module.double)
    store = ModelStore(root)
    store.refresh()
    server, port = start_server(store, ServerOptions(port=0))
    yield root, store, f"127.0.0.1:{port}"
    server.stop(None).wait()


class TestScore:
    def test_asks_the_model_for_its_window(self, target):
        with VadClient(target, "tiny") as client:
            window = client.window
            assert client.window is window
        assert (window.length, window.step, window.span, window.hop) == (4, 1, 4, 3)
        assert (window.size, window.channels, window.offsets) == (WINDOW.size, 1, WINDOW.scored)

    @pytest.mark.parametrize("chunk_length", [None, 1, 7, 10, 100])
    @pytest.mark.parametrize("n", [4, 5, 39, 40, 41])
    def test_scores_do_not_depend_on_the_chunks(self, target, n, chunk_length):
        frames = make_video(n)
        with VadClient(target, "tiny", chunk_length=chunk_length) as client:
            scores = client.score(frames)
        assert len(scores) == n
        assert (scores.frame_index.dtype, scores.raw.dtype, scores.calibrated.dtype) == (
            np.int64,
            np.float32,
            np.float32,
        )
        np.testing.assert_array_equal(scores.frame_index, np.arange(n))
        np.testing.assert_allclose(scores.raw, reference_scores(frames, gain=2), atol=1e-6)
        np.testing.assert_allclose(scores.calibrated, scores.raw / (1 + scores.raw), atol=1e-6)
        np.testing.assert_array_equal(scores.score, scores.calibrated)
        np.testing.assert_array_equal(scores.alarm, scores.calibrated > 0.5)
        assert scores.maps is None

    def test_frames_are_resized_with_the_graphs_pixels(self, target):
        frames = make_video(size=(31, 50))
        small = resize_frames(frames, WINDOW.size).numpy()
        with VadClient(target, "tiny") as client:
            scores = client.score(iter(frames), maps=True)
            expected = client.score(iter(small), maps=True)
        np.testing.assert_array_equal(scores.raw, expected.raw)
        np.testing.assert_allclose(scores.raw, reference_scores(small, gain=2), atol=1e-6)
        assert scores.maps.shape == (len(frames), *WINDOW.size)
        np.testing.assert_allclose(scores.maps, small.mean(axis=-1) / 255, atol=1e-6)

    def test_frames_may_be_sent_as_they_are(self, target):
        frames = make_video(10, size=(16, 12))
        with VadClient(target, "tiny", resize=False) as client:
            assert client.score(frames, maps=True).maps.shape == (10, 16, 12)

    def test_smoothing(self, target):
        with VadClient(target, "tiny", smoothing=5) as client:
            scores = client.score(make_video())
        np.testing.assert_array_equal(scores.score, causal_mean(scores.calibrated, 5))

    def test_version(self, target):
        frames = make_video()
        with VadClient(target, "other", version=1) as client:
            assert client.wait_ready(0) == 1
            np.testing.assert_allclose(client.score(frames).raw, reference_scores(frames, gain=5), atol=1e-6)

    def test_messages_of_more_than_4_mib(self, target):
        frames = make_video(8, size=(400, 500))  # 4.6 MiB, and maps of 6.1 MiB
        with VadClient(target, "tiny", resize=False) as client:
            assert len(client.score(frames, maps=True)) == 8

    def test_a_camera_may_write_into_the_same_memory(self, target):
        frames = make_video()
        memory = np.zeros_like(frames[0])

        def camera():
            for frame in frames:
                memory[:] = frame
                yield memory

        with VadClient(target, "tiny") as client:
            np.testing.assert_allclose(client.score(camera()).raw, reference_scores(frames, gain=2), atol=1e-6)


class TestJpeg:
    def test_scores_are_those_of_the_decoded_images(self, zoo_of_its_own):
        frames = make_video(50)
        decoded, encoded = [], []
        for frame in frames:
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, "JPEG", quality=95, subsampling=0)
            encoded.append(buffer.getvalue())
            decoded.append(tf.io.decode_jpeg(buffer.getvalue(), channels=3).numpy())
        with VadClient(zoo_of_its_own[2], "jpeg", transport="jpeg", chunk_length=10) as client:
            found, given = client.score(frames), client.score(encoded)
        np.testing.assert_array_equal(found.raw, given.raw)
        np.testing.assert_allclose(found.raw, reference_scores(np.stack(decoded)), atol=1e-6)

    def test_no_maps(self, zoo_of_its_own):
        with (
            VadClient(zoo_of_its_own[2], "jpeg", transport="jpeg") as client,
            pytest.raises(VadClientError, match="there are no maps for frames that travel as JPEG"),
        ):
            client.score(make_video(), maps=True)


class Other(TinyDetector):
    """Says that it has another window."""

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, name="query")])
    def describe(self, query):
        return {**super().describe(query), "hop": tf.zeros_like(query) + 1}


class TestVersions:
    """The server's newest version changes while a stream runs."""

    def swap(self, zoo, store, module, version):
        saved = zoo / f".{type(module).__name__}"  # once, as that takes longest
        if not saved.exists():
            signatures = {"serving_default": module.score, "describe": module.describe}
            tf.saved_model.save(module, str(saved), signatures=signatures)
        shutil.copytree(saved, zoo / "swapped" / str(version))
        store.refresh()

    def next_version(self, target):
        with VadClient(target, "swapped") as client:
            return client.wait_ready(0) + 1

    def frames(self, swap, n=60):
        for number, frame in enumerate(make_video(n)):
            if number == 40:
                swap()
            yield frame

    def test_the_stream_goes_on_with_it(self, zoo_of_its_own):
        zoo, store, target = zoo_of_its_own
        with VadClient(target, "swapped", chunk_length=10, max_in_flight=1) as client:
            before = client.wait_ready(0)
            swap = lambda: self.swap(zoo, store, TinyDetector(4.0), before + 1)  # noqa: E731
            scores = client.score(self.frames(swap))
        expected = reference_scores(make_video(60))
        np.testing.assert_allclose(scores.raw[:20], expected[:20], atol=1e-6)
        np.testing.assert_allclose(scores.raw[-10:], 4 * expected[-10:], atol=1e-5)

    def test_unless_its_window_is_another(self, zoo_of_its_own):
        zoo, store, target = zoo_of_its_own
        with VadClient(target, "swapped", chunk_length=10, max_in_flight=1) as client:
            before = client.wait_ready(0)
            swap = lambda: self.swap(zoo, store, Other(), before + 1)  # noqa: E731
            with pytest.raises(VadClientError, match=rf"'swapped' to version {before + 1}, whose window differs"):
                client.score(self.frames(swap))
            assert client.window.hop == 1

    def test_also_where_another_stream_has_noticed(self, zoo_of_its_own, any_client):
        zoo, store, target = zoo_of_its_own
        self.swap(zoo, store, TinyDetector(4.0), self.next_version(target))
        with any_client(target, "swapped", chunk_length=10, max_in_flight=1) as client:
            first, second = client.stream(make_video(60)), client.stream(make_video(60))
            assert [next(first).frame, next(second).frame] == [0, 0]
            self.swap(zoo, store, Other(), self.next_version(target))
            for stream in (first, second):
                with pytest.raises(VadClientError, match="whose window differs"):
                    list(stream)

    def test_a_frame_without_a_score(self, zoo_of_its_own):
        zoo, store, target = zoo_of_its_own

        class Forgetful(TinyDetector):
            @tf.function(input_signature=[tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")])
            def score(self, frames):
                return {name: value[:, :-3] for name, value in super().score(frames).items()}

        self.swap(zoo, store, Forgetful(), self.next_version(target))
        with (
            VadClient(target, "swapped", chunk_length=10) as client,
            pytest.raises(VadClientError, match="answers no score for frame 7, though its window has one"),
        ):
            client.score(make_video(10))


class TestSentences:
    def test_nobody_listens(self, free_port):
        with (
            VadClient(f"127.0.0.1:{free_port}", "tiny", retry=0) as client,
            pytest.raises(
                VadClientError, match=rf"^no server answers at 127\.0\.0\.1:{free_port} \(.*start one"
            ) as error,
        ):
            client.score(make_video())
        assert error.value.code is grpc.StatusCode.UNAVAILABLE

    def test_the_server_is_silent(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            target = f"127.0.0.1:{silent.getsockname()[1]}"
            with (
                VadClient(target, "tiny", timeout=0.5) as client,
                pytest.raises(VadClientError, match=r"did not answer within 0\.5 s; allow more time"),
            ):
                client.score(make_video())

    def test_a_request_above_the_servers_limit(self, proxy, any_client):
        limited = proxy(limit=1000)
        begun = time.monotonic()
        with (
            any_client(limited.target, "tiny") as client,
            pytest.raises(VadClientError, match=r"takes no request of that size \(.*larger than max.*shorter chunk"),
        ):
            client.score(make_video())
        assert time.monotonic() - begun < 10  # not repeated for a minute

    def test_unknown_model(self, target):
        with (
            VadClient(target, "nope") as client,
            pytest.raises(
                VadClientError, match=r"has no model 'nope' \(Servable not found for request: Latest\(nope\)\)"
            ),
        ):
            client.score(make_video())

    def test_unknown_version(self, target):
        with (
            VadClient(target, "tiny", version=9) as client,
            pytest.raises(VadClientError, match="has no model 'tiny' version 9 "),
        ):
            client.score(make_video())

    def test_unknown_label(self, target):
        with (
            VadClient(target, "tiny", version_label="nope") as client,
            pytest.raises(
                VadClientError, match="model 'tiny' labelled 'nope': INVALID_ARGUMENT: Unrecognized servable"
            ),
        ):
            client.score(make_video())

    def test_a_model_that_is_no_detector(self, zoo_of_its_own):
        with (
            VadClient(zoo_of_its_own[2], "double") as client,
            pytest.raises(VadClientError, match='FAILED_PRECONDITION: Serving signature key "describe" not found'),
        ):
            client.score(make_video())

    def test_a_short_video(self, target):
        with (
            VadClient(target, "tiny") as client,
            pytest.raises(VadClientError, match="the video has 3 frames, but this model needs at least 4"),
        ):
            client.score(make_video(3))

    @pytest.mark.parametrize(
        ("frames", "sentence"),
        [
            ([np.zeros((8, 6), np.uint8)], r"frame 0 is uint8 \(8, 6\), but must be uint8 \(height, width, 3\)"),
            ([np.zeros((8, 6, 3))], r"frame 0 is float64 \(8, 6, 3\)"),
            ([b"jpeg"], r"frame 0 is \|S4 \(\)"),
            ([*make_video(2), make_video(1, size=(9, 6))[0]], r"frame 2 has size \(9, 6\), but the frames before it"),
        ],
    )
    def test_what_is_no_frame(self, target, frames, sentence):
        with VadClient(target, "tiny") as client, pytest.raises(VadClientError, match=sentence):
            client.score(frames)

    @pytest.mark.parametrize(
        ("settings", "sentence"),
        [
            ({"version": 1, "version_label": "stable"}, "give only one"),
            ({"transport": "png"}, "transport is 'png', but must be 'raw' or 'jpeg'"),
            ({"timeout": 0}, "timeout is 0 s, but must be above 0"),
            ({"max_in_flight": 0}, "max_in_flight is 0, but must be at least 1"),
            ({"chunk_length": 0}, "chunk length is 0, but must be at least 1"),
            ({"smoothing": 0}, "smoothing is over 0 frames"),
        ],
    )
    def test_settings_out_of_range(self, settings, sentence):
        with pytest.raises(VadClientError, match=sentence):
            VadClient("localhost:1", "tiny", **settings)


class TestWaitReady:
    def test_until_a_server_is_there(self, proxy, free_port):
        with VadClient(f"127.0.0.1:{free_port}", "tiny") as client:
            with pytest.raises(VadClientError, match="no server answers"):
                client.wait_ready(0.3)
            proxy(port=free_port)
            assert client.wait_ready(20) == 10

    def test_no_longer_than_it_may_though_the_server_is_silent(self, any_client, monkeypatch):
        monkeypatch.setattr(ready, "_SHORTEST_QUESTION", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            target = f"127.0.0.1:{silent.getsockname()[1]}"
            begun = time.monotonic()
            with any_client(target, "tiny", timeout=15) as client, pytest.raises(VadClientError, match=r"0\.[3-5] s"):
                client.wait_ready(0.5)
        assert time.monotonic() - begun < 5

    def test_a_model_that_never_comes(self, target):
        with VadClient(target, "nope") as client, pytest.raises(VadClientError, match="has no model 'nope'"):
            client.wait_ready(0.5)


def test_loads_neither_tensorflow_nor_the_library_and_quickly():
    code = (
        "import sys, time\n"
        "before = time.process_time()\n"
        "import keras_vad_client\n"
        "seconds = time.process_time() - before\n"
        "print(seconds, [name for name in ('tensorflow', 'keras', 'keras_vad', 'PIL', 'av') if name in sys.modules])\n"
    )
    seconds = []
    for _ in range(3):  # the processor's time too depends on what else runs
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(CLIENT)}, capture_output=True, text=True, check=True
        )
        taken, loaded = done.stdout.split(maxsplit=1)
        assert loaded.strip() == "[]"
        seconds.append(float(taken))
        if seconds[-1] < 0.5:
            return
    pytest.fail(f"takes {seconds} s")

"""`python -m keras_vad_client`: events as they happen, a webhook that cannot stop them, one sentence for an error."""

import csv
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from client_server import wait_until
from keras_vad_client import EventTracker, VadClient, VadClientError, video
from keras_vad_client.__main__ import main, script
from keras_vad_client.video import FrameSource
from keras_vad_client.webhook import Webhook
from PIL import Image
from tiny_detector import export_tiny

from keras_vad.data.video import open_video
from keras_vad_server.server import ServerOptions, start_server
from keras_vad_server.store import ModelStore

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "serving" / "client")}


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """The address of a model whose scores cross the alarm boundary where pictures flash."""
    zoo = tmp_path_factory.mktemp("loud_zoo")
    export_tiny(zoo / "loud" / "1", gain=10.0)
    store = ModelStore(zoo)
    store.refresh()
    server, port = start_server(store, ServerOptions(port=0))
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def flashes(n=200, at=(40, 120)):
    """Gray frames with a white one at each of these places."""
    frames = np.full((n, 16, 24, 3), 90, np.uint8)
    frames[list(at)] = 255
    return frames


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, frame in enumerate(flashes()):
        Image.fromarray(frame).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "yuv420p"
        for frame in flashes():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def expected_events(target, frames, fps):
    tracker = EventTracker(fps)
    with VadClient(target, "loud") as client:
        events = [event for result in client.stream(frames) for event in tracker.push(result.frame, result.score)]
    return [event.to_dict() for event in [*events, *tracker.finish()]]


class TestScore:
    def test_prints_the_events_of_a_video(self, loud, clip, capsys):
        assert main(["score", str(clip), "--server", loud, "--model", "loud"]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert found == expected_events(loud, open_video(clip).frames, fps=25.0)
        assert [event["state"] for event in found if event["state"] != "ongoing"] == ["start", "end", "start", "end"]
        ends = [event for event in found if event["state"] == "end"]
        assert all(event["start"] <= at < event["end"] for event, at in zip(ends, (40, 120), strict=True))
        assert found[0]["start_s"] == found[0]["start"] / 25

    def test_folder_with_csv_and_a_frame_rate(self, loud, images, tmp_path, capsys):
        out = tmp_path / "scores.csv"
        arguments = ["--csv", str(out), "--fps", "10", "--smoothing", "2", "--chunk", "20", "--merge-within", "5"]
        assert main(["score", str(images), "--server", loud, "--model", "loud", *arguments]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert found[0]["start_s"] == pytest.approx(found[0]["start"] / 10)
        with VadClient(loud, "loud", smoothing=2) as client:
            expected = client.score(open_video(images).frames)
        with out.open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["frame", "time_s", "raw_score", "score", "alarm"]
        assert [int(row["frame"]) for row in rows] == list(range(200))
        assert [row["time_s"] for row in rows[:2]] == ["0.000", "0.100"]
        np.testing.assert_allclose([float(row["score"]) for row in rows], expected.score, rtol=1e-6)
        assert [row["alarm"] == "1" for row in rows] == expected.alarm.tolist()

    def test_a_frame_rate_of_zero_is_refused(self, loud, images):
        with pytest.raises(VadClientError, match="frame rate is 0"):
            main(["score", str(images), "--server", loud, "--model", "loud", "--fps", "0"])

    def test_prints_while_the_video_runs(self, loud, tmp_path):
        """Into a pipe, which Python would buffer: an event is there before the camera has ended."""
        fifo = tmp_path / "camera.nut"
        os.mkfifo(fifo)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "keras_vad_client",
                "score",
                str(fifo),
                "--chunk=10",
                "--server",
                loud,
                "--model=loud",
            ],
            env={name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"},
            stdout=subprocess.PIPE,
            text=True,
        )
        released = threading.Event()
        in_time = []

        def camera():
            with fifo.open("wb") as pipe, av.open(pipe, "w", format="nut") as container:
                stream = container.add_stream("rawvideo", rate=25)
                stream.width, stream.height, stream.pix_fmt = 24, 16, "rgb24"
                for number, frame in enumerate(flashes()):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                    if number == 100:
                        in_time.append(released.wait(10))

        writer = threading.Thread(target=camera)
        writer.start()
        try:
            first = json.loads(process.stdout.readline())
            released.set()
            rest = [json.loads(line) for line in process.stdout]
            assert process.wait(30) == 0
        finally:
            released.set()
            process.kill()
            writer.join()
            process.communicate()
        assert in_time == [True]
        assert first["state"] == "start"
        assert first["start"] <= 40 < first["end"] + 4
        assert rest[-1]["state"] == "end"

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (
                ["nope.mp4"],
                "error: nope.mp4 does not exist; give a video file, a folder of images or a camera's address.",
            ),
            (["{images}", "--model", "nope"], "error: the server at {loud} has no model 'nope' "),
            (["{images}", "--tls-ca", "nope.pem"], "error: nope.pem cannot be read (No such file or directory); "),
            (["{images}", "--webhook", "nope"], "error: the webhook is 'nope', but must be an address"),
            (["{images}", "--csv", "{images}/0.png"], "0.png exists; name another file, or delete it."),
            (["{images}", "--server", "127.0.0.1:1"], "error: no server answers at 127.0.0.1:1 "),
            (["{images}", "--smoothing", "0"], "error: smoothing is over 0 frames"),
        ],
    )
    def test_an_error_is_one_sentence(self, loud, images, monkeypatch, capfd, arguments, sentence):
        places = {"images": images, "loud": loud}
        words = ["score", "--server", loud, "--model", "loud", *(word.format(**places) for word in arguments)]
        monkeypatch.setattr(sys, "argv", ["keras-vad-client", *words])
        with pytest.raises(SystemExit) as left:
            script()
        out, err = capfd.readouterr()  # what libraries write, too
        assert left.value.code == 2
        assert out == ""
        assert len(err.splitlines()) == 1
        assert sentence.format(**places) in err

    def test_an_error_of_the_process(self, free_port):
        words = ["status", "--server", f"127.0.0.1:{free_port}", "--model", "loud"]
        done = subprocess.run(
            [sys.executable, "-m", "keras_vad_client", *words],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert len(done.stderr.splitlines()) == 1
        assert f"error: no server answers at 127.0.0.1:{free_port} " in done.stderr

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ("--csv {folder}/scores.csv", "error: the output cannot be read or written (File too large); look after"),
            (">/dev/full", "error: the output cannot be read or written (No space left on device); look after"),
        ],
        ids=["csv", "events"],
    )
    def test_a_full_disk_is_one_sentence(self, loud, images, tmp_path, options, sentence):
        command = f"{sys.executable} -m keras_vad_client score {images} --server {loud} --model loud"
        done = subprocess.run(
            ["bash", "-c", f"ulimit -f 1; exec {command} {options.format(folder=tmp_path)}"],
            env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(sentence)

    def test_who_reads_may_go(self, loud, images):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "keras_vad_client", "score", str(images), "--server", loud, "--model", "loud"],
            env=ENVIRONMENT,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (1, b"")


def test_status_and_wait(loud, capsys, free_port):
    assert main(["status", "--server", loud, "--model", "loud"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": 1, "state": "AVAILABLE", "error": ""}
    assert main(["wait", "--server", loud, "--model", "loud", "--for", "5"]) == 0
    assert capsys.readouterr().out == "1\n"
    with pytest.raises(VadClientError, match="no server answers"):
        main(["wait", "--server", f"127.0.0.1:{free_port}", "--model", "loud", "--for", "0.3"])


class TestSource:
    def test_the_librarys_frames(self, clip, images):
        for path in (clip, images):
            source, expected = FrameSource(str(path)), open_video(path)
            assert source.fps == expected.fps
            np.testing.assert_array_equal(np.stack(list(source)), np.stack(list(expected.frames)))

    def test_gray_images_of_8_and_16_bits(self, tmp_path):
        values = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
        for name, array in (("8", (values >> 8).astype(np.uint8)), ("16", values)):
            (tmp_path / name).mkdir()
            Image.fromarray(array).save(tmp_path / name / "0.png")
            found = list(FrameSource(str(tmp_path / name)))
            np.testing.assert_array_equal(found, list(open_video(tmp_path / name).frames))

    @pytest.mark.parametrize("sent", [0, 5], ids=["at once", "in the middle"])
    def test_a_camera_that_falls_silent(self, monkeypatch, sent):
        """Over HTTP: a stream of some frames, and then nothing, though the connection stays."""
        monkeypatch.setattr(video, "SILENT_SECONDS", 0.5)
        stream = io.BytesIO()
        with av.open(stream, "w", format="mpegts") as container:
            track = container.add_stream("mpeg2video", rate=25)
            track.width, track.height, track.pix_fmt = 24, 16, "yuv420p"
            for frame in flashes(200):
                container.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        released = threading.Event()

        class Camera(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                if sent:
                    self.wfile.write(stream.getvalue())
                released.wait(20)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        name = f"http://127.0.0.1:{server.server_port}/"
        frames = []
        try:
            with pytest.raises(VadClientError, match=r"sent nothing for 0\.5 s .*; look after the camera"):
                frames.extend(FrameSource(name))
        finally:
            released.set()
            server.shutdown()
            server.server_close()

    def test_what_is_no_video(self, tmp_path):
        (tmp_path / "text.mp4").write_text("no video")
        (tmp_path / "empty").mkdir()
        (tmp_path / "mixed").mkdir()
        (tmp_path / "mixed" / "a.txt").touch()
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "0.png").write_bytes(b"no image")
        for name, sentence in [
            ("text.mp4", "cannot be opened as a video"),
            ("empty", "empty is empty; a video needs frames"),
            ("mixed", r"mixed holds no images but a\.txt; a video needs frames"),
            ("broken", r"0\.png cannot be decoded as an image"),
        ]:
            with pytest.raises(VadClientError, match=sentence):
                list(FrameSource(str(tmp_path / name)))


class Hook(http.server.ThreadingHTTPServer):
    """A web server that keeps what is posted; ``answers`` are its first status codes, then 200."""

    def __init__(self, answers=(), pause=0.0):
        self.answers, self.pause, self.taken, self.asked = list(answers), pause, [], 0
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/events"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


class HookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        hook = self.server
        hook.asked += 1
        code = hook.answers.pop(0) if hook.answers else 200
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(hook.pause)
        if code == 200:
            assert self.headers["Content-Type"] == "application/json"
            hook.taken.append(json.loads(body))
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", self.server.url)
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hook():
    started = []

    def start(*arguments, **settings):
        started.append(Hook(*arguments, **settings))
        return started[-1]

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


EVENTS = [{"state": "start", "number": number} for number in range(1, 6)]


class TestWebhook:
    def test_every_event_of_the_command_line(self, loud, images, hook, capsys):
        server = hook()
        assert main(["score", str(images), "--server", loud, "--model", "loud", "--webhook", server.url]) == 0
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert server.taken == printed
        assert len(printed) >= 4

    def test_repeats_what_passes_and_keeps_the_order(self, hook):
        server, said = hook([503, 429, 200, 500]), []
        webhook = Webhook(server.url, said.append, first_wait=0.01)
        for event in EVENTS:
            webhook.post(event)
        webhook.close(20)
        assert (server.taken, said) == (EVENTS, [])

    def test_says_what_it_drops(self, hook):
        server, said = hook([404, *[503] * 3]), []
        webhook = Webhook(server.url, said.append, attempts=3, first_wait=0.01)
        for event in EVENTS:
            webhook.post(event)
        webhook.close(20)
        assert server.taken == EVENTS[2:]
        assert server.asked == 1 + 3 + 3
        assert [sentence.split(f"{server.url} ")[1] for sentence in said] == [
            "did not take it: it answers 404 Not Found.",
            "did not take it: it answers 503 Service Unavailable.",
        ]
        assert said[0].startswith("warning: an event (start 1) was dropped")

    def test_a_redirect_is_a_refusal(self, hook):
        """urllib would ask there with GET, without the event."""
        server, said = hook([301, 302, 303, 307]), []
        webhook = Webhook(server.url, said.append, first_wait=0.01)
        for event in EVENTS:
            webhook.post(event)
        webhook.close(20)
        assert server.taken == EVENTS[4:]
        assert [sentence.split("it answers ")[1][:3] for sentence in said] == ["301", "302", "303", "307"]

    def test_nobody_listens(self, free_port):
        said = []
        webhook = Webhook(f"http://127.0.0.1:{free_port}", said.append, attempts=2, first_wait=0.01)
        webhook.post(EVENTS[0])
        webhook.close(20)
        assert len(said) == 1
        assert "does not answer" in said[0]

    def test_a_slow_one_stops_nothing(self, hook):
        server, said = hook(pause=1.5), []
        webhook = Webhook(server.url, said.append, capacity=2)
        begun = time.monotonic()
        webhook.post(EVENTS[0])
        wait_until(lambda: server.asked == 1)
        for event in EVENTS[1:]:
            webhook.post(event)
        assert time.monotonic() - begun < 1.2
        assert [sentence for sentence in said if "2 events wait already" in sentence] == said
        assert len(said) == 2
        webhook.close(0.1)
        # What waited is said, too; what is being posted may still arrive.
        assert [("start 2" in one or "start 3" in one) and "after the end" in one for one in said[2:]] == [True, True]

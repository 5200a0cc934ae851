"""Scoring videos over gRPC: the same numbers as window by window, and sentences for what goes wrong."""

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_detector import WINDOW, reference_scores

from keras_vad.errors import VadError
from keras_vad.layers.frames import resize_frames
from serving.scorer import ServedDetector, score_over_grpc

ROOT = Path(__file__).parents[2]


def video(n=40, size=WINDOW.size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def target(server_port):
    return f"127.0.0.1:{server_port}"


class TestScoreOverGrpc:
    def test_asks_the_model_for_its_window(self, target):
        with ServedDetector(target, "tiny") as detector:
            assert detector.window == WINDOW

    @pytest.mark.parametrize("chunk_length", [None, 1, 7, 10, 100])
    @pytest.mark.parametrize("n", [4, 5, 39, 40, 41])
    def test_scores_do_not_depend_on_the_chunks(self, target, n, chunk_length):
        frames = video(n)
        scores = score_over_grpc(target, "tiny", frames, chunk_length=chunk_length)
        np.testing.assert_array_equal(scores.frame_index, np.arange(n))
        np.testing.assert_allclose(scores.raw, reference_scores(frames, gain=2), atol=1e-6)
        np.testing.assert_allclose(scores.calibrated, scores.raw / (1 + scores.raw), atol=1e-6)
        assert scores.maps is None

    def test_frames_of_another_size_are_resized_before_they_are_sent(self, target):
        frames = video(size=(31, 50))
        scores = score_over_grpc(target, "tiny", iter(frames), maps=True)
        small = resize_frames(frames, WINDOW.size).numpy()
        np.testing.assert_allclose(scores.raw, reference_scores(small, gain=2), atol=1e-6)
        assert scores.maps.shape == (len(frames), *WINDOW.size)
        np.testing.assert_allclose(scores.maps, small.mean(axis=-1) / 255, atol=1e-6)
        reduced = score_over_grpc(target, "tiny", iter(frames), map_size=(4, 3))
        assert reduced.maps.shape == (len(frames), 4, 3)
        np.testing.assert_allclose(reduced.maps, scores.maps.reshape(-1, 4, 2, 3, 2).mean(axis=(2, 4)), atol=1e-6)

    def test_model_and_version_by_name(self, target):
        frames = video()
        scores = score_over_grpc(target, "other", frames, version=1)
        np.testing.assert_allclose(scores.raw, reference_scores(frames, gain=5), atol=1e-6)


class TestSentences:
    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(
            VadError, match=rf"^no server answers at 127\.0\.0\.1:{port} \(.*start one with tools/serve"
        ):
            score_over_grpc(f"127.0.0.1:{port}", "tiny", video())

    def test_the_server_is_silent(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            target = f"127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(VadError, match=r"did not answer within 0\.5 s; allow more time with --timeout"):
                score_over_grpc(target, "tiny", video(), timeout=0.5)

    def test_unknown_model(self, target):
        with pytest.raises(VadError, match=r"has no model 'nope' \(Servable not found for request: Latest\(nope\)\)"):
            score_over_grpc(target, "nope", video())

    def test_unknown_version(self, target):
        with pytest.raises(VadError, match="has no model 'tiny' version 9 "):
            score_over_grpc(target, "tiny", video(), version=9)

    def test_a_model_that_is_no_detector(self, tmp_path):
        from serving.server import ModelStore, start_server

        module = tf.Module()
        module.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec((None,), tf.float32, "x")])
        tf.saved_model.save(module, str(tmp_path / "double" / "1"), signatures=module.double)
        store = ModelStore(tmp_path)
        store.refresh()
        server, port = start_server(store, port=0)
        try:
            with pytest.raises(VadError, match='FAILED_PRECONDITION: Serving signature key "describe" not found'):
                score_over_grpc(f"127.0.0.1:{port}", "double", video())
        finally:
            server.stop(None).wait()

    def test_a_short_video(self, target):
        with pytest.raises(VadError, match="the video has 3 frames, but this model needs at least 4"):
            score_over_grpc(target, "tiny", video(3))


@pytest.fixture(scope="session")
def frames_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos") / "clip"
    folder.mkdir()
    for number, frame in enumerate(video(20, size=(16, 12))):
        Image.fromarray(frame).save(folder / f"{number:03d}.png")
    return folder


class TestScoreTool:
    def test_writes_every_frame(self, score_tool, target, frames_folder, tmp_path, capsys):
        out = tmp_path / "scores.csv"
        argv = [str(frames_folder), "--server", target, "--model", "tiny", "--csv", str(out)]
        assert score_tool.main(argv) == 0
        assert capsys.readouterr().out == f"{out}: 20 frames scored, 0 with an alarm.\n"
        with out.open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["frame", "time_s", "raw_score", "score", "alarm"]
        scores = score_over_grpc(target, "tiny", video(20, size=(16, 12)))
        np.testing.assert_array_equal([int(row["frame"]) for row in rows], np.arange(20))
        np.testing.assert_array_equal(np.array([row["raw_score"] for row in rows], np.float32), scores.raw)
        np.testing.assert_array_equal(np.array([row["score"] for row in rows], np.float32), scores.calibrated)
        assert {row["alarm"] for row in rows} == {"0"}
        assert {row["time_s"] for row in rows} == {""}
        assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]

    def test_writes_a_page_and_an_overlay_with_served_maps(self, score_tool, target, frames_folder, tmp_path):
        page, overlay = tmp_path / "page.html", tmp_path / "overlay.mp4"
        argv = [str(frames_folder), "--server", target, "--model", "tiny", "--report", str(page)]
        assert score_tool.main([*argv, "--overlay", str(overlay)]) == 0
        assert 'id="maps-0"' in page.read_text("utf-8")
        assert overlay.stat().st_size > 1000

    def test_times_and_alarms(self, score_tool, tmp_path):
        from keras_vad.scoring.series import VideoScores

        scores = VideoScores(np.array([16, 17]), np.float32([1.5, 0.1]), np.float32([0.75, 0.5]))
        score_tool.write_csv(tmp_path / "scores.csv", scores, fps=25.0)
        assert (tmp_path / "scores.csv").read_text() == (
            "frame,time_s,raw_score,score,alarm\n16,0.640,1.5,0.75,1\n17,0.680,0.100000001,0.5,0\n"
        )

    def test_keeps_an_existing_file(self, score_tool, target, frames_folder, tmp_path):
        out = tmp_path / "scores.csv"
        out.write_text("mine")
        argv = [str(frames_folder), "--server", target, "--model", "tiny", "--csv", str(out)]
        with pytest.raises(VadError, match=r"scores\.csv exists; pass --overwrite"):
            score_tool.main(argv)
        assert out.read_text() == "mine"
        assert score_tool.main([*argv, "--overwrite"]) == 0
        assert out.read_text().startswith("frame,")

    def test_a_failed_run_writes_nothing(self, score_tool, target, frames_folder, tmp_path):
        argv = [str(frames_folder), "--server", target, "--model", "nope", "--csv", str(tmp_path / "s.csv")]
        with pytest.raises(VadError, match="has no model 'nope'"):
            score_tool.main(argv)
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_leaves_nothing(self, score_tool, tmp_path):
        from keras_vad.scoring.series import VideoScores

        full = Path("/dev/full")
        if not full.exists():
            pytest.skip("needs /dev/full")
        (tmp_path / f".scores.{os.getpid()}.partial.csv").symlink_to(full)
        scores = VideoScores(np.arange(9), np.zeros(9, np.float32), np.zeros(9, np.float32))
        with pytest.raises(VadError, match=r"scores\.csv cannot be written \(No space left on device\)"):
            score_tool.write_csv(tmp_path / "scores.csv", scores, fps=None)
        assert list(tmp_path.iterdir()) == []

    def test_help_does_not_load_tensorflow(self):
        code = (
            "import runpy, sys\n"
            f"sys.argv = ['score.py', '--help']\n"
            "try:\n"
            f"    runpy.run_path({str(ROOT / 'tools' / 'score.py')!r}, run_name='__main__')\n"
            "except SystemExit:\n"
            "    print([name for name in ('tensorflow', 'grpc', 'numpy') if name in sys.modules])\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
        )
        assert result.stdout.splitlines()[-1] == "[]"

"""`tools/score.py --server`: files with the served scores, and sentences for what goes wrong."""

import csv
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from keras_vad_client import VadClient
from PIL import Image
from tiny_detector import WINDOW

from keras_vad.cli import score as score_verb
from keras_vad.errors import VadError
from tests.command import verb
from tests.environment import PATHS, ROOT

score = verb("score")


def video(n=40, size=WINDOW.size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def frames_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos") / "clip"
    folder.mkdir()
    for number, frame in enumerate(video(20, size=(16, 12))):
        Image.fromarray(frame).save(folder / f"{number:03d}.png")
    return folder


class TestScoreTool:
    def test_writes_every_frame(self, target, frames_folder, tmp_path, capsys):
        out = tmp_path / "scores.csv"
        argv = [str(frames_folder), "--server", target, "--model", "tiny", "--csv", str(out)]
        assert score(argv) == 0
        assert capsys.readouterr().out == f"{out}: 20 frames scored, 0 with an alarm.\n"
        with out.open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["frame", "time_s", "raw_score", "score", "alarm"]
        with VadClient(target, "tiny") as client:
            scores = client.score(video(20, size=(16, 12)))
        np.testing.assert_array_equal([int(row["frame"]) for row in rows], np.arange(20))
        np.testing.assert_array_equal(np.array([row["raw_score"] for row in rows], np.float32), scores.raw)
        np.testing.assert_array_equal(np.array([row["score"] for row in rows], np.float32), scores.calibrated)
        assert {row["alarm"] for row in rows} == {"0"}
        assert {row["time_s"] for row in rows} == {""}
        assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]

    def test_writes_a_page_and_an_overlay_with_served_maps(self, target, frames_folder, tmp_path):
        page, overlay = tmp_path / "page.html", tmp_path / "overlay.mp4"
        argv = [str(frames_folder), "--server", target, "--model", "tiny", "--report", str(page)]
        assert score([*argv, "--overlay", str(overlay)]) == 0
        assert '"maps":{"rows":' in page.read_text("utf-8")
        assert overlay.stat().st_size > 1000

    def test_maps_are_kept_reduced(self, target, frames_folder):
        from keras_vad.data.video import open_video
        from keras_vad.scoring.maps import reduce_maps

        source = open_video(frames_folder)
        scores, _ = score_verb._score_served(source, target, "tiny", 60.0, (4, 3))
        with VadClient(target, "tiny") as client:
            maps = client.score(source.frames, maps=True).maps
        np.testing.assert_array_equal(scores.maps, reduce_maps(maps, (4, 3)))

    def test_nobody_listens(self, frames_folder, tmp_path, free_port):
        server = f"127.0.0.1:{free_port}"
        argv = [str(frames_folder), "--server", server, "--model", "tiny", "--csv", str(tmp_path / "scores.csv")]
        with pytest.raises(VadError, match=rf"^no server answers at {server} \(.*start one there"):
            score(argv)

    def test_times_and_alarms(self, tmp_path):
        from keras_vad.scoring.series import VideoScores

        scores = VideoScores(np.array([16, 17]), np.float32([1.5, 0.1]), np.float32([0.75, 0.5]))
        score_verb.write_csv(tmp_path / "scores.csv", replace(scores, time_s=scores.frame_index / 25))
        assert (tmp_path / "scores.csv").read_text() == (
            "frame,time_s,raw_score,score,alarm\n16,0.640,1.5,0.75,1\n17,0.680,0.100000001,0.5,0\n"
        )

    def test_keeps_an_existing_file(self, target, frames_folder, tmp_path):
        out = tmp_path / "scores.csv"
        out.write_text("mine")
        argv = [str(frames_folder), "--server", target, "--model", "tiny", "--csv", str(out)]
        with pytest.raises(VadError, match=r"scores\.csv exists; pass --overwrite"):
            score(argv)
        assert out.read_text() == "mine"
        assert score([*argv, "--overwrite"]) == 0
        assert out.read_text().startswith("frame,")

    def test_a_failed_run_writes_nothing(self, target, frames_folder, tmp_path):
        argv = [str(frames_folder), "--server", target, "--model", "nope", "--csv", str(tmp_path / "s.csv")]
        with pytest.raises(VadError, match="has no model 'nope'"):
            score(argv)
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_leaves_nothing(self, tmp_path):
        from keras_vad.scoring.series import VideoScores

        scores = VideoScores(np.arange(9), np.zeros(9, np.float32), np.zeros(9, np.float32))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a limit on a file's size stands for the full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
        try:
            with pytest.raises(VadError, match=r"scores\.csv cannot be written \(File too large\)"):
                score_verb.write_csv(tmp_path / "scores.csv", scores)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
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
            [sys.executable, "-c", code], env={"PYTHONPATH": PATHS}, capture_output=True, text=True, check=True
        )
        assert result.stdout.splitlines()[-1] == "[]"

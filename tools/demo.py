"""Walk the whole way on generated data: train, evaluate, export, serve, score over gRPC and draw a picture.

Every step is a command, run as by the words that are printed; but all in this process, as loading TensorFlow takes
longer than most of them. Only the server has one of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from keras_vad.cli.main import execute
from keras_vad.cli.process import run
from keras_vad.errors import VadError

MODEL = "adv3dcae_shapes_compact"
DATA = {"train-frames": 1200, "test-frames": 600, "anomaly-probability": 0.02, "seed": 0}
# A network and a run too small to learn anything, to see in seconds that every step works.
QUICK = {"training.epochs": 1, "training.steps_per_epoch": 2, "model.image_size": 32, "model.channels": [2, 2, 2, 2, 2]}


def main(argv: Sequence[str] | None = None) -> int:
    """Run every step and say where the results lie."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=Path("demo"), help="default: demo")
    parser.add_argument("--quick", action="store_true", help="hardly train, to see in seconds that every step works")
    args = parser.parse_args(argv)
    folder, started = args.folder, time.monotonic()
    shapes, trained, zoo, scores = (folder / name for name in ("shapes", "run", "zoo", "scores"))
    figures, picture = folder / "evaluation.json", folder / "scored_video.png"
    if folder.exists() and not shapes.exists() and any(folder.iterdir()):
        raise VadError(f"{folder} holds something else than a demonstration; name another folder.")
    for old in (trained, zoo, scores):
        shutil.rmtree(old, ignore_errors=True)
    os.environ["KERAS_VAD_CACHE"] = str((folder / "cache").resolve())

    data = ["--dataset", "shapes", "--data-dir", str(shapes)]
    if not shapes.exists():
        _step("data make-shapes", shapes, *(text for name, value in DATA.items() for text in (f"--{name}", str(value))))
    training = ["--model", "adv3dcae", *data, "--recipe", "compact", "--run-dir", trained, "--zoo", zoo]
    changes = QUICK if args.quick else {}
    _step("train", *training, *(text for name, value in changes.items() for text in ("--set", f"{name}={value}")))
    _step("evaluate", "--model", trained, *data, "--json", figures, "--overwrite")
    videos = sorted(path for path in (shapes / "Test").iterdir() if path.is_dir() and not path.name.endswith("_gt"))
    with _server(zoo) as address:
        for video in videos:
            _step("score", video, "--server", address, "--model", MODEL, "--csv", scores / f"{video.name}.csv")
    _step("picture", videos[0].name, *data, "--model", trained, "--output", picture, "--overwrite")

    print(f"\nDone in {time.monotonic() - started:.0f} s. The results:")
    for what, where in (
        ("picture of a scored video", picture),
        ("scores, frame by frame", scores),
        ("figures of the evaluation", figures),
        ("run: configuration, losses, log", trained),
        ("exported model", zoo / MODEL / "1"),
    ):
        print(f"  {what:32} {where}")
    return 0


def _step(verb: str, *arguments: str | Path) -> None:
    words = _announced(verb, arguments)
    try:
        execute(words)
    except VadError as error:
        raise VadError(
            f"{error} The demonstration stopped at keras-vad {verb}; run it again when that is mended."
        ) from error


def _announced(verb: str, arguments: Sequence[str | Path]) -> list[str]:
    """The command's words, after it was printed."""
    words = [*verb.split(), *map(str, arguments)]
    print("\n$ keras-vad", " ".join(words), flush=True)
    return words


@contextmanager
def _server(zoo: Path) -> Iterator[str]:
    """A local server for the duration of the block; gives its address."""
    command = [sys.executable, "-m", "keras_vad", *_announced("serve", ["--zoo", zoo, "--port", "0"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                print(line, end="", flush=True)
                if line.startswith("serving "):
                    break
            else:
                raise VadError("the demonstration stopped at keras-vad serve, see above.")
            yield line.split()[-1]
        finally:
            server.terminate()
            print(server.communicate()[0], end="")


if __name__ == "__main__":
    sys.exit(run(main))

"""Runs what a page tells its readers to run, in one process so that TensorFlow is loaded once.

The working folder stands for the project's folder. Pages speak of real data and of full training; here the generated
shapes stand for UCSD Ped2 and every training is cut to two steps of a tiny network. The rest runs as it is written.
"""

import importlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import keras_vad
from keras_vad.cli.main import execute
from keras_vad.cli.main import main as command
from keras_vad.testing import fresh_process
from keras_vad.training.ablations import load_ablation
from keras_vad.training.recipe import load_recipe
from tests.models.test_contract import TINY

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "keras_vad" / "recipes"
SHORT = [
    "training.steps_per_epoch=2",
    "training.batch_size=2",
    "training.validation_steps=1",
]
SMALLER = {"adv3dcae": {"window_length": 4, "channels": (2, 2), "discriminator_channels": (2, 2)}}
STARTED: list[subprocess.Popen[str]] = []
PORT = WEB_PORT = 0


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, text) of the bash and python blocks of a page's text, in order."""
    return re.findall(r"^```(bash|python)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """The words of every command of a bash block."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def with_ports(text: str) -> str:
    """Text with free ports in place of those that pages name."""
    return text.replace("8500", str(PORT)).replace("8000", str(WEB_PORT))


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def shortened(words: list[str], text: str) -> list[str]:
    """A command of a page's text on generated data, training cut short; nothing if nothing is left of it."""
    if words[:3] == ["python", "tools/benchmark.py", "streaming"]:
        return words  # it needs no data
    if words[:2] == ["python", "tools/train.py"]:
        words = ["keras-vad", "train", *words[2:]]  # the same command
    words = [word.replace("data/UCSDped2", "data/shapes").replace("ucsdped2", "shapes") for word in words]
    words = [with_ports(word) for word in words]
    if words[:3] == ["keras-vad", "data", "make-shapes"]:
        for option, frames in (("--train-frames", "200"), ("--test-frames", "400")):
            words[words.index(option) + 1] = frames
    trains = words[:2] == ["keras-vad", "train"]
    if trains or words[:2] == ["keras-vad", "ablate"]:
        if "--from" in words:  # its network is tiny already
            return [*words, *(word for setting in ["training.epochs=1", *SHORT] for word in ("--set", setting))]
        model = words[words.index("--model") + 1] if trains else load_ablation(words[2]).model
        if "--recipe" not in words:  # of full size, which differs from the compact one by what is cut away here
            load_recipe(f"{model}_ucsdped2")
            return []
        recipe = words.index("--recipe") + 1
        if words[recipe] == "compact" and not (RECIPES / f"{model}_shapes_compact.yaml").exists():
            stand_in = Path(f"{model}_shapes_compact.yaml")  # its name is that of the run
            stand_in.write_text((RECIPES / f"{model}_ucsdped2_compact.yaml").read_text("utf-8"), "utf-8")
            words[recipe] = str(stand_in)
        config = {**TINY[model].config, **SMALLER.get(model, {})}
        phases = len(keras_vad.build(model, **config).phases())
        if "--epochs" in words:
            words[words.index("--epochs") + 1] = str(phases + 1)
        else:
            words += ["--set", f"training.epochs={phases}"]
        if "--batch-size" in words:
            words[words.index("--batch-size") + 1] = "2"
        tiny = [f"model.{name}={json.dumps(value)}" for name, value in config.items()]
        for setting in [*SHORT, *tiny]:
            words += ["--set", setting]
        exported = rf"(?<!runs/){model}_(shapes|ucsdped2)_compact\b(?!-seed)"
        if trains and "--name" not in words and not any(re.search(exported, block) for _, block in blocks(text)):
            words.append("--no-export")  # nothing on the page takes it
    return words


def run(words: list[str]) -> None:
    """Run one command; anything but success is an error."""
    print("$", *words, flush=True)
    if words[0] == "make":
        return  # tests/test_demo.py runs the demonstration
    if words[0] == "export":
        os.environ.update([words[1].split("=", 1)])
    elif words[:3] == ["python", "-m", "http.server"]:
        serve_files([sys.executable, *words[1:]])
    elif words[:2] == ["keras-vad", "serve"]:
        serve([sys.executable, "-m", "keras_vad", *words[1:]])
    elif words[0] == "keras-vad" and "--devices" in words:  # the CPU is split before TensorFlow starts
        done = fresh_process.run(command, words[1:])
        assert done.code == 0, done.stderr
    elif words[0] == "keras-vad":
        assert execute(words[1:]) == 0
    elif words[0] == "python" and words[1].startswith("tools/"):
        assert importlib.import_module(words[1].removesuffix(".py").replace("/", ".")).main(words[2:]) == 0
    elif words[0] != ".":  # the environment is there already
        subprocess.run(["bash", "-ec", shlex.join(words)], check=True)


def serve(command: list[str]) -> None:
    """Start the server and wait until it can be asked."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    STARTED.append(server)
    assert server.stdout is not None
    assert any(line.startswith("serving ") for line in server.stdout), "the server did not start"


def serve_files(command: list[str]) -> None:
    """Start a web server and wait until it listens."""
    STARTED.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True))
    for _ in range(600):
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", WEB_PORT)).close()
            return
        time.sleep(0.1)
    raise AssertionError("the web server did not start")


def main(page: Path) -> None:
    """Run the page from top to bottom."""
    global PORT, WEB_PORT
    PORT, WEB_PORT = free_port(), free_port()
    names: dict[str, object] = {}
    text = page.read_text("utf-8")
    try:
        for language, block in blocks(text):
            if language == "bash":
                for words in commands(block):
                    if short := shortened(words, text):
                        run(short)
            else:
                exec(with_ports(block.replace("ucsdped2", "shapes")), names)
    except BaseException:
        traceback.print_exc()
        sys.exit(1)
    finally:
        for server in STARTED:
            server.terminate()
            server.communicate()

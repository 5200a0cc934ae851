"""``tools/train.py`` as a user runs it: a process, its run folder, its exit code; killed, resumed, on two devices."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import keras_vad
from keras_vad.data import open_dataset
from keras_vad.errors import VadError
from keras_vad.models.registry import get_method
from keras_vad.training.run import _only_one_in
from tests.command import verb

train = verb("train")

ROOT = Path(__file__).parents[2]


def weights(run):
    import tensorflow as tf

    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(run / "checkpoints")))
    keys = [key for key in reader.get_variable_to_shape_map() if not key.startswith(("position", "_CHECKPOINTABLE"))]
    return {key: reader.get_tensor(key) for key in keys if key != "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}


def assert_equal_weights(found, expected):
    assert set(found) == set(expected)
    different = [key for key in expected if not np.array_equal(found[key], expected[key])]
    assert different == []


def refusal(options):
    """The sentence with which the tool, called in this process, refuses."""
    with pytest.raises(VadError) as caught:
        train(options)
    return str(caught.value)


def newest_step(run):
    """Number of the newest complete checkpoint, -1 if there is none."""
    return max((int(path.stem.split("-")[1]) for path in (run / "checkpoints").glob("ckpt-*.index")), default=-1)


def test_a_killed_run_that_is_resumed_ends_as_an_uninterrupted_one(
    tmp_path, arguments, start_training, run_training_tool, shapes, cache_folder, monkeypatch
):
    # Epochs long enough to be killed in: 12 steps, a checkpoint after each.
    options = {"training": {"steps_per_epoch": 12, "checkpoint_every": 1}}
    common = [*arguments(**options), "--strategy", "none", "--seed", "3"]

    process = start_training([*common, "--run-dir", "killed", "--no-export"])
    run = tmp_path / "killed"
    while newest_step(run) < 5:  # the first one stands before the first step, so this is within the first epoch
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (run / "metrics.csv").exists(), "it was killed after the first epoch; make the epochs longer"
    assert not (run / "detector.keras").exists()

    code, _, error = run_training_tool([*common, "--run-dir", "killed", "--resume", "--no-export"])
    assert code == 0, error
    code, output, error = run_training_tool([*common, "--run-dir", "whole", "--zoo", "zoo"])
    assert code == 0, error

    assert_equal_weights(weights(run), weights(tmp_path / "whole"))
    one, other = (keras_vad.load(tmp_path / name).get_weights() for name in ("killed", "whole"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (run / "metrics.csv").read_text() == (tmp_path / "whole" / "metrics.csv").read_text()
    assert output.splitlines()[-2:] == ["run: whole", "exported: zoo/adv3dcae_shapes_compact/1"]
    check_run_folder(tmp_path / "whole", shapes)
    assert (tmp_path / "zoo" / "adv3dcae_shapes_compact" / "1" / "saved_model.pb").is_file()
    card = json.loads((tmp_path / "zoo" / "adv3dcae_shapes_compact" / "model_card.json").read_text())
    config = yaml.safe_load((tmp_path / "whole" / "config.yaml").read_text())
    about = {key: config[key] for key in ("dataset", "data_fingerprint", "recipe", "seed", "git", "trained_on")}
    options = {key: config[key] for key in ("data", "training", "scoring")}
    assert card["training"] == {**about, "from": None, "options": options}
    report = json.loads((tmp_path / "whole" / "report.json").read_text())
    assert card["calibration"] == {**report["calibration"], "alarm_above": 0.5}

    # The same again, resumed with another seed, and another speed of learning
    whole = ["--run-dir", str(tmp_path / "whole")]
    monkeypatch.setenv("KERAS_VAD_CACHE", str(cache_folder))
    assert refusal([*common, *whole]) == (
        f"the run folder {tmp_path}/whole is not empty; use --resume to go on, or --run-dir for another."
    )
    assert refusal([*common[:-1], "4", *whole, "--resume"]) == (
        f"the run in {tmp_path}/whole has seed 3, but now it is 4; resume with the same options and data, or start a "
        "new run."
    )
    found = refusal([*common, *whole, "--resume", "--set", "model.noise=null"])
    assert found.startswith(f"the run in {tmp_path}/whole has model {{")
    with _only_one_in(tmp_path / "whole"):
        assert refusal([*common, *whole, "--resume"]) == (
            f"another process trains in {tmp_path}/whole; wait for it, stop it, or choose another folder with "
            "--run-dir."
        )


def check_run_folder(run, shapes):
    assert {entry.name for entry in run.iterdir()} == {
        *("config.yaml", "metrics.csv", "train.log", "tensorboard", "checkpoints", "detector.keras", "report.json")
    }
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["method"] == "adv3dcae"
    assert config["seed"] == 3
    assert config["model"]["image_size"] == [24, 32]
    assert config["training"]["steps_per_epoch"] == 12
    assert config["training"]["precision"] == "float32"
    assert config["data_fingerprint"] == open_dataset("shapes", shapes).fingerprint()
    assert set(config["versions"]) == {"keras_vad", "tensorflow", "keras", "numpy", "python"}
    assert config["git"]
    assert config["command"].startswith("keras-vad train --model adv3dcae ")
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    names = {"reconstruction", "adversarial", "discriminator"}
    health = {f"health_{name}" for name in get_method("adv3dcae").health_figures}
    assert set(rows[0]) - health == {"epoch", *names, *(f"val_{name}" for name in names), "phase", "learning_rate"}
    assert float(rows[1]["reconstruction"]) < float(rows[0]["reconstruction"])
    report = json.loads((run / "report.json").read_text())
    assert report["epochs"] == 2
    assert report["steps_per_epoch"] == 12
    assert report["parameters"] == sum(int(np.prod(w.shape)) for w in keras_vad.load(run).trainable_weights)
    assert report["windows_per_second"] > 0
    assert len(report["held_out_videos"]) == 1
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert re.search(r"epoch 2: .*\breconstruction \d", (run / "train.log").read_text())
    assert len(list((run / "checkpoints").glob("ckpt-*.index"))) == 2


def test_two_devices_train_from_the_command_line(tmp_path, arguments, run_training_tool):
    more = ["--strategy", "mirrored", "--devices", "2", "--run-dir", "two", "--name", "two"]
    code, output, error = run_training_tool([*arguments(), *more])
    assert code == 0, error
    assert output.splitlines()[-1] == "exported: zoo/two/1"
    losses = list(csv.DictReader((tmp_path / "two" / "metrics.csv").open(newline="")))
    assert np.isfinite([float(row["reconstruction"]) for row in losses]).all()
    config = yaml.safe_load((tmp_path / "two" / "config.yaml").read_text())
    assert (config["strategy"], config["devices"]) == ("mirrored", 2)
    scores = keras_vad.load("two", zoo=tmp_path / "zoo").score_video(np.zeros((9, 24, 32, 3), np.uint8))
    assert np.isfinite(scores.raw).all()


def test_a_loss_that_is_nan_stops_the_run_and_keeps_a_good_checkpoint(tmp_path, arguments, run_training_tool):
    # So large a rate makes the weights infinite within a few steps.
    options = arguments(model={"learning_rate": "1e37"}, training={"checkpoint_every": 1})
    code, _, error = run_training_tool([*options, "--strategy", "none", "--run-dir", "wild"])
    assert code == 2
    last = error.splitlines()[-1]
    assert re.fullmatch(
        r"error: the ((reconstruction|adversarial|discriminator) loss became (nan|inf)|weight \S+ became NaN or "
        r"infinite) in epoch \d+; the last good checkpoint is wild/checkpoints/ckpt-\d+; train again with a lower "
        r"learning rate \(--set model.learning_rate=...\) or in float32\.",
        last,
    ), error
    assert "Traceback" not in error
    kept = weights(tmp_path / "wild")
    assert kept
    assert all(np.isfinite(value).all() for value in kept.values() if value.dtype.kind == "f")
    assert last.removeprefix("error: ") in (tmp_path / "wild" / "train.log").read_text()
    assert not (tmp_path / "zoo").exists()
    assert not (tmp_path / "wild" / "detector.keras").exists()


def test_a_refused_run_is_one_sentence_and_exit_code_2(tmp_path, arguments, run_training_tool):
    code, output, error = run_training_tool(arguments(model={"colour": "3"}))
    assert (code, output) == (2, "")
    assert error.startswith("error: adv3dcae has no hyper-parameter colour; it has image_size, ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "adv4dcae"], "there is no method 'adv4dcae' .*the methods are .*adv3dcae, "),
        (["--dataset", "circles"], "there is no data set 'circles'; choose one of shapes, ucsdped1"),
        (
            ["--data-dir", "nowhere"],
            "the data folder nowhere does not exist; give the folder that holds the data set shapes",
        ),
        (["--data-dir", "empty"], "^empty holds no "),
        (["--recipe", "large"], "there is no recipe 'large'; give a YAML file or one of .*adv3dcae_shapes_compact"),
        (["--recipe", "large.yaml"], "the recipe large.yaml cannot be read: No such file or directory"),
        (["--set", "noise=null"], "--set noise=null is not understood; write --set section.option=value"),
        (["--set", "model.noise=pink"], "noise is 'pink', but must be one of"),
        (["--set", "model.window_length=four"], "window_length of adv3dcae is 'four', but must be of type int"),
        (
            ["--set", "model.window_length=64"],
            r"none of the held-out videos serves: Train003 \(20 frames, but a window spans 64\); give longer videos",
        ),
        (["--set", "data.speeds=[0]"], r"data.speeds is \[0\], but must be a list of whole numbers of at least 1"),
        (
            ["--set", "data.train_frames=61"],
            "data.train_frames is 61, but the training videos .* have 60 frames; ask for",
        ),
        (
            ["--set", "data.train_frames=22"],
            "leaves 2 frames of Train002, but a window spans 4; take 2 fewer or at least 2 m",
        ),
        (["--set", "training.speed=3"], "has no option training.speed; section training has epochs, "),
        (["--epochs", "0"], "training.epochs is 0, but must be at least 1"),
        (["--batch-size", "0"], "training.batch_size is 0, but must be at least 1"),
        (["--batch-size", "100"], "the videos hold 51 windows, but a batch has 100"),
        (["--devices", "0"], "argument --devices: it is 0, but must be a whole number of at least 1"),
        (["--strategy", "none", "--devices", "2"], "strategy none uses one device, but 2 were asked for"),
        (["--precision", "mixed_float16"], "precision mixed_float16 needs a GPU"),
        (["--name", "a/b"], "the model name 'a/b' does not serve"),
        (["--resume"], "there is no run to resume in run: it holds no config.yaml; leave out --resume"),
        (["--run-dir", "file"], "the run folder file is a file; choose another with --run-dir"),
        (
            ["--set", "model.object_crops=foreground", "--set", "model.pooling=mean"],
            "cannot be exported: .*; use --no-export",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path, arguments, cache_folder, monkeypatch, determinism_off, more, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_VAD_CACHE", str(cache_folder))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert re.search(message, refusal([*arguments("--run-dir", "run"), *more]))
    assert {entry.name for entry in tmp_path.iterdir()} == {"empty", "file"}


def test_help_does_not_load_tensorflow():
    script = (
        "import sys\n"
        "from keras_vad.cli.main import execute\n"
        "try: execute(['train', '--help'])\n"
        "finally: assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--resume" in done.stdout


def test_more_devices_than_windows_in_a_batch(tmp_path, arguments, run_training_tool):
    more = ["--strategy", "mirrored", "--devices", "3", "--batch-size", "2"]
    code, _, error = run_training_tool([*arguments(), *more])
    assert (code, error) == (
        2,
        "error: training.batch_size is 2, but there are 3 devices, and each needs a window; use a larger batch or "
        "fewer devices.\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--strategy", "--precision"])
def test_an_unknown_choice_names_the_choices(run_training_tool, arguments, option):
    code, _, error = run_training_tool([*arguments(), option, "fast"])
    assert code == 2
    assert "'fast'" in error
    assert "none" in error or "float32" in error

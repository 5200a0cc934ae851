"""Training from trained weights: ``tools/train.py --from``."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import yaml

import keras_vad
from keras_vad.data import open_dataset, open_video
from keras_vad.data.splits import hold_out
from keras_vad.errors import VadError
from keras_vad.export import export
from keras_vad.models.adv3dcae import Adv3DCAE
from keras_vad.presets.index import read_index
from keras_vad.presets.publish import publish
from tests.data.media import colour_frames, write_images
from tests.models.test_contract import TINY
from tools.train import main

SETTINGS = [
    "training.epochs=4",
    "training.steps_per_epoch=2",
    "training.batch_size=2",
    "training.validation_steps=1",
    "training.schedule=cosine",
    "data.hop=3",
    "data.fps=5",
    "scoring.smoothing=7",
]


def train(*more):
    """Run the tool on one device."""
    assert main([*more, "--strategy", "none"]) == 0


def refusal(*more):
    """The sentence with which the tool refuses."""
    with pytest.raises(VadError) as caught:
        main([*more, "--strategy", "none"])
    return str(caught.value)


def config_of(run):
    return yaml.safe_load((run / "config.yaml").read_text())


@pytest.fixture(scope="module")
def source(tmp_path_factory, cache_folder, shapes):
    """The run folder of a tiny detector with a background, trained on shapes."""
    folder = tmp_path_factory.mktemp("source")
    recipe = folder / "tiny.yaml"
    settings = [*SETTINGS, *(f"model.{name}={json.dumps(value)}" for name, value in TINY["conv_ae"].config.items())]
    recipe.write_text("model: {}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_VAD_CACHE", str(cache_folder))
        patch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)  # see determinism_off
        train(
            *("--model", "conv_ae", "--dataset", "shapes", "--data-dir", str(shapes), "--recipe", str(recipe)),
            *("--run-dir", str(folder / "street"), "--no-export"),
            *(word for setting in settings for word in ("--set", setting)),
        )
    return folder / "street"


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """Footage of another camera: three videos."""
    folder = tmp_path_factory.mktemp("camera")
    for number in range(3):
        write_images(folder / "train" / f"part{number}", colour_frames(16, (40, 60), seed=number))
    return folder


@pytest.fixture
def tune(tmp_path, camera, source, cache_folder, monkeypatch, determinism_off):
    """The arguments of fine-tuning on it, from the run, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_VAD_CACHE", str(cache_folder))
    monkeypatch.setenv("KERAS_VAD_SOURCES", "")
    return ["--from", str(source), "--dataset", "folder", "--data-dir", str(camera)]


def test_what_was_learned_is_kept_and_what_depends_on_the_camera_is_new(tmp_path, tune, source, camera):
    # At this rate no weight moves that an optimizer moves.
    train(*tune, "--set", "training.learning_rate_factor=1e-30", "--epochs", "1")
    run = tmp_path / "runs" / "street_folder-seed0"
    before, after = keras_vad.load(source), keras_vad.load(run)
    for old, new in zip(before.trainable_weights, after.trainable_weights, strict=True):
        np.testing.assert_array_equal(old.numpy(), new.numpy())
    videos = open_dataset("folder", camera).train_videos()
    used, held_out = hold_out(videos, 0.15, seed=0)
    after.background.assign(np.zeros(after.background.shape))
    frames = np.concatenate([after.preprocess(np.stack(list(video.frames))) for video in used])
    np.testing.assert_allclose(keras_vad.load(run).background.numpy(), frames.mean(axis=0), atol=1e-5)
    raw = np.concatenate([keras_vad.load(run).score_video(video).raw for video in held_out])
    assert np.abs(keras_vad.load(run).calibration_raw.numpy() - before.calibration_raw.numpy()).max() > 0
    assert json.loads((run / "report.json").read_text())["calibration"]["normal_frames"] == len(raw)

    found = config_of(run)["from"]
    sha256 = hashlib.sha256((source / "detector.keras").read_bytes()).hexdigest()
    assert found == {"name": "street", "version": None, "sha256": sha256}
    assert "starting from street\n" in (run / "train.log").read_text()
    card = json.loads((tmp_path / "zoo" / "street_folder" / "model_card.json").read_text())
    assert card["training"]["from"] == found
    assert card["training"]["dataset"] == "folder"


def test_the_recipe_is_that_of_the_source_for_half_as_long_and_slower(tmp_path, tune, source):
    train(*tune, "--name", "yard", "--run-dir", "first", "--false-alarms-per-hour", "9", "--fps", "10")
    first, before = config_of(tmp_path / "first"), config_of(source)
    assert before["training"]["learning_rate_factor"] == 1
    assert first["method"] == "conv_ae"
    assert first["model"].items() >= before["model"].items()
    assert first["data"] == {**before["data"], "fps": 10}
    changed = {"epochs": 2, "learning_rate_factor": 0.3, "false_alarms_per_hour": 9}
    assert first["training"] == {**before["training"], **changed}
    assert first["scoring"] == before["scoring"] == {"smoothing": 7}
    with (tmp_path / "first" / "metrics.csv").open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.3 * 0.01, 0.3 * 0.01 * (0.02 + 0.98 / 2)], rel=1e-5)

    # From the exported model, and once more: it is trained as before, not for a quarter of the time.
    train("--from", "yard", *tune[2:], "--run-dir", "second", "--no-export")
    second = config_of(tmp_path / "second")
    assert (second["from"]["name"], second["from"]["version"]) == ("yard", 1)
    assert second["training"] == {**first["training"], "false_alarms_per_hour": None}
    assert second["data"]["fps"] is None


def test_a_killed_run_resumes_and_keeps_its_source(tmp_path, tune, source):
    arguments = [*tune, "--no-export", "--set", "training.learning_rate_factor=1", "--epochs", "2"]
    train(*arguments, "--run-dir", "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    checkpoints = tmp_path / "killed" / "checkpoints"
    after_one_epoch = tf.train.get_checkpoint_state(str(checkpoints)).all_model_checkpoint_paths[0]
    tf.train.update_checkpoint_state(str(checkpoints), checkpoints / after_one_epoch)
    for made_later in ("detector.keras", "report.json"):
        (tmp_path / "killed" / made_later).unlink()
    train(*arguments, "--run-dir", "killed", "--resume")
    report = json.loads((tmp_path / "killed" / "report.json").read_text())
    assert report["epochs"] == 2
    one, other = (keras_vad.load(tmp_path / name).get_weights() for name in ("killed", "whole"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    resumed = ["--run-dir", str(tmp_path / "whole"), "--resume"]
    another = ["--from", str(tmp_path / "killed"), *arguments[2:]]
    found = refusal(*another, *resumed, "--set", "training.learning_rate_factor=1", "--epochs", "2")
    assert found.startswith(f"the run in {tmp_path}/whole has from {{'name': 'street', 'version': None, ")
    without = ["--model", "conv_ae", *arguments[2:], "--recipe", str(source.parent / "tiny.yaml"), *resumed]
    assert "has recipe 'street_folder', but now it is 'tiny'" in refusal(*without)


def test_a_run_of_an_earlier_version_resumes(tmp_path, tune):
    arguments = [*tune, "--no-export", "--epochs", "1", "--set", "training.learning_rate_factor=1", "--run-dir", "run"]
    train(*arguments)
    config = config_of(tmp_path / "run")
    del config["training"]["learning_rate_factor"]  # an option that did not exist
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    train(*arguments, "--resume")
    config["training"]["fine"] = 1
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config))
    assert refusal(*arguments, "--resume").startswith("run/config.yaml has no option training.fine; ")


def test_a_preset_is_named_with_version_and_hash(tmp_path, tune, source):
    publish(source, tmp_path / "zoo", "corner")
    train("--from", "corner", *tune[2:], "--no-export", "--epochs", "1")
    preset = read_index(tmp_path / "zoo")[0]
    found = config_of(tmp_path / "runs" / "corner_folder-seed0")["from"]
    assert found == {"name": "corner", "version": 1, "sha256": preset.file("detector.keras").sha256}


def test_clusters_are_found_anew(tmp_path, tune, camera):
    detector = keras_vad.build("adaptive_clustering", **TINY["adaptive_clustering"].config)
    detector.centres.centres.assign(np.full(detector.centres.centres.shape, 1e3))  # no code is near
    detector.save(tmp_path / "odd.keras")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("training: {epochs: 2, steps_per_epoch: 1, batch_size: 4, validation_steps: 0}\n")
    train("--from", "odd.keras", *tune[2:], "--recipe", str(recipe), "--no-export", "--run-dir", "run")
    after = keras_vad.load(tmp_path / "run")
    assert np.abs(after.centres.centres.numpy()).max() < 100
    assert np.isfinite(after.score_video(open_video(camera / "train" / "part0")).raw).all()


def test_several_seeds_start_from_one_source(tmp_path, tune, source, camera, capsys):
    data = tmp_path / "labelled"
    shutil.copytree(camera, data)
    shutil.copytree(camera / "train" / "part0", data / "test" / "odd")
    (data / "labels.csv").write_text("video,start,end\nodd,4,9\n")
    train(*tune[:4], "--data-dir", str(data), "--epochs", "1", "--seeds", "3", "4")
    assert "2 seeds" in capsys.readouterr().out
    runs = [tmp_path / "runs" / f"street_folder-seed{seed}" for seed in (3, 4)]
    assert [config_of(run)["seed"] for run in runs] == [3, 4]
    assert config_of(runs[0])["from"] == config_of(runs[1])["from"]
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "luss_ae"], "street is of conv_ae, but --model is luss_ae; leave --model out."),
        (
            ["--set", "model.channels=[16, 16, 8]", "--set", "model.learning_rate=0.1"],
            "the weights of street do not fit model.learning_rate 0.1, model.channels (16, 16, 8); leave out what "
            "changes their shapes, or train with --model in place of --from.",
        ),
        (["--set", "model.image_size=[64, 48]"], "the weights of street do not fit model.image_size (64, 48); "),
        (["--set", "model.subtract_background=false"], "the weights of street do not fit model.subtract_background "),
        (["--set", "model.colour=3"], "conv_ae has no hyper-parameter colour; it has "),
        (["--set", "training.speed=3"], "the training of street has no option training.speed; "),
        (["--set", "training.learning_rate_factor=0"], "training.learning_rate_factor is 0.0, but must be above 0."),
        (["--epochs", "0"], "training.epochs is 0, but must be at least 1."),
        (["--recipe", "compact"], "there is no recipe 'conv_ae_folder_compact'; "),
        (["--from", "nowhere"], "there is no detector 'nowhere': "),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, tune, more, message):
    assert message in refusal(*tune, *more)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_say_how_it_was_trained_needs_a_recipe(tmp_path, tune):
    detector = Adv3DCAE(image_size=32, channels=(2, 2), discriminator_channels=(2, 2))
    export(detector, tmp_path / "zoo", "plain")
    told = "nothing says how plain/1 was trained; name a recipe with --recipe."
    assert refusal("--from", "plain", *tune[2:]) == told


def test_a_model_or_a_source_is_needed(tune, capsys):
    with pytest.raises(SystemExit) as caught:
        main(tune[2:])
    assert caught.value.code == 2
    assert "--model or --from is required" in capsys.readouterr().err

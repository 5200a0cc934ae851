"""Training from trained weights: ``tools/train.py --from``."""

import csv
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

import keras_vad
from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.data import hold_out, open_dataset
from keras_vad.errors import VadError
from keras_vad.presets.index import PresetFile, read_index
from keras_vad.presets.publish import publish
from keras_vad.presets.resolve import Origin, resolve
from keras_vad.training.pretrained import Pretrained, load_pretrained
from keras_vad.training.recipe import Recipe
from keras_vad.training.run import RunOptions, check_same_run
from tests.command import verb
from tests.data.media import colour_frames, write_images
from tests.models.test_contract import TINY

main = verb("train")

RECIPE = Recipe.from_dict(
    {
        "model": TINY["conv_ae"].config,
        "data": {"hop": 3, "fps": 5},
        "training": {
            **{"epochs": 4, "steps_per_epoch": 2, "batch_size": 2, "validation_steps": 0},
            **{"schedule": "cosine", "false_alarms_per_hour": 7, "precision": "mixed_bfloat16"},
        },
        "scoring": {"smoothing": 7},
    }
)


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
def source(tmp_path_factory):
    """The run folder of a tiny detector with a background; its random weights are as good as trained ones here."""
    run = tmp_path_factory.mktemp("source") / "street"
    run.mkdir()
    keras.utils.set_random_seed(7)
    detector = keras_vad.build("conv_ae", **RECIPE.model)
    detector.background.assign(np.full(detector.background.shape, 0.5))
    detector.save(run / "detector.keras")
    about = {"method": "conv_ae", "dataset": "shapes", "data_fingerprint": "0123", "recipe": "tiny", "seed": 0}
    config = {**about, "git": None, "from": None, **RECIPE.to_dict()}
    (run / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    return run


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """Footage of another camera: three videos, and one with labels."""
    folder = tmp_path_factory.mktemp("camera")
    for number in range(3):
        write_images(folder / "train" / f"part{number}", colour_frames(16, (40, 60), seed=number))
    write_images(folder / "test" / "odd", colour_frames(16, (40, 60), seed=9))
    (folder / "labels.csv").write_text("video,start,end\nodd,4,12\n")
    return folder


@pytest.fixture
def tune(tmp_path, camera, source, cache_folder, monkeypatch, determinism_off):
    """The arguments of fine-tuning on it, from the run, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_VAD_CACHE", str(cache_folder))
    monkeypatch.setenv("KERAS_VAD_STORES", "")
    return ["--from", str(source), "--dataset", "folder", "--data-dir", str(camera)]


def test_what_was_learned_is_kept_and_what_depends_on_the_camera_is_new(tmp_path, tune, camera):
    before = keras_vad.build("adaptive_clustering", **TINY["adaptive_clustering"].config)
    for foreign in (before.background, before.centres.centres, before.mixture_means):
        foreign.assign(np.full(foreign.shape, 1e3))
    before.save(tmp_path / "street.keras")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("training: {epochs: 2, steps_per_epoch: 1, batch_size: 4, validation_steps: 0}\n")
    # At this rate no weight moves that an optimizer moves.
    options = ["--recipe", str(recipe), "--set", "training.learning_rate_factor=1e-30", "--no-export"]
    train("--from", "street.keras", *tune[2:], *options, "--run-dir", "run")

    after = keras_vad.load(tmp_path / "run")
    for network in ("encoder", "decoder"):
        pairs = zip(getattr(before, network).trainable_weights, getattr(after, network).trainable_weights, strict=True)
        for old, new in pairs:
            np.testing.assert_allclose(old.numpy(), new.numpy(), rtol=0, atol=1e-20)
    used, held_out = hold_out(open_dataset("folder", camera).train_videos(), 0.15, seed=0)
    frames = np.concatenate([np.stack(list(video.frames)) for video in used])
    inputs = after.preprocess(frames) + after.background
    np.testing.assert_allclose(after.background.numpy(), np.mean(inputs, axis=0), atol=1e-4)
    assert np.abs(after.centres.centres.numpy()).max() < 100
    assert np.abs(after.mixture_means.numpy()).max() < 100
    raw = np.concatenate([after.score_video(video).raw for video in held_out])
    assert after.calibration_raw.numpy().max() >= raw.max() > 1 == before.calibration_raw.numpy().max()

    found = config_of(tmp_path / "run")["from"]
    sha256 = hashlib.sha256((tmp_path / "street.keras").read_bytes()).hexdigest()
    assert found == {"name": "street", "version": None, "sha256": sha256}
    assert "starting from street\n" in (tmp_path / "run" / "train.log").read_text()
    assert RunFolder(tmp_path / "run").training()["from"] == found  # for the card


def test_a_killed_run_resumes_as_another_would(tmp_path, tune):
    arguments = [*tune, "--epochs", "2", "--set", "training.learning_rate_factor=1"]
    train(*arguments, "--run-dir", "runs/seed0", "--no-export")
    shutil.copytree(tmp_path / "runs" / "seed0", tmp_path / "killed")
    checkpoints = tmp_path / "killed" / "checkpoints"
    state = (checkpoints / "checkpoint").read_text()
    (checkpoints / "checkpoint").write_text(state.replace("ckpt-3", "ckpt-2"))  # after the first epoch
    for made_later in ("detector.keras", "report.json"):
        (tmp_path / "killed" / made_later).unlink()
    # It was started by a version that had one option less.
    config = config_of(tmp_path / "killed")
    assert config["training"].pop("learning_rate_factor") == 1
    (tmp_path / "killed" / "config.yaml").write_text(yaml.safe_dump(config))

    train(*arguments, "--run-dir", "killed", "--resume", "--no-export")
    assert json.loads((tmp_path / "killed" / "report.json").read_text())["epochs"] == 2
    with (tmp_path / "killed" / "metrics.csv").open(newline="") as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    assert rates == pytest.approx([0.01, 0.01 * (0.02 + 0.98 / 2)], rel=1e-5)
    one, other = (keras_vad.load(tmp_path / name).get_weights() for name in ("killed", "runs/seed0"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

    # Among several seeds it is one that has been trained.
    (tmp_path / "runs" / "seed0" / "evaluation.json").write_text('{"rows": []}')
    train(*arguments, "--run-dir", "runs", "--seeds", "0")
    assert "seed0 has training {" in refusal(*arguments, "--run-dir", "runs", "--seeds", "0", "--epochs", "3")

    found = refusal("--from", str(tmp_path / "killed"), *arguments[2:], "--run-dir", "killed", "--resume")
    assert found.startswith("the run in killed has recipe 'street_folder', but now it is 'killed_folder'; ")
    config["training"]["fine"] = 1
    (tmp_path / "killed" / "config.yaml").write_text(yaml.safe_dump(config))
    found = refusal(*arguments, "--run-dir", "killed", "--resume")
    assert found.startswith("killed/config.yaml has no option training.fine; ")


def test_a_run_does_not_go_on_from_other_weights(tmp_path, tune, source):
    copy = Path(shutil.copytree(source, tmp_path / "street"))
    detector = keras_vad.load(copy)
    detector.background.assign(np.zeros(detector.background.shape))
    detector.save(copy / "detector.keras")
    dataset = open_dataset("folder", Path(tune[-1]))
    started = RunOptions(
        model="conv_ae",
        dataset="folder",
        data_dir=dataset.path,
        recipe_name="street_folder",
        recipe=RECIPE,
        seed=0,
        strategy="none",
        devices=None,
        run_dir=tmp_path / "run",
        output=None,
        name="street_folder",
        pretrained=load_pretrained(resolve(source)),
    )
    stored = {**started.to_dict(), "data_fingerprint": dataset.fingerprint()}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(stored))))
    check_same_run(started, dataset)
    with pytest.raises(VadError, match=r"/run has from \{'name': 'street', .* but now it is"):
        check_same_run(dataclasses.replace(started, pretrained=load_pretrained(resolve(copy))), dataset)


def test_the_recipe_is_that_of_the_source_for_half_as_long_and_slower(source, tmp_path):
    opened = load_pretrained(resolve(source))
    recipe = opened.fitted(opened.recipe(["data.fps=10", "training.batch_size=3", "model.learning_rate=0.5"]))
    training = {"epochs": 2, "learning_rate_factor": 0.3, "batch_size": 3}
    fresh = {"precision": "float32", "false_alarms_per_hour": None}
    before = RECIPE.to_dict()
    assert recipe.to_dict() == {
        "model": {**opened.config, "learning_rate": 0.5},
        "data": {**before["data"], "fps": 10},
        "training": {**before["training"], **fresh, **training},
        "scoring": {"smoothing": 7},
        "health": {},
    }
    assert opened.config.items() >= RECIPE.model.items()
    assert "name" not in opened.config

    # What was fine-tuned is trained as it was then, not for a quarter of the time.
    copy = Path(shutil.copytree(source, tmp_path / "again"))
    config = {**config_of(copy), **recipe.to_dict(), "from": opened.origin.to_dict()}
    (copy / "config.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    assert load_pretrained(resolve(copy)).recipe().training == recipe.training


def test_every_phase_gets_an_epoch_and_a_method_without_epochs_its_own():
    def epochs(key, training):
        phases = keras_vad.build(key, **TINY[key].config).phases()
        origin = Origin("some", None, "0", {"options": {"training": training}})
        return Pretrained(origin, key, TINY[key].config, phases, []).recipe().training.epochs

    assert epochs("st_dissociation", {"epochs": 5}) == 4  # appearance, motion, networks, centres
    assert epochs("st_dissociation", {"epochs": 9}) == 5
    assert epochs("conv3d_ae", {"epochs": None, "batch_size": 4}) == 30


def test_origins_of_presets_models_runs_and_files(tmp_path, tune, source):
    publish(source, tmp_path / "zoo", "corner")
    preset = read_index(tmp_path / "zoo")[0]
    trained = RunFolder(source).training()
    expected = Origin("corner", 1, preset.file("detector.keras").sha256, trained)
    assert resolve("corner").origin == resolve("corner/1").origin == expected
    assert str(expected) == "corner/1"
    assert preset.file("detector.keras") == PresetFile.of(source / "detector.keras")
    assert resolve(source).origin == Origin("street", None, expected.sha256, trained)
    shutil.copy(source / "detector.keras", tmp_path / "single.keras")
    assert resolve("single.keras").origin == Origin("single", None, expected.sha256, None)
    assert load_pretrained(resolve("corner")).recipe() == load_pretrained(resolve(source)).recipe()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model", "luss_ae"], "street is of conv_ae, but --model is luss_ae; leave --model out."),
        (
            ["--set", "model.channels=[16, 16, 8]", "--set", "model.learning_rate=0.1"],
            "the weights of street do not fit model.channels (16, 16, 8), model.learning_rate 0.1; leave out what "
            "changes their shapes, or train with --model in place of --from.",
        ),
        (["--set", "model.image_size=[64, 48]"], "the weights of street do not fit model.image_size (64, 48); "),
        (["--set", "model.colour=null"], "conv_ae has no hyper-parameter colour; it has "),
        (["--set", "training.speed=3"], "the training of street has no option training.speed; "),
        (["--set", "training.learning_rate_factor=0"], "training.learning_rate_factor is 0.0, but must be above 0."),
        (["--epochs", "0"], "training.epochs is 0, but must be at least 1."),
        (["--recipe", "compact"], "there is no recipe 'conv_ae_folder_compact' (did you mean "),
        (["--from", "nowhere"], "there is no detector 'nowhere': "),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, tune, more, message):
    assert message in refusal(*tune, *more)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_say_how_it_was_trained_needs_a_recipe(tmp_path, tune, source):
    shutil.copy(source / "detector.keras", tmp_path / "single.keras")
    told = "nothing says how single was trained; name a recipe with --recipe."
    assert refusal("--from", "single.keras", *tune[2:]) == told


def test_a_method_or_a_trained_model_is_needed(tune):
    with pytest.raises(VadError, match="give --model METHOD, or --from NAME to start from a trained model"):
        main(tune[2:])

"""Configurations, recipes and detector files with the names that options had before are read."""

import json
import zipfile

import pytest
import yaml

import keras_vad
from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.renamed import RENAMED, names_now
from keras_vad.errors import VadError
from keras_vad.models.registry import METHODS, options_of
from keras_vad.training.recipe import SECTIONS, load_recipe
from tests.models.test_contract import TINY


def test_every_name_is_of_an_option_now():
    options = {name for key in METHODS for name in options_of(key)}
    assert set(RENAMED["model"].values()) <= options and not set(RENAMED["model"]) & options
    assert set(RENAMED["data"].values()) <= set(SECTIONS["data"].__dataclass_fields__)


def test_recipes_and_overrides(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("model: {window_stride: 4}\ndata: {strides: [1, 2]}\n")
    recipe = load_recipe(str(path))
    assert (recipe.model, recipe.data.speeds) == ({"hop": 4}, (1, 2))
    changed = load_recipe(str(path), ["data.strides=[1]", "model.hop=2"])
    assert (changed.model, changed.data.speeds) == ({"hop": 2}, (1,))
    assert load_recipe(str(path), ["data.speeds=[3]", "model.window_stride=1"]).to_dict()["model"] == {"hop": 1}


def test_run_folders(tmp_path):
    config = {"method": "adv3dcae", "model": {"window_stride": 4}, "data": {"strides": [1], "hop": 2}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run = RunFolder(tmp_path)
    assert run.config() == {"method": "adv3dcae", "model": {"hop": 4}, "data": {"speeds": [1], "hop": 2}}
    assert run.training()["options"]["data"] == {"speeds": [1], "hop": 2}


def test_both_names_are_one_too_many():
    with pytest.raises(VadError, match=r"the option data\.speeds is also given by its former name strides"):
        names_now("data", {"strides": [1], "speeds": [1]})


@pytest.mark.parametrize("key", ["adaptive_clustering", "adv3dcae", "conv_ae", "local_playback", "luss_ae"])
def test_detector_files(key, tmp_path):
    config = TINY[key].config | ({"head_kind": "local"} if key == "luss_ae" else {"hop": 3})
    detector = keras_vad.build(key, **config)
    detector.save(tmp_path / "new.keras")
    former = {now: before for before, now in RENAMED["model"].items()}
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for member in new.namelist():
            content = new.read(member)
            if member == "config.json":
                told = json.loads(content)
                told["config"] = {former.get(name, name): value for name, value in told["config"].items()}
                assert set(told["config"]) & set(former.values())
                content = json.dumps(told).encode()
            old.writestr(member, content)
    again = keras_vad.load(tmp_path / "old.keras")
    assert again.get_config() == detector.get_config()
    assert again.window == detector.window

import pytest
import yaml

import keras_vad
from keras_vad.errors import VadError
from keras_vad.training.recipe import Recipe, find_recipe, list_recipes, load_recipe


@pytest.fixture
def recipe_file(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", list_recipes())
def test_recipes_that_come_with_the_package(name):
    recipe = load_recipe(name)
    assert Recipe.from_dict(yaml.safe_load(yaml.safe_dump(_plain(recipe.to_dict())))) == recipe
    assert any(name.startswith(f"{model}_") for model in keras_vad.list_models())


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def test_names():
    assert find_recipe(None, "adv3dcae", "shapes") == "adv3dcae_shapes"
    assert find_recipe("compact", "adv3dcae", "shapes") == "adv3dcae_shapes_compact"
    assert find_recipe("medium", "adv3dcae", "shapes") == "adv3dcae_shapes_medium"
    assert find_recipe("mine.yaml", "adv3dcae", "shapes") == "mine.yaml"


def test_an_empty_recipe_is_the_defaults(recipe_file):
    assert load_recipe(recipe_file("# nothing\n")) == Recipe()
    assert load_recipe(recipe_file("model:\ntraining:\n")) == Recipe()


def test_values_are_read_and_overridden(recipe_file):
    path = recipe_file("model: {channels: [4, 8], noise: gaussian}\ntraining: {epochs: 3, batch_size: 8}\n")
    overrides = ["model.noise=null", "model.learning_rate=1e-4", "training.epochs=5", "data.speeds=[1, 2]"]
    recipe = load_recipe(path, overrides)
    assert recipe.model == {"channels": (4, 8), "noise": None, "learning_rate": 1e-4}
    assert (recipe.training.epochs, recipe.training.batch_size) == (5, 8)
    assert recipe.data.speeds == (1, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("-2E3", -2000.0),
        ("1.5e2", 150.0),
        ("3", 3),
        ("true", True),
        ("", None),
        ("e5", "e5"),
        ("1e", "1e"),
        ("'1e4'", "1e4"),
        ("[1, 2]", (1, 2)),
        ("a=b", "a=b"),
    ],
)
def test_forms_of_set(recipe_file, text, value):
    found = load_recipe(recipe_file(""), [f"model.option={text}"]).model["option"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "speeds"), [("2", (2,)), ("[1, 2, 3]", (1, 2, 3))])
def test_one_stride_is_a_list_of_one(recipe_file, text, speeds):
    assert load_recipe(recipe_file(""), [f"data.speeds={text}"]).data.speeds == speeds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optimizer: {}", "has no section 'optimizer'; the sections are model, data, training, scoring, health"),
        ("training: {speed: 3}", "has no option training.speed; section training has epochs, steps_per_epoch"),
        ("training: 3", "section 'training' of .* is 3, but must hold options"),
        ("training: {epochs: many}", "training.epochs is 'many', but must be of type int"),
        ("training: {epochs: 2.5}", "training.epochs is 2.5, but must be of type int"),
        ("training: {epochs: true}", "training.epochs is True, but must be of type int"),
        ("training: {batch_size: null}", "training.batch_size is None, but must be of type int"),
        ("training: {batch_size: 0}", "training.batch_size is 0, but must be at least 1"),
        ("training: {steps_per_epoch: 0}", "training.steps_per_epoch is 0, but must be at least 1"),
        ("training: {checkpoint_every: 0}", "training.checkpoint_every is 0, but must be at least 1"),
        ("training: {validation_steps: -1}", "training.validation_steps is -1, but must be at least 0"),
        ("training: {alarm_quantile: 1}", "training.alarm_quantile is 1.0, but must lie between 0 and 1"),
        ("data: {validation_share: 0}", "data.validation_share is 0.0, but must lie between 0 and 1"),
        ("data: {train_frames: 0}", "data.train_frames is 0, but must be at least 1"),
        ("data: {train_frames: 2.5}", "data.train_frames is 2.5, but must be of type int"),
        ("data: {hop: 0}", "data.hop is 0, but must be at least 1"),
        ("data: {speeds: [1, fast]}", r"data.speeds is \[1, 'fast'\], but must be a list of whole numbers"),
        ("data: {speeds: []}", r"data.speeds is \[\], but must be a list of whole numbers"),
        ("training: {precision: half}", "training.precision is 'half', but must be one of float32, mixed_bfloat16"),
        ("training: {schedule: linear}", "training.schedule is 'linear', but must be one of constant, cosine"),
        ("[1, 2]", r"must hold sections \(model, data, training, scoring, health\), but holds \[1, 2\]"),
        ("model: {noise: [", "is not valid YAML: while parsing"),
        ("model: \x00", "is not valid YAML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_a_sentence(recipe_file, text, message):
    with pytest.raises(VadError, match=message) as caught:
        load_recipe(recipe_file(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["noise=null", "model.noise", "model.=3", ".noise=3", "=3", "model"])
def test_an_override_that_is_not_understood(recipe_file, override):
    with pytest.raises(VadError, match=f"--set {override} is not understood; write --set section.option=value"):
        load_recipe(recipe_file(""), [override])


def test_an_override_that_is_not_yaml(recipe_file):
    with pytest.raises(VadError, match=r"the value of --set model.noise=\[ is not valid YAML: "):
        load_recipe(recipe_file(""), ["model.noise=["])


def test_a_section_that_holds_no_options_can_not_be_overridden(recipe_file):
    with pytest.raises(VadError, match=r"section 'training' of .* is 3, but must hold options"):
        load_recipe(recipe_file("training: 3"), ["training.epochs=2"])


def test_an_unknown_recipe():
    with pytest.raises(VadError, match=r"there is no recipe 'huge'; give a YAML file or one of .*adv3dcae_"):
        load_recipe("huge")
    with pytest.raises(VadError, match=r"the recipe nowhere/mine.yml cannot be read: No such file or directory"):
        load_recipe("nowhere/mine.yml")


def test_a_recipe_that_is_no_text(tmp_path):
    (tmp_path / "picture.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(VadError, match=r"the recipe .*picture.yaml is not valid YAML"):
        load_recipe(str(tmp_path / "picture.yaml"))

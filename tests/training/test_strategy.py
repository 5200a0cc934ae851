import pytest
import tensorflow as tf

import keras_vad
from keras_vad.errors import VadError
from keras_vad.training.recipe import list_recipes, load_recipe
from keras_vad.training.strategy import check_precision, has_bfloat16_convolutions_3d, make_strategy
from tests.models.test_contract import TINY


@pytest.fixture(autouse=True)
def tensorflow_runs():
    """From the first operation on, the CPU cannot be split any more; ``test_train_tool`` splits it in time."""
    tf.constant(0)


@pytest.mark.parametrize(("name", "devices"), [("none", None), ("none", 1), ("auto", None), ("auto", 1)])
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="with GPUs auto takes all of them")
def test_one_device_needs_no_strategy(name, devices):
    assert make_strategy(name, devices) is tf.distribute.get_strategy()


def test_mirrored_on_one_device():
    strategy = make_strategy("mirrored", 1)
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == 1


@pytest.mark.parametrize(
    ("name", "devices", "message"),
    [
        ("fast", None, "strategy is 'fast', but must be one of auto, mirrored, none"),
        ("auto", 0, "devices is 0, but must be at least 1"),
        ("none", 2, "strategy none uses one device, but 2 were asked for; use --strategy mirrored"),
        ("mirrored", 999, "cannot be split into 999 devices any more|this machine has \\d+ GPUs; ask for fewer"),
    ],
)
def test_what_cannot_be(name, devices, message):
    with pytest.raises(VadError, match=message):
        make_strategy(name, devices)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("st_dissociation", False), ("decoupled", False), ("conv3d_ae", True)],  # decoupled's are float32 in any precision
)
def test_which_methods_have_3d_convolutions_in_bfloat16(key, expected):
    detector = keras_vad.build(key, precision="mixed_bfloat16", **TINY[key].config)
    assert has_bfloat16_convolutions_3d(detector) == expected
    assert not has_bfloat16_convolutions_3d(keras_vad.build(key, **TINY[key].config))
    check_precision("float32", detector)
    if not expected:
        check_precision("mixed_bfloat16", detector)


@pytest.mark.parametrize(
    "name", [name for name in list_recipes() if load_recipe(name).training.precision == "mixed_bfloat16"]
)
def test_recipes_in_bfloat16_have_no_3d_convolutions_in_it(name):
    model = max((key for key in keras_vad.list_models() if name.startswith(f"{key}_")), key=len)
    detector = keras_vad.build(model, precision="mixed_bfloat16", **load_recipe(name).model)
    assert not has_bfloat16_convolutions_3d(detector)

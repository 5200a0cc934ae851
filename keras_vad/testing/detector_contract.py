"""The test that every method passes, in a configuration so small that it takes seconds."""

import inspect
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vad
from keras_vad.artifacts.layout import CARD_FILE, DETECTOR_FILE
from keras_vad.artifacts.saved_model import export
from keras_vad.common.settings import own_settings
from keras_vad.data import open_video
from keras_vad.errors import VadError
from keras_vad.models.detector import TrainingPhase
from keras_vad.models.registry import method_of
from keras_vad.scoring.chunks import fit_chunk_length
from keras_vad.testing import fresh_process, replica_steps, resumed_run
from keras_vad.testing.inputs import phase_batch, raw_video, raw_windows
from keras_vad.training.strategy import check_precision

# Operations that TensorFlow's Python package has a kernel for and TensorFlow Serving does not run: they call back into
# Python, or hold a program compiled for one kind of device.
FOREIGN_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "XlaCallModule", "XlaLaunch"}


@dataclass(frozen=True)
class Tiny:
    """How a method is tested.

    Args:
        config: Constructor arguments of a configuration that learns in seconds.
        parameters: Trainable weights of the method's default configuration, counted by hand.
        without_noise: Constructor arguments that make training deterministic given the batch.
        loss: The loss that falls when one batch is shown again and again.
    """

    config: dict[str, Any]
    parameters: int
    without_noise: dict[str, Any]
    loss: str


def in_a_fresh_process(function, *arguments):
    """What a function prints as JSON in a process of its own."""
    done = fresh_process.run(function, *arguments)
    assert done.code == 0, done.stderr
    return json.loads(done.stdout)


def weights_of(detector):
    return {weight.path: weight.numpy() for weight in detector.weights}


def trained_step(detector):
    """The detector's training step as a graph."""
    return tf.function(detector.train_step, jit_compile=False, autograph=False)


class DetectorContract:
    """The tests of a method; inherit them, and define the fixtures ``method``, its class, and ``tiny``.

    Both have the scope ``class``. The class must be known to Keras and can be imported by other processes.

    Example::

        class TestMine(DetectorContract):
            @pytest.fixture(scope="class")
            @classmethod
            def method(cls):
                return Mine

            @pytest.fixture(scope="class")
            @classmethod
            def tiny(cls):
                return Tiny(config={"channels": (2, 2)}, parameters=1_234, without_noise={}, loss="reconstruction")
    """

    @pytest.fixture(scope="class")
    @classmethod
    def method(cls):
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def tiny(cls):
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, method, tiny):
        """A function that gives a new, compiled detector, with the same weights every time."""

        def build(precision="float32", **changes):
            keras.utils.set_random_seed(7)
            with own_settings(precision):
                detector = method(**{**tiny.config, **changes})
            detector.compile()
            detector.build_optimizers()
            return detector

        return build

    @pytest.fixture(scope="class")
    @classmethod
    def detector(cls, build):
        """A calibrated detector with random weights, for tests that change nothing."""
        detector = build()
        detector.adapt([raw_video(20, seed=1)])
        windows = tf.data.Dataset.from_tensors(raw_windows(detector))
        detector.fit_normality(windows, [raw_video(40, seed=2), open_video(raw_video(40, seed=3))], 0.9)
        return detector

    @pytest.fixture(scope="class")
    @classmethod
    def span(cls, detector):
        return detector.window.span

    @pytest.fixture(scope="class")
    @classmethod
    def version(cls, detector, tmp_path_factory):
        return export(detector, tmp_path_factory.mktemp("zoo"), "contract")

    # --- Configuration ---

    def test_config_is_the_constructor_arguments(self, method, detector, tiny):
        config = detector.get_config()
        assert set(config) == set(inspect.signature(method).parameters)
        for name, value in tiny.config.items():
            assert config[name] == value, name

    def test_attributes_are_called_as_the_arguments(self, detector):
        # Keras has an attribute ``optimizer``; the three of pooling are one object.
        named = {k: v for k, v in detector.get_config().items() if k != "optimizer" and not k.startswith("pooling")}
        assert {name: getattr(detector, name) for name in named} == named

    def test_config_is_plain_and_makes_the_same_detector(self, method, detector):
        config = json.loads(json.dumps(detector.get_config()))
        again = method.from_config(config)
        assert json.loads(json.dumps(again.get_config())) == config
        assert [weight.shape for weight in again.weights] == [weight.shape for weight in detector.weights]
        assert again.window == detector.window

    def test_defaults_have_the_counted_parameters(self, method, tiny):
        detector = method()
        assert sum(weight.shape.num_elements() for weight in detector.trainable_variables) == tiny.parameters

    def test_phases_are_a_schedule(self, detector):
        phases = detector.phases()
        assert phases
        for phase in phases:
            assert isinstance(phase, TrainingPhase)
            assert phase.epochs >= 1
            assert all(hasattr(detector, name) for name in phase.trainable)
        assert len({phase.name for phase in phases}) == len(phases)

    # --- Shapes, types, values ---

    @pytest.mark.parametrize("leading", [(3,), (2, 4), (0,)])
    @pytest.mark.parametrize("space", [(40, 56), None])
    def test_preprocess(self, detector, leading, space):
        window = detector.window
        frames = np.random.default_rng(0).integers(0, 256, (*leading, *(space or window.size), 3), dtype=np.uint8)
        inputs = detector.preprocess(tf.constant(frames))
        assert inputs.dtype == tf.float32
        assert inputs.shape == (*leading, *window.size, window.channels)
        assert np.isfinite(inputs).all()

    def test_adapt_makes_the_mean_frame_the_background(self, detector):
        if detector.background is None:
            pytest.skip("the method subtracts no background")
        assert detector.background.numpy().min() >= 0
        assert detector.background.numpy().max() <= 1
        inputs = detector.preprocess(tf.constant(raw_video(20, seed=1))).numpy()
        np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-6)

    def test_anomaly(self, detector):
        window = detector.window
        windows = detector.preprocess(tf.constant(raw_windows(detector, batch=3, window=window)))
        output = detector.anomaly(windows)
        scored = (3, len(window.scored))
        assert set(output) >= {"frame_scores", "maps", *detector.parts}
        for name in ("frame_scores", *detector.parts):
            assert output[name].shape == scored, name
        assert output["maps"].shape[:2] == scored
        assert output["maps"].shape.rank == 4
        for name, value in output.items():
            assert value.dtype == tf.float32, name
            assert np.isfinite(value).all(), name
        np.testing.assert_array_equal(detector(windows), output["frame_scores"])

    def test_score_chunk(self, detector, span):
        frames = raw_video(2 * (span + 3)).reshape(2, span + 3, 40, 56, 3)
        result = detector.score_chunk(tf.constant(frames), maps=True)
        expected = sorted({start + o for start in detector.window.starts(span + 3) for o in detector.window.scored})
        m = len(expected)
        assert set(result) == {"raw_scores", "scores", "frame_offsets", "maps", *(f"part/{p}" for p in detector.parts)}
        for name, value in result.items():
            assert value.shape[:2] == (2, m), name
            assert value.dtype == (tf.int32 if name == "frame_offsets" else tf.float32), name
            assert np.isfinite(value).all(), name
        np.testing.assert_array_equal(result["frame_offsets"], [expected] * 2)
        assert (result["scores"].numpy() > 0).all()
        assert (result["scores"].numpy() < 1).all()
        assert "maps" not in detector.score_chunk(tf.constant(frames))

    def test_rows_of_a_batch_are_independent(self, detector, span):
        frames = raw_video(3 * span).reshape(3, span, 40, 56, 3)
        together = detector.score_chunk(tf.constant(frames), maps=True)
        for row in range(3):
            alone = detector.score_chunk(tf.constant(frames[row : row + 1]), maps=True)
            for name, value in alone.items():
                np.testing.assert_allclose(together[name][row], value[0], rtol=1e-4, atol=1e-6, err_msg=name)

    def test_a_short_chunk_is_refused_with_a_sentence(self, detector, span):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"this model needs at least {span}"):
            detector.score_chunk(tf.constant(raw_video(span - 1)[None]))
        with pytest.raises(VadError, match=f"{span - 1} frames.* at least {span}"):
            detector.score_video(raw_video(span - 1))

    def test_scores_do_not_depend_on_the_chunk_length(self, detector, span):
        video = raw_video(3 * span + 5)
        whole = detector.score_video(video, chunk_length=len(video))
        parts = detector.score_video(video, chunk_length=span)
        np.testing.assert_array_equal(whole.frame_index, parts.frame_index)
        np.testing.assert_allclose(whole.raw, parts.raw, rtol=1e-4)

    def test_calibration_raises_alarms_on_the_chosen_share_of_normal_frames(self, detector):
        series = [detector.score_video(raw_video(40, seed=seed)) for seed in (2, 3)]
        calibrated = np.concatenate([one.calibrated for one in series])
        assert (calibrated > 0.5).mean() == pytest.approx(0.1, abs=2 / len(calibrated))
        order = np.argsort(np.concatenate([one.raw for one in series]), kind="stable")
        assert (np.diff(calibrated[order]) >= 0).all()

    # --- Learning ---

    def test_every_trainable_weight_learns_in_some_phase(self, build):
        detector = build()
        detector.adapt(raw_windows(detector))
        trainable = {weight.path for weight in detector.trainable_variables}
        learned = set()
        for phase in detector.phases():
            detector.set_phase(phase)
            before = weights_of(detector)
            step = trained_step(detector)
            batch = tf.nest.map_structure(tf.constant, phase_batch(detector, phase))
            for _ in range(2):
                logs = step(batch)
            assert all(np.isfinite(value) and value.shape == () for value in logs.values())
            after = weights_of(detector)
            learned |= {path for path in trainable if not np.array_equal(before[path], after[path])}
        assert trainable - learned == set()

    def test_one_batch_can_be_learned_by_heart(self, build, tiny):
        detector = build()
        detector.adapt(raw_windows(detector))
        phase = detector.phases()[0]
        detector.set_phase(phase)
        batch = tf.nest.map_structure(tf.constant, phase_batch(detector, phase))
        step = trained_step(detector)
        first = loss = float(step(batch)[tiny.loss])
        for _ in range(60):
            loss = float(step(batch)[tiny.loss])
            if loss < first / 4:
                break
        assert loss < first / 4

    def test_health_is_figures_that_a_recipe_can_ask_for(self, build):
        detector = build()
        detector.adapt(raw_windows(detector))
        for phase in detector.phases():
            detector.set_phase(phase)
            if phase.on_start:
                batch = tf.nest.map_structure(tf.constant, phase_batch(detector, phase))
                phase.on_start(detector, tf.data.Dataset.from_tensors(batch))
            before = weights_of(detector)
            batches = [tf.nest.map_structure(tf.constant, phase_batch(detector, phase, seed=seed)) for seed in (3, 5)]
            figures = detector.health(batches)
            assert set(figures) <= set(detector.health_figures)
            assert all(isinstance(value, float) and np.isfinite(value) for value in figures.values()), figures
            assert figures == detector.health(batches)
            for path, weight in weights_of(detector).items():
                np.testing.assert_array_equal(before[path], weight, err_msg=path)

    def test_test_step_changes_nothing(self, build):
        detector = build()
        before = weights_of(detector)
        logs = [detector.test_step(tf.constant(raw_windows(detector))) for _ in range(2)]
        for name, value in logs[0].items():
            assert float(value) == pytest.approx(float(logs[1][name]), rel=1e-5)
        for path, weight in weights_of(detector).items():
            np.testing.assert_array_equal(before[path], weight, err_msg=path)

    def test_fit_takes_windows_without_targets(self, build):
        detector = build()
        windows = tf.data.Dataset.from_tensor_slices(raw_windows(detector)).batch(2)
        history = detector.fit(windows, validation_data=windows, epochs=2, shuffle=False, verbose=0).history
        assert len(next(iter(history.values()))) == 2
        assert any(name.startswith("val_") for name in history)
        assert np.isfinite(list(history.values())).all()

    def test_float16_scales_the_losses(self, build):
        detector = build("mixed_float16")
        scaling = [type(optimizer) is keras.optimizers.LossScaleOptimizer for optimizer in detector.optimizers()]
        assert scaling and all(scaling)

    def test_mixed_bfloat16_trains_or_is_refused(self, build, tiny):
        try:
            check_precision("mixed_bfloat16")
        except VadError as error:
            assert str(error).startswith("this CPU computes wrong bfloat16 gradients")
            pytest.skip("this CPU cannot train in bfloat16, and says so")
        detector = build("mixed_bfloat16")
        assert all(weight.dtype == "float32" for weight in detector.trainable_variables)
        batch = tf.constant(raw_windows(detector))
        step = trained_step(detector)
        losses = [float(step(batch)[tiny.loss]) for _ in range(30)]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]
        assert all(np.isfinite(weight).all() for weight in weights_of(detector).values())

    # --- Several devices, and going on ---

    @pytest.fixture(scope="class")
    @classmethod
    def replicas(cls, method, tiny, tmp_path_factory):
        """What ``replica_steps.py`` finds: how far weights on two devices are from those on one."""
        return in_a_fresh_process(replica_steps.main, method, {**tiny.config, **tiny.without_noise})

    def test_a_step_on_two_devices_is_a_step_on_one(self, replicas):
        # Batch normalisation is frozen: each replica normalises by its own statistics, by design.
        assert replicas["frozen"]["moved"] > 1e-3
        assert replicas["frozen"]["weights"] < 1e-5
        assert replicas["frozen"]["losses"] < 1e-5

    def test_equal_halves_on_two_devices_are_a_step_on_one(self, replicas):
        # Both replicas see the same windows, so their statistics are those of the global batch. Where values hardly
        # vary, batch normalisation enlarges rounding; a loss that is scaled wrongly is off by a share of the move.
        assert replicas["halves"]["moved"] > 1e-3
        assert replicas["halves"]["weights"] < 0.01 * replicas["halves"]["moved"]
        assert replicas["halves"]["losses"] < 1e-5

    def test_a_resumed_run_ends_as_an_uninterrupted_one(self, method, tiny, tmp_path):
        found = in_a_fresh_process(resumed_run.main, method, tiny.config, tmp_path)
        assert found["trained"]
        assert found["different_weights"] == []
        assert found["interrupted_at"] == found["resumed_from"]

    # --- Saving and serving ---

    def test_keras_file_round_trip(self, detector, span, tmp_path):
        path = tmp_path / "detector.keras"
        detector.save(path)
        again = keras_vad.load(path)
        assert type(again) is type(detector)
        assert json.dumps(again.get_config()) == json.dumps(detector.get_config())
        for weight, expected in zip(again.weights, detector.weights, strict=True):
            np.testing.assert_array_equal(weight, expected, err_msg=weight.path)
        frames = tf.constant(raw_video(span)[None])
        for name, value in detector.score_chunk(frames, maps=True).items():
            np.testing.assert_array_equal(again.score_chunk(frames, maps=True)[name], value, err_msg=name)

    def test_loads_from_the_zoo(self, detector, version, span):
        again = keras_vad.load("contract", zoo=version.parents[1])
        video = raw_video(span + 1)
        np.testing.assert_array_equal(again.score_video(video).raw, detector.score_video(video).raw)
        assert (version / DETECTOR_FILE).is_file()

    @pytest.fixture(scope="class")
    @classmethod
    def served(cls, version, span, tmp_path_factory):
        """What ``plain_session.py`` gets from the exported version: frames, outputs by name, operations."""
        folder = tmp_path_factory.mktemp("served")
        frames = raw_video(2 * (span + 1)).reshape(2, span + 1, 40, 56, 3)
        smooth = cv2.GaussianBlur(frames.reshape(-1, 56, 3), (0, 0), 2).reshape(frames.shape)  # a JPEG is no noise
        encode = [tf.io.encode_jpeg, tf.io.encode_png]
        jpegs = [[encode[n % 2](frame).numpy() for n, frame in enumerate(row)] for row in smooth]
        longest = max(len(image) for row in jpegs for image in row)
        padded = [[np.frombuffer(image.ljust(longest, b"\0"), np.uint8) for image in row] for row in jpegs]
        np.savez(folder / "inputs.npz", frames=frames, jpegs=padded)
        script = Path(__file__).with_name("plain_session.py")
        command = [sys.executable, "-P", script, version, folder / "inputs.npz", folder / "outputs.npz"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with np.load(folder / "outputs.npz") as outputs:
            return frames, dict(outputs), json.loads(done.stdout)

    def test_exported_graph_scores_without_keras(self, detector, served):
        frames, outputs, _ = served
        expected = detector.score_chunk(tf.constant(frames), maps=True)
        for name in ("raw_scores", "scores", "frame_offsets", "maps"):
            found = outputs[f"score_maps/{name}"]
            np.testing.assert_allclose(found, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)
            if name != "maps":
                np.testing.assert_array_equal(outputs[f"serving_default/{name}"], found, err_msg=name)
        assert "serving_default/maps" not in outputs

    def test_exported_graph_scores_encoded_frames(self, served):
        _, outputs, _ = served
        for name in ("raw_scores", "scores", "frame_offsets"):
            found, expected = outputs[f"score_jpegs/{name}"], outputs[f"decoded/{name}"]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)
        assert np.std(outputs["score_jpegs/raw_scores"]) > 0
        assert "score_jpegs/maps" not in outputs

    def test_exported_graph_describes_itself(self, detector, served, version):
        _, outputs, _ = served
        window = detector.window
        described = {name: outputs[f"describe/{name}"] for name in ("length", "step", "span", "hop", "channels")}
        for name, value in described.items():
            np.testing.assert_array_equal(value, [getattr(window, name)] * 2, err_msg=name)
        assert (outputs["describe/height"][0], outputs["describe/width"][0]) == window.size
        np.testing.assert_array_equal(outputs["describe/offsets"], [window.scored] * 2)
        card = json.loads((version / CARD_FILE).read_text("utf-8"))
        assert card["method"] == method_of(detector)
        assert card["paper"]
        assert {name: card["input"][name] for name in described} == {n: v[0] for n, v in described.items()}

    def test_warm_up_runs_every_signature_at_the_clients_size(self, detector, served):
        _, outputs, _ = served
        warm = {name.split("/")[1] for name in outputs if name.startswith("warmup/")}
        assert warm == {"serving_default", "score_maps", "score_jpegs", "describe"}
        length = fit_chunk_length(detector.window)
        starts = detector.window.starts(length)
        scored = {start + offset for start in starts for offset in detector.window.scored}
        for signature in warm - {"describe"}:
            assert outputs[f"warmup/{signature}/raw_scores"].shape == (1, len(scored))
            assert np.isfinite(outputs[f"warmup/{signature}/scores"]).all()

    def test_exported_graph_has_core_operations_only(self, served):
        _, _, found = served
        assert found["without_kernel"] == []
        assert set(found["operations"]) & FOREIGN_OPERATIONS == set()
        assert len(found["operations"]) > 20
        assert "DecodeImage" in found["operations"]

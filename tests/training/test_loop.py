"""The training loop, with a detector of four weights whose every step can be computed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from keras_vad.errors import VadError
from keras_vad.models.detector import TrainingPhase, VideoAnomalyDetector
from keras_vad.training.callbacks import RunLog
from keras_vad.training.loop import Checkpoints, Schedule, TrainingData, train
from keras_vad.window import Window
from tests.data.media import file_size_limit

STEPS = 4


class Mean(VideoAnomalyDetector):
    """Learns the mean of what it sees, by two layers that two phases train in turn."""

    def __init__(self, rates=(0.5, None)):
        super().__init__(Window(length=2, size=(2, 2)))
        self.first, self.second = keras.layers.Dense(1, use_bias=False), keras.layers.Dense(1, use_bias=False)
        self.first.build((None, 1))
        self.second.build((None, 1))
        self.rates = rates
        self.started = []

    def phases(self):
        def on_start(detector, windows):
            self.started.append(len(list(windows)))

        return [
            TrainingPhase("one", epochs=2, trainable=("first",), learning_rate=self.rates[0]),
            TrainingPhase("two", epochs=1, trainable=("second",), learning_rate=self.rates[1], on_start=on_start),
        ]

    def compile(self):
        super().compile(optimizer=keras.optimizers.SGD(0.25), jit_compile=False)

    def build_optimizers(self):
        self.optimizer.build([self.first.kernel, self.second.kernel])

    def compute(self, data):
        value = tf.reduce_mean(tf.cast(data, tf.float32)) / 255
        one = tf.ones((1, 1))
        return tf.square(self.first(one) + self.second(one) - value)[0, 0]

    def train_step(self, data):
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = self.compute(data)
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"error": loss}

    def test_step(self, data):
        return {"error": self.compute(data)}

    def health(self, batches):
        return {"first": float(self.first.kernel.numpy()[0, 0]), "batches": float(len(list(batches)))}


class Watch(keras.callbacks.Callback):
    """Notes the epochs, their steps, and the learning rates; raises KeyboardInterrupt after some batches."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop, self.steps, self.rates, self.logs = stop, [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append((self.epoch, batch))
        self.rates.append(float(self.model.optimizer.learning_rate.numpy()))
        if len(self.steps) == self.stop:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)


def batches(phase, epoch, skip):
    values = np.arange(STEPS, dtype=np.uint8) * 10 + 50 + epoch
    return tf.data.Dataset.from_tensor_slices(values[:, None] + np.zeros((1, 3), np.uint8)).skip(skip)


def detector(**options):
    keras.utils.set_random_seed(1)
    made = Mean(**options)
    made.compile()
    made.build_optimizers()
    made.first.kernel.assign([[0.0]])
    made.second.kernel.assign([[0.0]])
    return made


def run(made, folder=None, stop=None, epochs=3, shape="constant", callbacks=(), data=batches, validation=(), **options):
    watch = Watch(stop)
    checkpoints = Checkpoints(folder, made) if folder else None
    schedule = Schedule.of(made.phases(), epochs, shape)
    try:
        given = TrainingData(data, lambda phase: STEPS, lambda phase: validation)
        train(made, schedule, given, checkpoints=checkpoints, callbacks=[watch, *callbacks], **options)
    except KeyboardInterrupt:
        assert stop
    return watch


def by_hand(rates):
    """(first, second) after 3 epochs, with a learning rate for each."""
    weights = [0.0, 0.0]
    for epoch, rate in enumerate(rates):
        for step in range(STEPS):
            target = (step * 10 + 50 + epoch) / 255
            gradient = 2 * (sum(weights) - target)
            weights[0 if epoch < 2 else 1] -= rate * gradient
    return weights


def test_phases_train_their_weights_at_their_rates():
    made = detector()
    watch = run(made)
    assert watch.steps == [(epoch, step) for epoch in range(3) for step in range(STEPS)]
    assert watch.rates == [0.5] * 8 + [0.25] * 4  # the second phase keeps the compiled rate
    assert made.started == [STEPS]
    found = [made.first.kernel.numpy()[0, 0], made.second.kernel.numpy()[0, 0]]
    np.testing.assert_allclose(found, by_hand([0.5, 0.5, 0.25]), rtol=1e-5)
    assert [log["phase"] for log in watch.logs] == ["one", "one", "two"]


def test_logged_losses_are_the_means_over_the_steps():
    watch = run(detector(rates=(1e-12, 1e-12)), validation=list(batches(None, 7, 2)))
    errors = np.square((np.arange(STEPS) * 10 + 50) / 255)
    assert watch.logs[0]["error"] == pytest.approx(errors.mean(), rel=1e-5)
    seventh = np.square((np.array([20, 30]) + 57) / 255)
    assert watch.logs[0]["val_error"] == pytest.approx(seventh.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("stop", "shape"), [(1, "cosine"), (3, "cosine"), (4, "constant"), (6, "cosine"), (8, "cosine"), (11, "cosine")]
)
def test_resumed_after_any_step_it_ends_the_same(tmp_path, stop, shape):
    # The phases have no rates of their own: what was compiled counts, not what a checkpoint holds.
    whole = detector(rates=(None, None))
    expected = run(whole, shape=shape)
    run(detector(rates=(None, None)), tmp_path, stop=stop, shape=shape, checkpoint_every=2)
    resumed = detector(rates=(None, None))
    resumed.optimizer.learning_rate = 0.25
    watch = run(resumed, tmp_path, shape=shape, checkpoint_every=2)
    assert watch.steps == expected.steps[-len(watch.steps) :]
    assert watch.rates == expected.rates[-len(watch.rates) :]
    assert watch.logs == expected.logs[-len(watch.logs) :]
    for weight, value in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(weight, value, err_msg=weight.path)


def test_a_phase_is_not_started_again_when_it_is_resumed(tmp_path):
    run(detector(), tmp_path, stop=2 * STEPS + 3, checkpoint_every=1)
    resumed = detector()
    run(resumed, tmp_path)
    assert resumed.started == []


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    run(detector(), tmp_path)
    assert run(detector(), tmp_path).steps == []


def test_says_how_many_steps_it_trained(tmp_path):
    schedule = Schedule.of(Mean().phases(), 3, "constant")
    run(detector(), tmp_path, stop=5, checkpoint_every=1)
    made = detector()
    assert (
        train(made, schedule, TrainingData(batches, lambda phase: STEPS), checkpoints=Checkpoints(tmp_path, made))
        == 3 * STEPS - 4
    )


def test_rows_of_a_killed_epoch_are_written_anew(tmp_path):
    class KilledBeforeItsCheckpoint(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    made = detector()
    with pytest.raises(KeyboardInterrupt):
        train(
            made,
            Schedule.of(made.phases(), 3, "constant"),
            TrainingData(batches, lambda phase: STEPS),
            checkpoints=Checkpoints(tmp_path / "checkpoints", made),
            callbacks=[RunLog(tmp_path), KilledBeforeItsCheckpoint()],
        )
    killed = (tmp_path / "metrics.csv").read_text()
    assert [line.split(",")[0] for line in killed.splitlines()] == ["epoch", "1", "2"]
    run(detector(), tmp_path / "checkpoints", callbacks=[RunLog(tmp_path)])
    resumed = (tmp_path / "metrics.csv").read_text()
    assert resumed.startswith(killed)
    assert [line.split(",")[0] for line in resumed.splitlines()] == ["epoch", "1", "2", "3"]


def test_a_nan_loss_is_named_and_the_checkpoint_before_it_kept(tmp_path):
    def broken(phase, epoch, skip):
        data = tf.data.Dataset.range(skip, STEPS)
        return data.map(lambda step: tf.where((epoch == 1) & (step == 2), np.nan, tf.cast(step, tf.float32)))

    made = detector()
    with pytest.raises(VadError) as caught:
        run(made, tmp_path, data=broken)
    assert str(caught.value) == (
        f"the error loss became nan in epoch 2; the last good checkpoint is {tmp_path}/ckpt-1; train again with a "
        "lower learning rate (--set model.learning_rate=...) or in float32."
    )
    again = detector()
    checkpoints = Checkpoints(tmp_path, again)
    checkpoints.restore()
    assert checkpoints.position.epoch == 1
    assert np.isfinite(again.first.kernel).all()


def test_weights_that_are_infinite_after_a_finite_loss_are_not_kept(tmp_path):
    class Explodes(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                self.model.first.kernel.assign([[np.inf]])

    made = detector()
    with pytest.raises(VadError, match=r"weight .*kernel became NaN or infinite in epoch 1; .* checkpoint is .*ckpt-2"):
        run(made, tmp_path, callbacks=[Explodes()], checkpoint_every=1)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == ["ckpt-1.index", "ckpt-2.index"]


def test_without_checkpoints_a_nan_loss_says_so():
    with pytest.raises(VadError, match="the error loss became nan in epoch 1; no checkpoint was written yet"):
        run(detector(), data=lambda *where: tf.data.Dataset.from_tensors(np.float32(np.nan)).repeat(STEPS))


def test_data_that_ends_early_is_noticed():
    with pytest.raises(VadError, match="epoch 1 ended after 3 of 4 steps; the data changed"):
        run(detector(), data=lambda *where: batches(*where).take(3))


def test_a_damaged_checkpoint_is_named(tmp_path):
    run(detector(), tmp_path)
    newest = max(tmp_path.glob("*.index"))
    newest.write_bytes(newest.read_bytes()[:20])
    with pytest.raises(VadError, match=r"the checkpoint .*ckpt-3 does not fit this model or is damaged; delete it to"):
        run(detector(), tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(detector(), tmp_path)
    other = detector()
    other.third = other.add_weight(name="third", shape=(3,))
    with pytest.raises(VadError, match="does not fit this model or is damaged"):
        run(other, tmp_path)


def test_a_full_disk_is_a_sentence_and_keeps_the_checkpoint_before(tmp_path):
    made = detector()
    checkpoints = Checkpoints(tmp_path, made)
    checkpoints.save()
    made.first.kernel.assign([[3.0]])
    with file_size_limit(100), pytest.raises(VadError, match=r"a checkpoint cannot be written \(.*\); free some space"):
        checkpoints.save()
    again = detector()
    Checkpoints(tmp_path, again).restore()
    assert float(again.first.kernel[0, 0]) == 0


def test_only_the_newest_two_checkpoints_stay(tmp_path):
    run(detector(), tmp_path, checkpoint_every=1)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == ["ckpt-11.index", "ckpt-12.index"]


# --- Schedule ---


def phases(*epochs):
    return [TrainingPhase(f"phase {number}", epochs=count) for number, count in enumerate(epochs)]


@given(st.lists(st.integers(1, 200), min_size=1, max_size=6), st.data())
def test_epochs_are_shared_in_proportion(proposed, data):
    epochs = data.draw(st.integers(len(proposed), 1000))
    schedule = Schedule.of(phases(*proposed), epochs, "constant")
    shares = [phase.epochs for phase in schedule.phases]
    assert schedule.epochs == sum(shares) == epochs
    assert min(shares) >= 1
    exact = [epochs * part / sum(proposed) for part in proposed]
    if min(exact) >= 2:  # no phase must be lifted to one epoch
        assert all(abs(share - part) <= 1 for share, part in zip(shares, exact, strict=True))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_every_epoch_belongs_to_its_phase(proposed):
    schedule = Schedule.of(phases(*proposed), None, "constant")
    places = [schedule.locate(epoch) for epoch in range(sum(proposed))]
    expected = [(f"phase {n}", epoch) for n, count in enumerate(proposed) for epoch in range(count)]
    assert [(phase.name, epoch) for phase, epoch in places] == expected
    with pytest.raises(IndexError):
        schedule.locate(sum(proposed))


def test_too_few_epochs_for_the_phases():
    with pytest.raises(VadError, match="epochs is 2, but the method has 3 phases of at least one epoch each"):
        Schedule.of(phases(1, 1, 1), 2, "constant")


def test_cosine_falls_from_one_towards_two_per_cent():
    schedule = Schedule.of(phases(4), None, "cosine")
    (phase,) = schedule.phases
    factors = [schedule.rate_factor(phase, epoch) for epoch in range(4)]
    half = np.sqrt(0.5)
    np.testing.assert_allclose(factors, [0.02 + 0.49 * (1 + c) for c in (1, half, 0, -half)])
    assert [Schedule.of(phases(4), None, "constant").rate_factor(phase, epoch) for epoch in range(4)] == [1] * 4


def test_health_is_logged_and_checked_at_the_end_of_each_phase():
    one = list(batches(None, 0, 3))
    watch = run(detector(), validation=one, health={"first": (0.1, 0.5), "batches": (1, None)})
    first = by_hand([0.5, 0.5, 0.25])[0]
    assert watch.logs[1]["health_first"] == pytest.approx(first, abs=1e-6)
    assert [log["health_batches"] for log in watch.logs] == [1.0, 1.0, 1.0]
    with pytest.raises(VadError, match=r"at the end of the phase one: first is 0\.\d+, but must be at least 0\.9 "):
        run(detector(), validation=one, health={"first": (0.9, None)})
    assert len(run(detector(), validation=one, health={"first": None}).logs) == 3


def test_an_unhealthy_run_that_is_resumed_fails_again_unless_it_is_let_go_on(tmp_path, caplog):
    options = {"validation": list(batches(None, 0, 3)), "health": {"first": (None, 0.1)}}
    for _ in range(2):
        with pytest.raises(VadError, match=r"must be at most 0\.1"):
            run(detector(), tmp_path, **options)
    assert len(run(detector(), tmp_path, enforce_health=False, **options).logs) == 2
    assert "not healthy" in caplog.text


def test_without_held_out_windows_health_is_not_judged():
    assert "health_first" not in run(detector(), health={"first": (0.9, None)}).logs[-1]

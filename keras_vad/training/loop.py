"""The one training loop: phases, epochs, steps, on one device or many, resumable at any point.

``Model.fit`` is not used for runs because it fails under ``MultiWorkerMirroredStrategy`` with Keras 3 and cannot resume
in the middle of an epoch; it works with every detector all the same.
"""

import dataclasses
import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vad.errors import VadError
from keras_vad.models.detector import TrainingPhase, VideoAnomalyDetector
from keras_vad.training.health import PREFIX, Range, unhealthy

logger = logging.getLogger("keras_vad")

_CHECK_EVERY = 10  # steps between looks at the losses; a look waits for the device


@dataclass
class Position(tf.train.experimental.PythonState):
    """How far training has come; a part of every checkpoint.

    Args:
        epoch: Finished epochs, over all phases.
        step: Finished steps of the current epoch.
        sums: Sum of each loss over the steps of the current epoch.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def serialize(self) -> str:
        """As JSON."""
        return json.dumps({"epoch": self.epoch, "step": self.step, "sums": self.sums})

    def deserialize(self, string_value: str | bytes) -> None:
        """From JSON."""
        for name, value in json.loads(string_value).items():
            setattr(self, name, value)


@dataclass(frozen=True)
class TrainingData:
    """What the steps of each phase get.

    Args:
        batches: From (phase, epoch, steps to skip) to the rest of that epoch: global batches, uint8 (B, T, H, W, 3), or
            what the phase learns from instead.
        steps: Batches of an epoch of a phase.
        validation: Batches of held-out normal windows for a phase; their losses are logged with the prefix ``val_``,
            and what they tell of the detector's health with the prefix ``health_``.
    """

    batches: Callable[[TrainingPhase, int, int], tf.data.Dataset]
    steps: Callable[[TrainingPhase], int]
    validation: Callable[[TrainingPhase], Iterable[Any]] = lambda phase: ()


@dataclass(frozen=True)
class Schedule:
    """Phases with the epochs they really get.

    Args:
        phases: In order; an epoch belongs to the first one it fits in.
        shape: ``"constant"`` or ``"cosine"``: the learning rate over the epochs of a phase.
        factor: What the learning rates of all phases are multiplied with.
    """

    phases: tuple[TrainingPhase, ...]
    shape: str = "constant"
    factor: float = 1.0

    @classmethod
    def of(cls, phases: Sequence[TrainingPhase], epochs: int | None, shape: str, factor: float = 1.0) -> "Schedule":
        """Share ``epochs`` among phases in proportion to what they propose, at least one each.

        Example:
        >>> [p.epochs for p in Schedule.of([TrainingPhase("a", 50), TrainingPhase("b", 100)], 9, "constant").phases]
        [3, 6]
        """
        proposed = sum(phase.epochs for phase in phases)
        if epochs is None or epochs == proposed:
            return cls(tuple(phases), shape, factor)
        if epochs < len(phases):
            raise VadError(f"epochs is {epochs}, but the method has {len(phases)} phases of at least one epoch each.")
        ends = np.cumsum([phase.epochs for phase in phases]) * epochs / proposed
        shares: list[int] = []
        for number, end in enumerate(ends):
            left = len(phases) - 1 - number
            shares.append(min(max(1, round(end) - sum(shares)), epochs - sum(shares) - left))
        shared = tuple(_with_epochs(phase, share) for phase, share in zip(phases, shares, strict=True))
        return cls(shared, shape, factor)

    @property
    def epochs(self) -> int:
        """Epochs in all."""
        return sum(phase.epochs for phase in self.phases)

    def locate(self, epoch: int) -> tuple[TrainingPhase, int]:
        """The phase of an epoch, and the epoch's number within it."""
        for phase in self.phases:
            if epoch < phase.epochs:
                return phase, epoch
            epoch -= phase.epochs
        raise IndexError(epoch)

    def rate_factor(self, phase: TrainingPhase, epoch_in_phase: int) -> float:
        """What the phase's learning rate is multiplied with in an epoch."""
        if self.shape == "constant":
            return self.factor
        return self.factor * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * epoch_in_phase / phase.epochs)))


def _with_epochs(phase: TrainingPhase, epochs: int) -> TrainingPhase:
    return dataclasses.replace(phase, epochs=epochs)


class Checkpoints:
    """Checkpoints of a run: weights, optimizers and position, written beside and renamed last by TensorFlow.

    Args:
        folder: Where they lie; the newest two are kept.
        detector: Compiled, with built optimizers.
    """

    def __init__(self, folder: Path, detector: VideoAnomalyDetector) -> None:
        self.position = Position()
        self._detector = detector
        objects: dict[str, Any] = {f"optimizer_{i}": o for i, o in enumerate(detector.optimizers())}
        checkpoint = tf.train.Checkpoint(detector=detector, position=self.position, **objects)
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)

    @property
    def newest(self) -> str | None:
        """Path of the newest checkpoint."""
        return self._manager.latest_checkpoint

    def restore(self) -> None:
        """Go back to the newest checkpoint, if there is one.

        Raises:
            VadError: If it is damaged or belongs to another model.
        """
        if self.newest is None:
            return
        try:
            self._manager.checkpoint.restore(self.newest).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise VadError(
                f"the checkpoint {self.newest} does not fit this model or is damaged; delete it to go on from the one "
                "before, or start a new run."
            ) from error

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            VadError: If a weight is NaN or infinite, or the checkpoint cannot be written, for example because the disk
                is full. The one before is kept.
        """
        # The loss of a step is that of the weights before it: these weights may be bad though every loss was finite.
        for weight in self._detector.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
                raise _diverged(f"weight {weight.path}", "NaN or infinite", self.position, self)
        try:
            self._manager.save()
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).split("\n")[0]
            raise VadError(f"a checkpoint cannot be written ({reason}); free some space and use --resume.") from error


def train(
    detector: VideoAnomalyDetector,
    schedule: Schedule,
    data: TrainingData,
    *,
    strategy: tf.distribute.Strategy | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 500,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    health: Mapping[str, Range | None] | None = None,
    enforce_health: bool = True,
) -> int:
    """Train a detector through all its phases.

    Args:
        detector: Built and compiled in the strategy's scope, with built optimizers.
        schedule: The phases.
        data: What it learns from.
        strategy: Where to run; one device if ``None``.
        checkpoints: Where to go on from and to write to; a run that is resumed from them ends as if uninterrupted.
        checkpoint_every: Steps between checkpoints within an epoch.
        callbacks: Keras callbacks; epochs are numbered over all phases.
        health: Ranges that health figures must have at the end of each phase (``keras_vad.training.health``).
        enforce_health: Whether a figure outside its range stops the training; if not, the log tells it.

    Returns:
        Steps trained by this call: fewer than the schedule has if it went on from a checkpoint.

    Raises:
        VadError: If a loss or a weight is NaN or infinite: which one, and where the last good checkpoint is; or if a
            health figure is outside its range.
    """
    strategy = strategy or tf.distribute.get_strategy()
    position = checkpoints.position if checkpoints else Position()
    callback_list = keras.callbacks.CallbackList(list(callbacks), model=detector)
    current: TrainingPhase | None = None
    graphs: dict[Any, tuple[Callable[..., Any], ...]] = {}
    optimizers = detector.optimizers()
    compiled_rates = [_learning_rate(optimizer) for optimizer in optimizers]
    if checkpoints:
        checkpoints.restore()
    callback_list.on_train_begin()
    steps = 0
    while position.epoch < schedule.epochs:
        phase, epoch_in_phase = schedule.locate(position.epoch)
        if phase is not current:
            detector.set_phase(phase)
            if phase.on_start and epoch_in_phase == 0 and position.step == 0:
                phase.on_start(detector, data.batches(phase, position.epoch, 0))
            # What is trainable is part of the graph; phases that take turns share two graphs.
            kind = phase.trainable, phase.windows, phase.encode
            if kind not in graphs:
                steps_of_phase = detector.train_step, detector.test_step
                graphs[kind] = tuple(_distributed(strategy, step) for step in steps_of_phase)
            train_step, test_step = graphs[kind]
            steps_per_epoch, validation = data.steps(phase), data.validation(phase)
            callback_list.set_params({"epochs": schedule.epochs, "steps": steps_per_epoch})
            rates = compiled_rates if phase.learning_rate is None else [phase.learning_rate] * len(optimizers)
            current = phase
        factor = schedule.rate_factor(phase, epoch_in_phase)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.learning_rate = rate * factor

        callback_list.on_epoch_begin(position.epoch)
        pending: list[dict[str, tf.Tensor]] = []
        epoch_batches = data.batches(phase, position.epoch, position.step).take(steps_per_epoch - position.step)
        for batch in strategy.experimental_distribute_dataset(epoch_batches):
            pending.append(train_step(batch))
            step = position.step + 1
            at_end = step == steps_per_epoch
            save = checkpoints is not None and not at_end and step % checkpoint_every == 0
            if len(pending) == _CHECK_EVERY or at_end or save:
                _add(pending, position, checkpoints)
                pending.clear()
            position.step = step
            steps += 1
            callback_list.on_train_batch_end(step - 1)
            if save:
                assert checkpoints is not None
                checkpoints.save()
        if position.step < steps_per_epoch:
            raise VadError(
                f"epoch {position.epoch + 1} ended after {position.step} of {steps_per_epoch} steps; the data changed."
            )
        logs: dict[str, Any] = {name: total / steps_per_epoch for name, total in position.sums.items()}
        logs |= _validate(strategy, test_step, validation)
        figures = detector.health(validation) if validation else {}  # a data set is true, () is not
        logs |= {f"{PREFIX}{name}": value for name, value in figures.items()}
        logs |= {"phase": phase.name, "learning_rate": _learning_rate(optimizers[0])}
        callback_list.on_epoch_end(position.epoch, logs)
        if epoch_in_phase == phase.epochs - 1:
            # Before the checkpoint: a run that is resumed is checked again.
            _check_health(figures, health or {}, phase, enforce_health)
        position.epoch, position.step, position.sums = position.epoch + 1, 0, {}
        if checkpoints:
            checkpoints.save()
    callback_list.on_train_end()
    return steps


def _check_health(
    figures: Mapping[str, float], ranges: Mapping[str, Range | None], phase: TrainingPhase, enforce: bool
) -> None:
    found = unhealthy(figures, ranges)
    if not found:
        return
    sentence = (
        f"the run is not healthy at the end of the phase {phase.name}: {'; '.join(found)} (see docs/training.md, "
        "Health)"
    )
    if enforce:
        raise VadError(
            f"{sentence}; train longer or change what the recipe's header names, or use --set "
            "training.enforce_health=false to go on all the same."
        )
    logger.warning("%s.", sentence)


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> float:
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))  # mirrored variables have no float()


def _distributed(strategy: tf.distribute.Strategy, step: Callable[..., Any]) -> Callable[..., Any]:
    # No XLA: on CPU it makes 3D convolutions a hundred times slower and fails under MirroredStrategy.
    # No AutoGraph: Keras has none in its own steps either, and it takes seconds.
    @tf.function(jit_compile=False, reduce_retracing=True, autograph=False)
    def run(batch: Any) -> dict[str, tf.Tensor]:
        logs = strategy.run(step, args=(batch,))
        # Every replica returns the same sums over all of them.
        return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

    return run


def _add(pending: Sequence[dict[str, tf.Tensor]], position: Position, checkpoints: Checkpoints | None) -> None:
    for logs in pending:
        for name, value in logs.items():
            number = float(value)
            if not math.isfinite(number):
                raise _diverged(f"{name} loss", str(number), position, checkpoints)
            position.sums[name] = position.sums.get(name, 0.0) + number


def _diverged(what: str, value: str, position: Position, checkpoints: Checkpoints | None) -> VadError:
    kept = checkpoints.newest if checkpoints else None
    remedy = f"the last good checkpoint is {kept}" if kept else "no checkpoint was written yet"
    return VadError(
        f"the {what} became {value} in epoch {position.epoch + 1}; {remedy}; train again with a lower learning rate "
        "(--set model.learning_rate=...) or in float32."
    )


def _validate(
    strategy: tf.distribute.Strategy, test_step: Callable[..., Any], validation: Iterable[Any]
) -> dict[str, float]:
    results = [
        {name: float(value) for name, value in test_step(batch).items()}
        for batch in (
            strategy.experimental_distribute_dataset(validation)
            if isinstance(validation, tf.data.Dataset)
            else validation
        )
    ]
    return {f"val_{name}": float(np.mean([result[name] for result in results])) for name in (results or [{}])[0]}

"""A training run from its options to an exported model, in a folder that holds everything about it."""

import fcntl
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_vad
from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.artifacts.saved_model import export
from keras_vad.common.files import appearing
from keras_vad.common.names import check_name
from keras_vad.common.revision import git_revision
from keras_vad.data import (
    CachedFrames,
    FrameCache,
    VideoDataset,
    hold_out,
    open_dataset,
    steps_per_epoch,
    window_dataset,
)
from keras_vad.data.recordings import LeftOut, told
from keras_vad.data.video import Video
from keras_vad.errors import UndecodableError, VadError
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.registry import build
from keras_vad.scoring.calibrate import told_calibration
from keras_vad.training.callbacks import ProgressBar, RunLog
from keras_vad.training.loop import Checkpoints, Schedule, TrainingData, train
from keras_vad.training.phase_batches import PhaseBatches
from keras_vad.training.pretrained import Pretrained
from keras_vad.training.recipe import SECTIONS, Recipe, resolve_recipe
from keras_vad.training.strategy import check_precision, make_strategy

logger = logging.getLogger("keras_vad")


@dataclass(frozen=True)
class RunOptions:
    """Everything that decides how a run ends, and where it puts things.

    Args:
        model: Name of the method.
        dataset: Name of the data set.
        data_dir: Its folder.
        recipe_name: Name of the recipe, for the run's and the exported model's name.
        recipe: The recipe with all overrides applied.
        seed: Of weights, order of windows, noise and held-out videos.
        strategy: See ``make_strategy``.
        devices: See ``make_strategy``.
        run_dir: The run folder.
        output: Zoo folder that the trained model is exported to; ``None`` for no export.
        name: Name of the exported model.
        resume: Whether to go on with the run in ``run_dir``.
        pretrained: The trained detector to start from; ``None`` starts from random weights.
        command: The command line that started the run, for its ``config.yaml``; ``None`` from Python.
    """

    model: str
    dataset: str
    data_dir: Path
    recipe_name: str
    recipe: Recipe
    seed: int
    strategy: str
    devices: int | None
    run_dir: Path
    output: Path | None
    name: str
    resume: bool = False
    pretrained: Pretrained | None = None
    command: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that a resumed run must agree with: what decides the weights."""
        return {
            "method": self.model,
            "dataset": self.dataset,
            "recipe": self.recipe_name,
            "seed": self.seed,
            "from": self.pretrained and self.pretrained.origin.to_dict(),
            **self.recipe.to_dict(),
        }


def run_training(options: RunOptions, cache: FrameCache | None = None) -> Path | None:
    """Train, calibrate, save and export a detector.

    The run folder then holds ``config.yaml`` (every choice, data fingerprint, versions, git revision, command),
    ``metrics.csv``, ``train.log``, ``tensorboard/``, ``checkpoints/``, ``detector.keras`` and ``report.json``.

    Args:
        options: See ``RunOptions``.
        cache: Where decoded frames are kept; the user's cache by default.

    Returns:
        The folder of the exported version, ``None`` without export.

    Raises:
        VadError: If anything the user chose does not fit; see the message.
    """
    recipe = options.recipe
    strategy = make_strategy(options.strategy, options.devices)
    if options.output is not None:
        check_name(options.name)
    replicas = strategy.num_replicas_in_sync
    if recipe.training.batch_size < replicas:
        raise VadError(
            f"training.batch_size is {recipe.training.batch_size}, but there are {replicas} devices, and each needs a "
            "window; use a larger batch or fewer devices."
        )

    RunFolder(options.run_dir).check_free(resume=options.resume)
    dataset = open_dataset(options.dataset, options.data_dir)
    if options.resume:
        check_same_run(options, dataset)
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        detector = build(options.model, precision=recipe.training.precision, **recipe.model)
        if options.pretrained is not None:
            detector.set_weights(options.pretrained.weights)
        detector.seed = options.seed
        detector.compile()
        detector.build_optimizers()
    check_precision(recipe.training.precision, detector)
    if options.output is not None and detector.not_exportable_because:
        raise VadError(f"this model cannot be exported: {detector.not_exportable_because}; use --no-export.")
    for name in recipe.health:
        if name not in detector.health_figures:
            raise VadError(
                f"health.{name} is a range of a figure that {options.model} does not have; it has "
                f"{', '.join(detector.health_figures) or 'none'}."
            )
    training = recipe.training
    schedule = Schedule.of(detector.phases(), training.epochs, training.schedule, training.learning_rate_factor)
    data = _prepare_data(options, dataset, detector, cache or FrameCache())

    # The run folder appears only now, when all that the user chose fits.
    options.run_dir.mkdir(parents=True, exist_ok=True)
    with _only_one_in(options.run_dir):
        RunFolder(options.run_dir).check_free(resume=options.resume)
        if not options.resume:
            _record_config(options, dataset)
        with _log_in(RunFolder(options.run_dir).log_file):
            return _train_and_export(options, detector, strategy, schedule, data)


def fit_normality(
    options: RunOptions, detector: VideoAnomalyDetector, cache: FrameCache | None = None
) -> dict[str, Any]:
    """Do for a detector what a run does after training: learn from its data what the score needs, and calibrate.

    Args:
        options: Of the run that the weights come from.
        detector: May differ from the trained one in options of its score.
        cache: Where decoded frames are kept; the user's cache by default.

    Returns:
        How the alarm boundary came about, see ``VideoAnomalyDetector.calibrate``.
    """
    dataset = open_dataset(options.dataset, options.data_dir)
    return _fit_normality(detector, _prepare_data(options, dataset, detector, cache or FrameCache()), options.recipe)


def _fit_normality(detector: VideoAnomalyDetector, data: "_Data", recipe: Recipe) -> dict[str, Any]:
    detector.fit_normality(
        window_dataset(data.train, detector.training_window, shuffle=False, drop_remainder=False, **data.windows),
        data.held_out,
        recipe.training.alarm_quantile,
    )
    return detector.calibrate(
        data.held_out,
        alarm_quantile=recipe.training.alarm_quantile,
        false_alarms_per_hour=recipe.training.false_alarms_per_hour,
        fps=recipe.data.fps,
    )


@dataclass(frozen=True)
class _Data:
    """What a run trains on, and how ``window_dataset`` cuts it."""

    train: list[CachedFrames]
    held_out: list[CachedFrames]
    windows: dict[str, Any]
    left_out: list[LeftOut]


def _prepare_data(
    options: RunOptions, dataset: VideoDataset, detector: VideoAnomalyDetector, cache: FrameCache
) -> _Data:
    recipe, window = options.recipe, detector.training_window
    span = max(window.span, detector.window.span)
    train_videos, held_out_videos = hold_out(dataset.train_videos(), recipe.data.validation_share, options.seed)
    kinds = {window, *(kind for phase in detector.phases() for kind in phase.windows)}
    reach = 1 + max(max(kind.frames) for kind in kinds) * min(recipe.data.speeds)
    train_frames, left_out = _that_serve(train_videos, window.size, reach, cache, dataset.of_the_user)
    if recipe.data.train_frames is not None:
        train_frames = _first_frames(train_frames, recipe.data.train_frames, reach)
    held_out, left_out_too = _that_serve(held_out_videos, window.size, span, cache, may_be_left_out=True)
    left_out = [*dataset.left_out, *left_out, *left_out_too]
    for what, videos, share in (("training", train_frames, "less"), ("held-out", held_out, "more")):
        if not videos:
            raise VadError(
                f"none of the {what} videos serves: {told(left_out)}; give longer videos, or hold out {share} with "
                "--set data.validation_share."
            )
    windows: dict[str, Any] = {
        "batch_size": recipe.training.batch_size,
        "speeds": recipe.data.speeds,
        "hop": recipe.data.hop,
    }
    steps_per_epoch(train_frames, window, **windows)  # refuses videos that are too short before anything is written
    return _Data(train_frames, held_out, windows, left_out)


def _that_serve(
    videos: list[Video], size: tuple[int, int], span: int, cache: FrameCache, may_be_left_out: bool
) -> tuple[list[CachedFrames], list[LeftOut]]:
    """The frames of videos that can be decoded and are long enough, and the others, if they may be left out."""
    if not may_be_left_out:
        return [cache.get(video, size) for video in videos], []
    serving, left_out = [], []
    for video in videos:
        try:
            frames = cache.get(video, size)
        except UndecodableError as error:
            left_out.append(LeftOut(video.name, str(error).rstrip(".")))
            continue
        if len(frames) < span:
            left_out.append(LeftOut(video.name, f"{len(frames)} frames, but a window spans {span}"))
        else:
            serving.append(frames)
    return serving, left_out


def _first_frames(videos: list[CachedFrames], count: int, span: int) -> list[CachedFrames]:
    """The first ``count`` frames of some videos, in order; the last of them may be a part of its video."""
    available = sum(map(len, videos))
    if count > available:
        raise VadError(
            f"data.train_frames is {count}, but the training videos that are not held out have {available} frames; "
            "ask for fewer frames or give more videos."
        )
    chosen: list[CachedFrames] = []
    for video in videos:
        if count == 0:
            break
        part = video.clip(0, min(count, len(video)))
        if len(part) < min(span, len(video)):
            raise VadError(
                f"data.train_frames leaves {len(part)} frames of {video.name}, but a window spans {span}; take "
                f"{len(part)} fewer or at least {span - len(part)} more."
            )
        chosen.append(part)
        count -= len(part)
    return chosen


def _train_and_export(
    options: RunOptions,
    detector: VideoAnomalyDetector,
    strategy: tf.distribute.Strategy,
    schedule: Schedule,
    data: _Data,
) -> Path | None:
    recipe, run = options.recipe, RunFolder(options.run_dir)
    batches = PhaseBatches(
        detector,
        data.train,
        data.held_out,
        **data.windows,
        steps=recipe.training.steps_per_epoch,
        validation_steps=recipe.training.validation_steps,
        seed=options.seed,
        codes=run.codes,
    )
    logger.info("training on %d videos, held out: %s", len(data.train), ", ".join(v.name for v in data.held_out))
    if recipe.health and not batches.validation(schedule.phases[0]):
        logger.warning("the health of this run is not checked: there are no validation windows")
    for one in data.left_out:
        logger.info("left out: %s", one)
    notes = _repeated(batches, schedule)
    if data.left_out:
        notes.insert(0, f"left out: {told(data.left_out)}; train.log lists all.")
    for note in notes:
        logger.info(note)
        print(f"note: {note}", file=sys.stderr)
    if options.pretrained is not None:
        logger.info("starting from %s", options.pretrained.origin)
    checkpoints = Checkpoints(run.checkpoints, detector)
    if checkpoints.newest is None:
        detector.adapt(_batches(data.train))
        checkpoints.save()  # so that a run killed in its first epoch resumes, too

    started = time.monotonic()
    bar = ProgressBar()
    try:
        steps_trained = train(
            detector,
            schedule,
            TrainingData(batches, batches.steps, batches.validation),
            strategy=strategy,
            checkpoints=checkpoints,
            checkpoint_every=recipe.training.checkpoint_every,
            callbacks=[RunLog(options.run_dir), bar],
            health=recipe.health,
            enforce_health=recipe.training.enforce_health,
        )
    finally:
        bar.stop()
        batches.close()
    seconds = time.monotonic() - started

    logger.info("calibrating on held-out normal videos")
    final = build(options.model, **recipe.model)  # in float32, whatever the precision of training
    final.set_weights(detector.get_weights())
    calibration = _fit_normality(final, data, recipe)
    for sentence in told_calibration(calibration):
        logger.info(sentence)
    with appearing(run.detector_file) as partial:
        final.save(partial)
    version = None
    if options.output is not None:
        version = export(final, options.output, options.name, calibration=calibration, training=run.training())
    windows_trained = steps_trained * recipe.training.batch_size
    report = {
        "parameters": int(sum(np.prod(weight.shape) for weight in final.trainable_weights)),
        "epochs": checkpoints.position.epoch,
        "steps_per_epoch": max(batches.steps(phase) for phase in schedule.phases),
        "seconds_of_this_process": round(seconds, 1),
        "windows_per_second": round(windows_trained / seconds, 3) if windows_trained else None,
        "held_out_videos": [video.name for video in data.held_out],
        "left_out": [str(one) for one in data.left_out],
        "calibration": calibration,
        "exported_to": None if version is None else str(version),
    }
    run.write_report(report)
    logger.info("done: %s", version or run.detector_file)
    return version


def _repeated(batches: PhaseBatches, schedule: Schedule) -> list[str]:
    """A sentence if an epoch shows windows more than once, for the phase with the fewest of them."""
    times = {phase.name: batches.steps(phase) / batches.available(phase) for phase in schedule.phases}
    name, most = max(times.items(), key=lambda item: item[1])
    if most <= 1:
        return []
    return [
        f"an epoch of the phase {name} has {most:.1f} times as many steps as there are batches of different windows, "
        "so it goes round again; with more footage the detector would learn more."
    ]


def _batches(videos: list[CachedFrames], size: int = 64) -> Any:
    for video in videos:
        for start in range(0, len(video), size):
            yield video.read(start, min(size, len(video) - start))


@contextmanager
def _log_in(file: Path) -> Iterator[None]:
    """Write the log to a file, with why the run stopped."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    except VadError as error:
        logger.error("stopped: %s", error)
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


@contextmanager
def _only_one_in(folder: Path) -> Iterator[None]:
    """Keep other processes out of a run folder.

    Raises:
        VadError: If one is at work in it.
    """
    descriptor = os.open(folder, os.O_RDONLY)  # the folder itself is locked: a killed process leaves nothing behind
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise VadError(
            f"another process trains in {folder}; wait for it, stop it, or choose another folder with --run-dir."
        ) from error
    finally:
        os.close(descriptor)


def check_same_run(options: RunOptions, dataset: VideoDataset) -> None:
    """Refuse a run folder whose run has other options or other data.

    Raises:
        VadError: It names what differs.
    """
    run = RunFolder(options.run_dir)
    stored = run.config()
    # A run of an earlier version had the default of what was no option yet.
    recipe = resolve_recipe({name: stored[name] for name in SECTIONS if name in stored}, (), str(run.config_file))
    stored = _weight_relevant(stored | _plain(recipe.to_dict()))
    for key, value in _weight_relevant(_decisive(options, dataset)).items():
        if stored.get(key) != value:
            raise VadError(
                f"the run in {options.run_dir} has {key} {stored.get(key)!r}, but now it is {value!r}; resume with the "
                "same options and data, or start a new run."
            )


def _decisive(options: RunOptions, dataset: VideoDataset) -> dict[str, Any]:
    return _plain({**options.to_dict(), "data_fingerprint": dataset.fingerprint()})


def _weight_relevant(config: dict[str, Any]) -> dict[str, Any]:
    """Without what only decides whether a run may go on: a resumed run may judge its health otherwise."""
    training = {name: value for name, value in config["training"].items() if name != "enforce_health"}
    return {name: value for name, value in config.items() if name != "health"} | {"training": training}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(values))  # tuples to lists, as they come back from a file


def _record_config(options: RunOptions, dataset: VideoDataset) -> None:
    config = {
        **_decisive(options, dataset),
        "command": options.command,
        "data_dir": str(options.data_dir),
        "strategy": options.strategy,
        "devices": options.devices,
        "versions": {
            "keras_vad": keras_vad.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "git": git_revision(),
    }
    RunFolder(options.run_dir).write_config(config)

"""A training run from its options to an exported model, in a folder that holds everything about it."""

import json
import logging
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml

import keras_vad
from keras_vad.card import training_of_run
from keras_vad.data import (
    CachedFrames,
    FrameCache,
    VideoDataset,
    hold_out,
    keys_of_training,
    open_dataset,
    steps_per_epoch,
    window_dataset,
)
from keras_vad.errors import VadError
from keras_vad.export import export
from keras_vad.files import appearing, write_text
from keras_vad.models.detector import VideoAnomalyDetector
from keras_vad.models.registry import build
from keras_vad.names import check_name
from keras_vad.scoring.calibrate import told_calibration
from keras_vad.training.callbacks import ProgressBar, RunLog
from keras_vad.training.loop import Checkpoints, Schedule, TrainingData, train
from keras_vad.training.phase_batches import PhaseBatches
from keras_vad.training.recipe import SECTIONS, Recipe, resolve_recipe
from keras_vad.training.source import Source
from keras_vad.training.strategy import check_precision, make_strategy
from keras_vad.versions import git_revision

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
        source: The trained detector to start from; ``None`` starts from random weights.
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
    source: Source | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values that a resumed run must agree with: what decides the weights."""
        return {
            "method": self.model,
            "dataset": self.dataset,
            "recipe": self.recipe_name,
            "seed": self.seed,
            "from": self.source and self.source.origin.to_dict(),
            **self.recipe.to_dict(),
        }


def run_training(options: RunOptions, cache: FrameCache | None = None) -> Path | None:
    """Train, calibrate, save and export a detector.

    The run folder then holds ``config.yaml`` (every choice, data fingerprint, versions, git revision), ``metrics.csv``,
    ``train.log``, ``tensorboard/``, ``checkpoints/``, ``detector.keras`` and ``report.json``.

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
    check_precision(recipe.training.precision)
    if options.output is not None:
        check_name(options.name)
    replicas = strategy.num_replicas_in_sync
    if recipe.training.batch_size < replicas:
        raise VadError(
            f"training.batch_size is {recipe.training.batch_size}, but there are {replicas} devices, and each needs a "
            "window; use a larger batch or fewer devices."
        )

    _check_folder_is_free(options)
    dataset = open_dataset(options.dataset, options.data_dir)
    if options.resume:
        check_same_run(options, dataset)
    keras.utils.set_random_seed(options.seed)
    tf.config.experimental.enable_op_determinism()
    keras.mixed_precision.set_global_policy(recipe.training.precision)
    try:
        with strategy.scope():
            detector = build(options.model, **recipe.model)
            if options.source is not None:
                detector.set_weights(options.source.weights)
            detector.seed = options.seed
            detector.compile()
            detector.build_optimizers()
    finally:
        keras.mixed_precision.set_global_policy("float32")
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
    if not options.resume:
        _record_config(options, dataset)
    handler = logging.FileHandler(options.run_dir / "train.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        return _train_and_export(options, detector, strategy, schedule, data)
    except VadError as error:
        logger.error("stopped: %s", error)
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()


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
        boundary=recipe.training.boundary,
        fps=recipe.data.fps,
    )


@dataclass(frozen=True)
class _Data:
    """What a run trains on, and how ``window_dataset`` cuts it."""

    train: list[CachedFrames]
    held_out: list[CachedFrames]
    windows: dict[str, Any]


def _prepare_data(
    options: RunOptions, dataset: VideoDataset, detector: VideoAnomalyDetector, cache: FrameCache
) -> _Data:
    recipe, window = options.recipe, detector.training_window
    span = max(window.span, detector.window.span)
    train_videos, held_out_videos = hold_out(dataset.train_videos(), recipe.data.validation_share, options.seed)
    train_frames = [cache.get(video, window.size) for video in train_videos]
    if recipe.data.train_frames is not None:
        reach = max(window.frames) * min(recipe.data.strides)
        train_frames = _first_frames(train_frames, recipe.data.train_frames, 1 + reach)
    held_out = [cache.get(video, window.size) for video in held_out_videos]
    long_enough = [video for video in held_out if len(video) >= span]
    if not long_enough:
        names = ", ".join(video.name for video in held_out)
        raise VadError(
            f"the held-out videos ({names}) are shorter than the model's {span} frames; hold out more with "
            "--set data.validation_share=0.3, or give longer videos."
        )
    windows: dict[str, Any] = {
        "batch_size": recipe.training.batch_size,
        "strides": recipe.data.strides,
        "hop": recipe.data.hop,
    }
    steps_per_epoch(train_frames, window, **windows)  # refuses videos that are too short before anything is written
    return _Data(train_frames, long_enough, windows)


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
    recipe = options.recipe
    batches = PhaseBatches(
        detector,
        data.train,
        data.held_out,
        **data.windows,
        most_steps=recipe.training.steps_per_epoch,
        validation_steps=recipe.training.validation_steps,
        seed=options.seed,
        codes=options.run_dir / "codes",
    )
    logger.info("training on %d videos, held out: %s", len(data.train), ", ".join(v.name for v in data.held_out))
    if recipe.health and not batches.validation(schedule.phases[0]):
        logger.warning("the health of this run is not checked: there are no validation windows")
    steps = {batches.steps(phase) for phase in schedule.phases}
    if min(steps) < (recipe.training.steps_per_epoch or 0):
        logger.info("an epoch has %d steps: there are no more windows", min(steps))
    if options.source is not None:
        logger.info("starting from %s", options.source.origin)
    checkpoints = Checkpoints(options.run_dir / "checkpoints", detector)
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
    with appearing(options.run_dir / "detector.keras") as partial:
        final.save(partial)
    version = None
    if options.output is not None:
        training = training_of_run(options.run_dir)
        version = export(final, options.output, options.name, calibration=calibration, training=training)
    windows_trained = steps_trained * recipe.training.batch_size
    report = {
        "parameters": int(sum(np.prod(weight.shape) for weight in final.trainable_weights)),
        "epochs": checkpoints.position.epoch,
        "steps_per_epoch": max(steps),
        "seconds_of_this_process": round(seconds, 1),
        "windows_per_second": round(windows_trained / seconds, 3) if windows_trained else None,
        "held_out_videos": [video.name for video in data.held_out],
        "calibration": calibration,
        "exported_to": None if version is None else str(version),
    }
    write_text(options.run_dir / "report.json", json.dumps(report, indent=2) + "\n")
    logger.info("done: %s", version or options.run_dir / "detector.keras")
    return version


def _batches(videos: list[CachedFrames], size: int = 64) -> Any:
    for video in videos:
        for start in range(0, len(video), size):
            yield video.read(start, min(size, len(video) - start))


def _check_folder_is_free(options: RunOptions) -> None:
    folder = options.run_dir
    if options.resume:
        if not (folder / "config.yaml").is_file():
            raise VadError(f"there is no run to resume in {folder}: it holds no config.yaml; leave out --resume.")
    elif folder.exists() and not folder.is_dir():
        raise VadError(f"the run folder {folder} is a file; choose another with --run-dir.")
    elif folder.exists() and any(folder.iterdir()):
        raise VadError(f"the run folder {folder} is not empty; use --resume to go on, or --run-dir for another.")


def check_same_run(options: RunOptions, dataset: VideoDataset) -> None:
    """Refuse a run folder whose run has other options or other data.

    Raises:
        VadError: It names what differs.
    """
    config = options.run_dir / "config.yaml"
    stored = yaml.safe_load(config.read_text("utf-8")) or {}
    # A run of an earlier version had the default of what was no option yet.
    recipe = resolve_recipe({name: stored[name] for name in SECTIONS if name in stored}, (), str(config))
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
        "trained_on": _trained_on(options, dataset),
    }
    write_text(options.run_dir / "config.yaml", yaml.safe_dump(config, sort_keys=False))


def _trained_on(options: RunOptions, dataset: VideoDataset) -> list[str] | None:
    """The videos that this run and all before it see; ``None`` if one before it does not tell."""
    own = keys_of_training(dataset, options.recipe.data.validation_share, options.seed)
    if options.source is None:
        return own
    before = (options.source.origin.training or {}).get("trained_on")
    return None if before is None else sorted({*before, *own})

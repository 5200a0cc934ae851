"""What watches a run: its CSV file, TensorBoard, its log and the progress bar."""

import csv
import logging
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from keras_vad.artifacts.run_folder import RunFolder
from keras_vad.common.files import write_text
from keras_vad.training.health import PREFIX

logger = logging.getLogger("keras_vad")


class RunLog(keras.callbacks.Callback):
    """Every epoch's losses: one row of ``metrics.csv``, one line of the log, and TensorBoard scalars.

    Args:
        folder: The run folder. Rows that it holds from the epoch on that training goes on with, written by a run that
            was killed before its checkpoint, are dropped.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        run = RunFolder(folder)
        self._path = run.metrics_file
        self._rows: list[dict[str, str]] = []
        if self._path.exists():
            with self._path.open(newline="") as file:
                self._rows = list(csv.DictReader(file))
        self._writer = tf.summary.create_file_writer(str(run.tensorboard))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the epoch down."""
        logs = logs or {}
        self._rows = [row for row in self._rows if int(row["epoch"]) <= epoch]
        self._rows.append({"epoch": str(epoch + 1), **{name: str(value) for name, value in logs.items()}})
        names = dict.fromkeys(name for row in self._rows for name in row)
        lines = [",".join(names), *(",".join(row.get(name, "") for name in names) for row in self._rows)]
        write_text(self._path, "\n".join(lines) + "\n")
        numbers = {name: value for name, value in logs.items() if isinstance(value, float)}
        with self._writer.as_default():
            for name, value in numbers.items():
                tf.summary.scalar(name, value, step=epoch + 1)
        self._writer.flush()
        logger.info("epoch %d: %s", epoch + 1, ", ".join(f"{name} {value:.4g}" for name, value in numbers.items()))


class ProgressBar(keras.callbacks.Callback):
    """A progress bar on the terminal: epoch, steps, time left and the last epoch's losses."""

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=Console(stderr=True),
        )
        self._losses = ""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the bar."""
        self._progress.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start a bar for the epoch."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._task = self._progress.add_task(
            f"epoch {epoch + 1}/{self.params['epochs']}", total=self.params["steps"], losses=self._losses
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the losses for the next bar."""
        self._losses = ", ".join(
            f"{name} {value:.4g}"
            for name, value in (logs or {}).items()
            if name not in ("phase", "learning_rate") and not name.startswith(("val_", PREFIX))
        )

    def stop(self) -> None:
        """Take the bar off the terminal, also after an error."""
        self._progress.stop()

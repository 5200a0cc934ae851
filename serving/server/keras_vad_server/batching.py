"""Requests wait in bounded queues, and those of equal shape are computed together.

A batch holds requests for the same signature of the same version of a model, whose inputs have equal shapes beyond
dimension 0. It is computed once it is full or has waited long enough, and a thread is free; so while all threads are
busy, batches grow by themselves.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

import grpc
import numpy as np

from keras_vad_server.config import BatchingOptions
from keras_vad_server.models import ServedModel
from keras_vad_server.status import RequestError, invalid

logger = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]
Answer = Future[dict[str, np.ndarray]]


@dataclass(eq=False)
class _Task:
    arrays: Arrays
    rows: int
    deadline: float
    answer: Answer = field(default_factory=Future)

    def begin(self) -> bool:
        """Whether anyone still waits for the answer; from now on it cannot be cancelled."""
        if not self.answer.set_running_or_notify_cancel():
            return False
        if time.monotonic() > self.deadline:
            self.answer.set_exception(RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline exceeded in the queue"))
            return False
        return True


@dataclass(eq=False)
class _Batch:
    model: ServedModel
    signature_name: str
    due: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0

    @property
    def queue(self) -> tuple[ServedModel, str]:
        return self.model, self.signature_name


class Batcher:
    """Threads that compute requests, in batches.

    Args:
        options: Sizes and limits.
        observe_batch: Is called with the number of rows of every batch that is computed.
    """

    def __init__(self, options: BatchingOptions, observe_batch: Callable[[int], object] = lambda rows: None) -> None:
        self._options = options
        self._observe_batch = observe_batch
        self._changed = threading.Condition()
        # Batches with room, oldest first; all wait equally long, so this is the order in which they are due.
        self._open: dict[object, _Batch] = {}
        self._closed: deque[_Batch] = deque()
        self._enqueued: Counter[tuple[ServedModel, str]] = Counter()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(options.threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, model: ServedModel, signature_name: str, arrays: Arrays, time_remaining: float | None = None
    ) -> Answer:
        """Have a request computed.

        Args:
            model: The model, which is kept until the answer is there.
            signature_name: One of its signatures.
            arrays: The inputs, see ``ServedModel.arrays``.
            time_remaining: Seconds after which nobody waits for the answer.

        Returns:
            The outputs, to come. As long as it waits, ``cancel`` takes it out of the queue.

        Raises:
            RequestError: If the queue is full, or the request larger than any batch.
        """
        deadline = float("inf") if time_remaining is None else time.monotonic() + time_remaining
        rows = _rows(arrays)
        limit = self._options.max_batch_size
        task = _Task(arrays, rows or 1, deadline)
        if limit is not None and task.rows > limit:
            raise invalid(f"Task size {task.rows} is larger than maximum input batch size {limit}")
        merges = limit is not None and rows is not None
        shapes = tuple((name, array.shape[1:]) for name, array in arrays.items()) if merges else ()
        key = (model, signature_name, shapes) if merges else task
        with self._changed:
            if self._stopping:
                raise RequestError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
            batch = self._open.get(key)
            if batch is not None and limit is not None and batch.rows + task.rows > limit:
                self._closed.append(self._open.pop(key))
                batch = None
            if batch is None:
                self._make_room(model, signature_name)
                batch = _Batch(model, signature_name, due=time.monotonic() + self._options.timeout)
                self._enqueued[batch.queue] += 1
                self._open[key] = batch
            batch.tasks.append(task)
            batch.rows += task.rows
            if not merges or batch.rows == limit:
                self._closed.append(self._open.pop(key))
            self._changed.notify()
        return task.answer

    def waiting(self) -> int:
        """Number of requests that wait to be computed."""
        with self._changed:
            return sum(len(batch.tasks) for batch in (*self._open.values(), *self._closed))

    def stop(self) -> None:
        """Compute what waits, take nothing more, and end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _make_room(self, model: ServedModel, signature_name: str) -> None:
        queue = (model, signature_name)
        if self._enqueued[queue] >= self._options.max_enqueued_batches:
            # Requests whose callers are gone must not keep others out.
            self._open = {key: batch for key, batch in self._open.items() if not self._abandoned(batch)}
            self._closed = deque(batch for batch in self._closed if not self._abandoned(batch))
        if self._enqueued[queue] >= self._options.max_enqueued_batches:
            raise RequestError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "The batch scheduling queue to which this task was submitted is full",
            )

    def _abandoned(self, batch: _Batch) -> bool:
        if not all(task.answer.cancelled() for task in batch.tasks):
            return False
        self._forget(batch)
        return True

    def _forget(self, batch: _Batch) -> None:
        self._enqueued[batch.queue] -= 1
        if not self._enqueued[batch.queue]:
            del self._enqueued[batch.queue]  # or the counter would keep the model

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._compute(batch)
            except Exception:
                logger.exception("a batch of %s failed", batch.model.name)
            # The name would keep the model and its requests until the next batch.
            del batch

    def _next(self) -> _Batch | None:
        """Wait for the batch whose turn it is; ``None`` when there will be no more."""
        with self._changed:
            while True:
                key, oldest = next(iter(self._open.items()), (None, None))
                is_due = oldest is not None and (self._stopping or oldest.due <= time.monotonic())
                if oldest is not None and is_due and not (self._closed and self._closed[0].due < oldest.due):
                    batch = self._open.pop(key)
                elif self._closed:
                    batch = self._closed.popleft()
                elif self._stopping:
                    return None
                else:
                    self._changed.wait(None if oldest is None else oldest.due - time.monotonic())
                    continue
                self._forget(batch)
                if self._open or self._closed:
                    self._changed.notify()  # Another thread must now wait for those.
                return batch

    def _compute(self, batch: _Batch) -> None:
        tasks = [task for task in batch.tasks if task.begin()]
        if len(tasks) > 1:
            try:
                answers = self._run_merged(batch, tasks)
            except Exception as error:
                # One of them is at fault, or the graph does not keep rows apart: each by itself.
                logger.debug("a batch of %d requests is computed one by one: %s", len(tasks), error)
            else:
                for task, answer in zip(tasks, answers, strict=True):
                    task.answer.set_result(answer)
                return
        for task in tasks:
            try:
                (answer,) = self._run_merged(batch, [task])
            except Exception as error:
                task.answer.set_exception(error)
            else:
                task.answer.set_result(answer)

    def _run_merged(self, batch: _Batch, tasks: list[_Task]) -> list[dict[str, np.ndarray]]:
        rows = sum(task.rows for task in tasks)
        merges = _rows(tasks[0].arrays) is not None
        padding = self._options.padded(rows) - rows if merges else 0
        arrays: Arrays = tasks[0].arrays
        if len(tasks) > 1 or padding:
            # Filled up with a row that is valid, as TensorFlow Serving does.
            arrays = {
                name: np.concatenate([*(task.arrays[name] for task in tasks), *([array[:1]] * padding)])
                for name, array in arrays.items()
            }
        self._observe_batch(rows)
        outputs = batch.model.run(batch.signature_name, arrays)
        if len(tasks) == 1 and not padding:
            return [outputs]
        for name, value in outputs.items():
            if value.shape[:1] != (rows + padding,):
                raise RequestError(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f"Batched output tensor {name}'s 0th dimension does not equal the sum of the 0th dimension sizes "
                    "of the input tensors",
                )
        answers, start = [], 0
        for task in tasks:
            answers.append({name: value[start : start + task.rows] for name, value in outputs.items()})
            start += task.rows
        return answers


def _rows(arrays: Arrays) -> int | None:
    """The size of dimension 0; ``None`` if the inputs do not share one and so cannot be put into a batch."""
    sizes = {array.shape[0] if array.ndim else None for array in arrays.values()}
    return sizes.pop() if len(sizes) == 1 else None

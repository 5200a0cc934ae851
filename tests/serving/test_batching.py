"""The queue before the models: what is computed together, what is refused, and what is not computed at all."""

import threading
import time
from concurrent.futures import CancelledError

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tiny_detector import Sleeper

from keras_vad_server.batching import Batcher
from keras_vad_server.config import BatchingOptions
from keras_vad_server.models import ServedModel
from keras_vad_server.status import RequestError


class Rows(tf.Module):
    """Tells how many rows it was given at once; refuses negative values."""

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="x")])
    def double(self, x):
        tf.debugging.assert_non_negative(x, message="negative")
        return {"y": 2 * x, "rows": tf.fill([tf.shape(x)[0]], tf.shape(x)[0])}

    @tf.function(input_signature=[tf.TensorSpec((None, None), tf.float32, name="x")])
    def total(self, x):
        return {"y": tf.reduce_sum(x)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tf.saved_model.save(rows := Rows(), str(folder / "1"), signatures={"double": rows.double, "total": rows.total})
    tf.saved_model.save(sleeper := Sleeper(), str(folder / "2"), signatures={"sleep": sleeper.sleep})
    return {"rows": ServedModel("rows", 1, folder / "1"), "sleeper": ServedModel("sleeper", 2, folder / "2")}


@pytest.fixture
def batcher():
    started = []

    def start(**options):
        batches = []
        started.append(Batcher(BatchingOptions(**options), batches.append))
        return started[-1], batches

    yield start
    for one in started:
        one.stop()


def row(*values):
    return {"x": np.float32([values])}


def occupy(batcher, models, seconds):
    """Keep one thread busy; returns when it has begun."""
    answer = batcher.submit(models["sleeper"], "sleep", {"seconds": np.float64(seconds)})
    while not answer.running():
        time.sleep(0.001)
    return answer


class TestTogether:
    def test_requests_of_equal_shape_are_one_batch_and_get_their_own_rows(self, batcher, models):
        queue, batches = batcher(max_batch_size=6, timeout=30, threads=2)
        answers = [queue.submit(models["rows"], "double", {"x": np.full((2, 3), n, np.float32)}) for n in range(3)]
        for n, answer in enumerate(answers):
            outputs = answer.result(timeout=20)
            np.testing.assert_array_equal(outputs["y"], np.full((2, 3), 2.0 * n))
            assert outputs["rows"].tolist() == [6, 6]
        assert batches == [6]

    def test_a_batch_with_room_is_computed_when_its_time_has_come(self, batcher, models):
        queue, batches = batcher(max_batch_size=100, timeout=0.2, threads=1)
        began = time.monotonic()
        answers = [queue.submit(models["rows"], "double", row(n)) for n in range(3)]
        assert [answer.result(timeout=20)["y"].item() for answer in answers] == [0, 2, 4]
        assert time.monotonic() - began >= 0.2
        assert batches == [3]

    def test_unequal_shapes_are_apart(self, batcher, models):
        queue, batches = batcher(max_batch_size=8, timeout=0.1, threads=1)
        answers = [queue.submit(models["rows"], "double", row(*range(width))) for width in (1, 2, 1, 2, 2)]
        assert [answer.result(timeout=20)["rows"].item() for answer in answers] == [2, 3, 2, 3, 3]
        assert sorted(batches) == [2, 3]

    def test_a_batch_never_grows_beyond_its_size(self, batcher, models):
        queue, batches = batcher(max_batch_size=4, timeout=0.1, threads=1)
        answers = [queue.submit(models["rows"], "double", {"x": np.ones((3, 1), np.float32)}) for _ in range(3)]
        assert [answer.result(timeout=20)["rows"].tolist() for answer in answers] == [[3] * 3] * 3
        assert batches == [3, 3, 3]

    def test_batches_are_filled_up_to_an_allowed_size(self, batcher, models):
        queue, _ = batcher(max_batch_size=8, timeout=0.1, threads=1, allowed_sizes=(4, 8))
        answers = [queue.submit(models["rows"], "double", row(n)) for n in range(3)]
        assert [answer.result(timeout=20)["rows"].tolist() for answer in answers] == [[4]] * 3
        assert [answer.result()["y"].item() for answer in answers] == [0, 2, 4]

    def test_without_a_size_every_request_is_by_itself(self, batcher, models):
        queue, batches = batcher(threads=1)
        answers = [queue.submit(models["rows"], "double", {"x": np.ones((n, 1), np.float32)}) for n in (3, 1)]
        assert [answer.result(timeout=20)["rows"].tolist() for answer in answers] == [[3] * 3, [1]]
        assert batches == [3, 1]

    def test_a_bad_request_fails_alone(self, batcher, models):
        queue, _ = batcher(max_batch_size=3, timeout=30, threads=1)
        good, bad, last = (queue.submit(models["rows"], "double", row(n)) for n in (1, -1, 2))
        assert good.result(timeout=20)["y"].item() == 2
        assert last.result(timeout=20)["y"].item() == 4
        with pytest.raises(tf.errors.InvalidArgumentError, match="negative"):
            bad.result(timeout=20)

    def test_outputs_that_are_not_one_a_row_come_from_the_request_alone(self, batcher, models):
        queue, _ = batcher(max_batch_size=2, timeout=30, threads=1)
        answers = [queue.submit(models["rows"], "total", row(n, 1)) for n in (3, 5)]
        assert [answer.result(timeout=20)["y"].item() for answer in answers] == [4, 6]

    def test_a_request_larger_than_any_batch(self, batcher, models):
        queue, _ = batcher(max_batch_size=4)
        with pytest.raises(RequestError, match="Task size 5 is larger than maximum input batch size 4") as raised:
            queue.submit(models["rows"], "double", {"x": np.ones((5, 1), np.float32)})
        assert raised.value.code is grpc.StatusCode.INVALID_ARGUMENT

    def test_as_many_batches_at_once_as_there_are_threads(self, batcher, models):
        queue, _ = batcher(threads=3)
        answers = [queue.submit(models["sleeper"], "sleep", {"seconds": np.float64(1.0)}) for _ in range(3)]
        while not all(answer.running() for answer in answers):
            assert not any(answer.done() for answer in answers), "one waited for another"
            time.sleep(0.001)
        for answer in answers:
            answer.result(timeout=20)


class TestLimits:
    def test_a_full_queue_refuses_until_there_is_room(self, batcher, models):
        queue, _ = batcher(threads=1, max_batch_size=2, max_enqueued_batches=2)
        occupy(queue, models, 1.0)
        waiting = [queue.submit(models["rows"], "double", row(n)) for n in range(4)]
        assert queue.waiting() == 4
        with pytest.raises(
            RequestError, match=r"^The batch scheduling queue to which this task was submitted is full$"
        ):
            queue.submit(models["rows"], "double", row(9))
        # Another signature has a queue of its own.
        other = queue.submit(models["rows"], "total", row(1, 2))
        assert [answer.result(timeout=20)["y"].item() for answer in waiting] == [0, 2, 4, 6]
        assert other.result(timeout=20)["y"].item() == 3
        assert queue.submit(models["rows"], "double", row(9)).result(timeout=20)["y"].item() == 18
        assert queue.waiting() == 0

    def test_those_whose_callers_are_gone_make_room(self, batcher, models):
        queue, batches = batcher(threads=1, max_enqueued_batches=1)
        occupy(queue, models, 1.0)
        gone = queue.submit(models["rows"], "double", row(1))
        assert gone.cancel()
        stays = queue.submit(models["rows"], "double", row(2))
        assert stays.result(timeout=20)["y"].item() == 4
        with pytest.raises(CancelledError):
            gone.result(timeout=20)
        assert batches == [1, 1], "the sleeper and the one that stayed"

    def test_a_cancelled_or_expired_request_is_not_computed(self, batcher, models):
        queue, batches = batcher(threads=1, max_batch_size=3)
        occupy(queue, models, 1.0)
        gone, late, good = (
            queue.submit(models["rows"], "double", row(n), time_remaining)
            for n, time_remaining in ((1, None), (2, 0.01), (3, 60.0))
        )
        assert gone.cancel()
        assert good.result(timeout=20)["rows"].item() == 1
        with pytest.raises(RequestError) as raised:
            late.result(timeout=20)
        assert raised.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert batches == [1, 1]

    def test_stopping_answers_what_waits_and_ends_the_threads(self, batcher, models):
        threads = threading.active_count()
        queue, _ = batcher(threads=2, max_batch_size=8, timeout=60)
        answers = [queue.submit(models["rows"], "double", row(n)) for n in range(3)]
        queue.stop()
        assert [answer.result(timeout=0)["y"].item() for answer in answers] == [0, 2, 4]
        assert threading.active_count() == threads
        with pytest.raises(RequestError) as raised:
            queue.submit(models["rows"], "double", row(1))
        assert raised.value.code is grpc.StatusCode.UNAVAILABLE

    def test_many_threads_asking_at_once_all_get_their_own(self, batcher, models):
        queue, batches = batcher(threads=2, max_batch_size=8, timeout=0.001, max_enqueued_batches=1000)
        found = {}

        def ask(start):
            for n in range(start, start + 40):
                width = 1 + n % 3
                y = queue.submit(models["rows"], "double", row(*[n] * width)).result(timeout=60)["y"]
                found[n] = y.tolist() == [[2 * n] * width]

        callers = [threading.Thread(target=ask, args=(40 * caller,)) for caller in range(12)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(found) == sum(batches) == 480
        assert all(found.values())
        assert len(batches) < 480, "nothing was merged"

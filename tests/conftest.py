import os

import pytest
from hypothesis import settings

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the tools do; one process must not differ from another
if "PYTEST_XDIST_WORKER" in os.environ:  # there is one for each core, so threads beside it only cost time
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


# A shared machine may be slow at any moment; a property holds or not whatever the time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_addoption(parser):
    group = parser.getgroup("serving")
    group.addoption(
        "--serving-target",
        metavar="HOST:PORT",
        help="ask this server, which serves --serving-zoo, in place of a local one; e.g. TensorFlow Serving",
    )
    group.addoption("--serving-zoo", metavar="DIR", help="folder of the models to serve; written if it has none")
    group.addoption(
        "--serving-malformed",
        type=int,
        default=2000,
        metavar="N",
        help="malformed requests sent (default: %(default)s)",
    )


@pytest.fixture
def determinism_off(monkeypatch):
    """Keep a run in this process from making all its later tests deterministic: slow, and some operations then fail."""
    import tensorflow as tf

    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)

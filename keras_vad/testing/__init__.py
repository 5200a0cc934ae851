"""Contracts that every method and every reader of a data set keeps; inherit them to hold your own to them.

They are classes of pytest tests and need pytest (``pip install keras_vad[testing]``).
"""

from typing import TYPE_CHECKING

import pytest

from keras_vad.common.lazy import lazy_names

if TYPE_CHECKING:
    from keras_vad.testing.dataset_contract import Contents, DatasetContract
    from keras_vad.testing.detector_contract import DetectorContract, Tiny

pytest.register_assert_rewrite("keras_vad.testing.dataset_contract", "keras_vad.testing.detector_contract")
__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Contents": "keras_vad.testing.dataset_contract",
        "DatasetContract": "keras_vad.testing.dataset_contract",
        "DetectorContract": "keras_vad.testing.detector_contract",
        "Tiny": "keras_vad.testing.detector_contract",
    },
)

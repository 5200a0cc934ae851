"""Contracts that every method and every reader of a data set keeps; inherit them to hold your own to them.

They are classes of pytest tests and need pytest (the extra ``testing``).
"""

import pytest

pytest.register_assert_rewrite("keras_vad.testing.dataset_contract", "keras_vad.testing.detector_contract")

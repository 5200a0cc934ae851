import pytest

pytest.register_assert_rewrite("keras_vad.testing.dataset_contract")

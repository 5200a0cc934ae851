import pytest
from hypothesis import settings

# Pages and ablations are tested with the contract's configurations, so it may be imported before tests/models is.
pytest.register_assert_rewrite("tests.models.detector_contract")

# A shared machine may be slow at any moment; a property holds or not whatever the time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

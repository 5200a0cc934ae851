import pytest

from tests.presets.zoo_server import make_preset, served


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test sees what this user has pulled, or the presets of the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_VAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_VAD_STORES", "")
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def there(tmp_path):
    """A zoo with a preset, to be pulled from."""
    make_preset(tmp_path / "there")
    return tmp_path / "there"


@pytest.fixture
def server(there):
    with served(there) as server:
        yield server

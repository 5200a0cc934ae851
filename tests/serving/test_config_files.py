"""The files of tensorflow_model_server, as the local server reads them."""

import os
from pathlib import Path

import pytest

from keras_vad.errors import VadError
from keras_vad_server import config
from keras_vad_server.config import ModelSettings, VersionPolicy

MODEL = 'name: "tiny" base_path: "{base}" model_platform: "tensorflow"'


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "file.config"
        path.write_text(text)
        return path

    return write


def models(*texts):
    return "model_config_list {" + "".join(f" config {{ {text} }}" for text in texts) + " }"


class TestModels:
    def test_all_fields(self, file):
        path = file(
            models(
                MODEL.format(base="/models/tiny") + " model_version_policy { specific { versions: 9 versions: 10 } }"
                ' version_labels { key: "stable" value: 9 } version_labels { key: "canary" value: 10 }',
                'name: "b" base_path: "b" model_type: TENSORFLOW model_version_policy { latest { num_versions: 2 } }',
                'name: "c" base_path: "c" model_platform: "tensorflow" model_version_policy { all { } }',
                'name: "d" base_path: "d" model_platform: "tensorflow"',
            )
        )
        assert config.read_models(path, Path("/zoo")) == [
            ModelSettings(
                "tiny",
                Path("/models/tiny"),
                VersionPolicy(specific=frozenset({9, 10})),
                {"stable": 9, "canary": 10},
            ),
            ModelSettings("b", Path("/zoo/b"), VersionPolicy(latest=2)),
            ModelSettings("c", Path("/zoo/c"), VersionPolicy(latest=None)),
            ModelSettings("d", Path("/zoo/d"), VersionPolicy(latest=1)),
        ]

    @pytest.mark.parametrize(
        ("policy", "chosen"),
        [
            (VersionPolicy(), [10]),
            (VersionPolicy(latest=2), [10, 9]),
            (VersionPolicy(latest=None), [10, 9, 1]),
            (VersionPolicy(specific=frozenset({1, 7})), [1]),
        ],
    )
    def test_policies(self, policy, chosen):
        assert policy.choose([9, 10, 1]) == chosen
        assert policy.choose([]) == []

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (models(MODEL.format(base="/a"), MODEL.format(base="/b")), "Illegal to list model tiny multiple times"),
            (models(MODEL.format(base="")), r"Expected model tiny to have an absolute path or URI; got base_path\(\)="),
            (models('name: "a" base_path: "/a"'), "Illegal setting neither .*model_type nor .*model_platform"),
            (models('name: "a" base_path: "/a" model_platform: "onnx"'), "Model a requests unsupported platform onnx"),
            (models('base_path: "/a" model_platform: "tensorflow"'), "Expected every model to have a name"),
            (models(MODEL.format(base="/a") + " model_version_policy { specific { } }"), "to name versions"),
            ("", "Only ModelConfigList is currently supported"),
            ("custom_model_config { }", "Only ModelConfigList is currently supported"),
            ("model_config_list { nope: 1 }", r'file\.config is no configuration of this kind: .*"nope"'),
        ],
    )
    def test_what_tensorflow_serving_would_not_take(self, file, text, message):
        with pytest.raises(VadError, match=message):
            config.read_models(file(text), Path())

    def test_no_file(self, tmp_path):
        with pytest.raises(VadError, match=r"nope cannot be read: No such file or directory; name another"):
            config.read_models(tmp_path / "nope", Path())

    def test_no_text(self, tmp_path):
        (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(VadError, match="binary is no configuration of this kind"):
            config.read_models(tmp_path / "binary", Path())


class TestBatching:
    def test_all_fields(self, file):
        path = file(
            "max_batch_size { value: 8 } batch_timeout_micros { value: 2500 } max_enqueued_batches { value: 3 } "
            "num_batch_threads { value: 5 } allowed_batch_sizes: 2 allowed_batch_sizes: 8 "
            'pad_variable_length_inputs: true thread_pool_name { value: "pool" }'
        )
        assert config.read_batching(path) == config.BatchingOptions(8, 0.0025, 3, 5, (2, 8))

    def test_what_it_leaves_out_is_as_in_tensorflow_serving(self, file):
        assert config.read_batching(file("")) == config.BatchingOptions(1000, 0.0, 10, os.cpu_count(), ())

    def test_sizes_fill_up(self):
        options = config.BatchingOptions(8, allowed_sizes=(2, 4, 8))
        assert [options.padded(rows) for rows in (1, 2, 3, 8)] == [2, 2, 4, 8]
        assert config.BatchingOptions(8).padded(3) == 3

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("max_batch_size { value: 0 }", "has max_batch_size: 0, but it is expected to be at least 1"),
            ("batch_timeout_micros { value: -1 }", "has batch_timeout_micros: -1"),
            ("max_enqueued_batches { value: 0 }", "has max_enqueued_batches: 0"),
            ("num_batch_threads { value: 0 }", "has num_batch_threads: 0"),
            ("max_batch_size { value: 8 } allowed_batch_sizes: [4]", r"has allowed_batch_sizes: \[4\].* end with .* 8"),
            ("max_batch_size { value: 8 } allowed_batch_sizes: [4, 2, 8]", "ascending"),
            ("max_batch_size: 8", "is no configuration of this kind"),
        ],
    )
    def test_numbers_that_make_no_sense(self, file, text, message):
        with pytest.raises(VadError, match=message):
            config.read_batching(file(text))


class TestMonitoring:
    @pytest.mark.parametrize(
        ("text", "path"),
        [
            ("prometheus_config { enable: true }", "/monitoring/prometheus/metrics"),
            ('prometheus_config { enable: true path: "/metrics" }', "/metrics"),
            ("prometheus_config { enable: false }", None),
            ("", None),
        ],
    )
    def test_path(self, file, text, path):
        assert config.read_metrics_path(file(text)) == path

    def test_no_path(self, file):
        with pytest.raises(VadError, match="has path: metrics, but it is expected to be a path that begins with /"):
            config.read_metrics_path(file('prometheus_config { enable: true path: "metrics" }'))


class TestTls:
    KEYS = 'server_key: "-----BEGIN KEY" server_cert: "-----BEGIN CERT"'

    def test_all_fields(self, file):
        tls = config.read_tls(file(f'{self.KEYS} custom_ca: "-----BEGIN CA" client_verify: true'))
        assert tls == config.Tls(b"-----BEGIN KEY", b"-----BEGIN CERT", b"-----BEGIN CA", True)
        assert "KEY" not in repr(tls), "keys do not belong in logs"

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ('server_cert: "-----BEGIN CERT"', "server_key"),
            ('server_key: "-----BEGIN KEY" server_cert: "server.crt"', "server_cert"),
            (f"{KEYS} client_verify: true", "custom_ca"),
        ],
    )
    def test_what_is_missing(self, file, text, name):
        with pytest.raises(VadError, match=f"has {name}: nothing, but it is expected to be a PEM text"):
            config.read_tls(file(text))

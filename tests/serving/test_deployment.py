"""Configuration made from a zoo, read back with TensorFlow Serving's own message definitions."""

import json
import shutil
import stat
import subprocess

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from keras_vad.errors import VadError
from keras_vad_server.deployment import batching_parameters
from keras_vad_server.protos import BatchingParameters, MonitoringConfig, SSLConfig
from tests.command import verb

main = verb("serving-config")

SMALL = {"height": 64, "width": 96, "channels": 1, "length": 16, "chunk_length": 64}
LARGE = {"height": 256, "width": 256, "channels": 3, "length": 16, "chunk_length": 64}


@pytest.fixture
def zoo(tmp_path):
    """`street` in versions 2, 9 and 10, `gate` in version 1 without a card, and what a zoo holds besides."""
    zoo = tmp_path / "zoo"
    for name, version in (("street", 2), ("street", 9), ("street", 10), ("gate", 1)):
        folder = zoo / name / str(version)
        (folder / "assets.extra").mkdir(parents=True)
        (folder / "saved_model.pb").touch()
        if name == "street":
            (folder / "assets.extra" / "model_card.json").write_text(json.dumps({"input": SMALL}))
    (zoo / "results.csv").touch()
    (zoo / "street" / "11").mkdir()  # no SavedModel
    (zoo / "street" / ".12.partial").mkdir()
    (zoo / "street" / ".12.partial" / "saved_model.pb").touch()
    (zoo / "street" / "model_card.json").touch()
    return zoo


def read(path, message):
    return text_format.Parse(path.read_text("ascii"), message())


def models(folder):
    config = read(folder / "models.config", model_server_config_pb2.ModelServerConfig)
    return {model.name: model for model in config.model_config_list.config}


def configure(zoo, *arguments):
    output = zoo.parent / "config"
    assert main(["--zoo", str(zoo), "--output", str(output), *arguments]) == 0
    return output


def test_the_newest_version_is_the_canary_and_the_one_before_it_stable(zoo, capsys):
    found = models(configure(zoo))
    assert list(found) == ["gate", "street"]
    street = found["street"]
    assert (street.base_path, street.model_platform) == ("/models/street", "tensorflow")
    assert list(street.model_version_policy.specific.versions) == [9, 10]
    assert dict(street.version_labels) == {"stable": 9, "canary": 10}
    assert list(found["gate"].model_version_policy.specific.versions) == [1]
    assert dict(found["gate"].version_labels) == {"stable": 1, "canary": 1}
    assert capsys.readouterr().out.splitlines()[:2] == ["gate: canary 1, stable 1", "street: canary 10, stable 9"]


@pytest.mark.parametrize(("stable", "versions"), [(2, [2, 10]), (10, [10])])
def test_a_chosen_stable_version(zoo, stable, versions):
    street = models(configure(zoo, "--stable", f"street={stable}", "--base-path", "/srv/zoo/"))["street"]
    assert street.base_path == "/srv/zoo/street"
    assert list(street.model_version_policy.specific.versions) == versions
    assert dict(street.version_labels) == {"stable": stable, "canary": 10}


def test_a_label_moves_only_to_a_version_that_was_served_before(zoo, capsys):
    """A server refuses a file that moves a label to a version that it has yet to load."""

    def found(*arguments):
        street = models(configure(zoo, "--model", "street", *arguments))["street"]
        return list(street.model_version_policy.specific.versions), dict(street.version_labels)

    first = found()
    assert first == ([9, 10], {"stable": 9, "canary": 10})
    (zoo / "street" / "12").mkdir()
    (zoo / "street" / "12" / "saved_model.pb").touch()
    capsys.readouterr()
    assert found() == ([10, 12], {"stable": 10, "canary": 10})
    assert "street: version 12 is loaded first; when the server says" in capsys.readouterr().out
    assert found() == ([10, 12], {"stable": 10, "canary": 12})
    assert "loaded first" not in capsys.readouterr().out
    assert found("--stable", "street=2") == ([2, 10, 12], {"stable": 10, "canary": 12})
    assert found("--stable", "street=2") == ([2, 12], {"stable": 2, "canary": 12})
    shutil.rmtree(zoo / "street" / "2")
    assert found("--stable", "street=9") == ([9, 12], {"stable": 9, "canary": 12})  # a label has nothing to keep


def test_what_is_no_configuration_is_not_overwritten(zoo):
    output = configure(zoo)
    (output / "models.config").write_text("street: 10")
    with pytest.raises(VadError, match=r"models.config cannot be read as models.config \(.*\); delete it"):
        main(["--zoo", str(zoo), "--output", str(output)])
    assert (output / "models.config").read_text() == "street: 10"


def test_the_newest_versions_have_no_labels_that_could_be_unloaded(zoo):
    found = models(configure(zoo, "--policy", "latest", "--keep", "3", "--model", "street"))
    assert list(found) == ["street"]
    assert found["street"].model_version_policy.latest.num_versions == 3
    assert not found["street"].version_labels


def test_all_versions(zoo):
    street = models(configure(zoo, "--policy", "all"))["street"]
    assert street.model_version_policy.WhichOneof("policy_choice") == "all"
    assert dict(street.version_labels) == {"stable": 9, "canary": 10}


def test_every_written_file_is_one_of_tensorflow_serving(zoo):
    output = configure(zoo, "--cpus", "4", "--memory-gib", "8")
    batching = read(output / "batching.config", BatchingParameters)
    assert batching.num_batch_threads.value == 4
    assert batching.max_batch_size.value >= 1
    assert 0 < batching.batch_timeout_micros.value <= 10_000
    assert batching.max_enqueued_batches.value >= 4
    assert not batching.pad_variable_length_inputs
    assert read(output / "monitoring.config", MonitoringConfig).prometheus_config.enable
    assert {path.name for path in output.iterdir()} == {
        *("models.config", "batching.config", "monitoring.config", "ready.sh")
    }
    configure(zoo, "--cpus", "1")  # again: the files are replaced
    assert read(output / "batching.config", BatchingParameters).num_batch_threads.value == 1


def test_what_waits_fits_into_the_memory():
    for memory in (0.5, 1, 2, 4, 8, 64):
        for cpus in (1, 2, 16):
            for together in (1, 8):
                batching = batching_parameters([SMALL, LARGE], cpus, memory, together)
                assert batching.max_batch_size.value == together
                sent = batching.max_enqueued_batches.value * together * 64 * 256 * 256 * 3
                assert batching.max_enqueued_batches.value == cpus or sent <= memory * 2**30 / 8
    waiting = [batching_parameters([one]).max_enqueued_batches.value for one in (SMALL, LARGE)]
    assert waiting[0] > waiting[1]
    short = {**SMALL, "chunk_length": 16}
    assert batching_parameters([short]).batch_timeout_micros.value == 2560  # a 250th of 0.64 s
    assert batching_parameters([]) == batching_parameters([LARGE])


def test_tls_keys_go_into_a_file_that_only_the_owner_reads(zoo):
    folder = zoo.parent
    for name in ("server", "authority"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-subj", "/CN=localhost", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
    keys = ["--tls-key", str(folder / "server.key"), "--tls-cert", str(folder / "server.crt")]
    output = configure(zoo, *keys)
    ssl = read(output / "ssl.config", SSLConfig)
    assert ssl.server_key == (folder / "server.key").read_text()
    assert ssl.server_cert == (folder / "server.crt").read_text()
    assert (ssl.custom_ca, ssl.client_verify) == ("", False)
    assert stat.S_IMODE((output / "ssl.config").stat().st_mode) == 0o600

    ssl = read(configure(zoo, *keys, "--client-ca", str(folder / "authority.crt")) / "ssl.config", SSLConfig)
    assert (ssl.custom_ca, ssl.client_verify) == ((folder / "authority.crt").read_text(), True)

    with pytest.raises(VadError, match=r"server.crt holds no PRIVATE KEY; give a PEM file with one"):
        configure(zoo, "--tls-key", str(folder / "server.crt"), "--tls-cert", str(folder / "server.crt"))
    with pytest.raises(VadError, match=r"nope cannot be read \(No such file or directory\)"):
        configure(zoo, "--tls-key", "nope", "--tls-cert", str(folder / "server.crt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nope"], r"has no model 'nope'; it holds gate, street"),
        (["--stable", "street=7"], r"model street has no version 7 to call stable; it has 2, 9, 10"),
        (["--stable", "nope=1"], r"no model 'nope' is served that could have a stable version; gate, street are"),
        (["--stable", "street"], r"--stable is 'street', but must be NAME=VERSION"),
        (["--stable", "street=9", "--policy", "latest"], r"the policy 'latest' has no labels"),
        (["--policy", "latest", "--keep", "0"], r"versions to keep is 0, but must be at least 1"),
        (["--cpus", "0"], r"the server gets 0 processors and 4 GiB, but needs at least one"),
        (["--tls-key", "server.key"], r"TLS needs --tls-key and --tls-cert together"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_file_is_written(zoo, arguments, message):
    with pytest.raises(VadError, match=message):
        configure(zoo, *arguments)
    assert not (zoo.parent / "config").exists()


def test_an_empty_zoo(tmp_path):
    with pytest.raises(VadError, match=r"holds no models; export one with keras-vad export"):
        configure(tmp_path)

"""Versions come and go under a server: published, damaged, mended, labelled, reloaded."""

import errno
import os
import shutil
import threading
import weakref

import grpc
import pytest
import tensorflow as tf
from asking import predict_request, refused, states, status_request, video
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from keras_vad.errors import VadError
from keras_vad_server.config import ModelSettings, VersionPolicy, read_models
from keras_vad_server.models import WARM_UP_FILE, ServedModel
from keras_vad_server.status import RequestError
from keras_vad_server.store import ModelStore
from tests.command import verb

serving_config = verb("serving-config")

Code = grpc.StatusCode


@pytest.fixture
def own_zoo(zoo, tmp_path):
    """A zoo to publish into: `tiny` 9."""
    shutil.copytree(zoo / "tiny" / "9", tmp_path / "zoo" / "tiny" / "9")
    return tmp_path / "zoo"


@pytest.fixture
def publish(zoo, own_zoo):
    """Makes a version appear whole, as `export` does, or damaged."""

    def publish(version, source="tiny/10", name="tiny", damage=None):
        target = own_zoo / name / str(version)
        partial = target.with_name(f".{version}.partial")
        shutil.copytree(zoo / source, partial)
        if damage is not None:
            damage(partial)
        partial.rename(target)
        return target

    return publish


def truncated(folder):
    content = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(content[: len(content) // 2])


def without_variables(folder):
    shutil.rmtree(folder / "variables")


def with_short_variables(folder):
    (data,) = (folder / "variables").glob("variables.data*")
    os.truncate(data, 1)


def loaded(zoo, **options):
    store = ModelStore(zoo, **options)
    store.refresh()
    return store


def known(store, name="tiny"):
    return {status.version: status.state.name for status in store.statuses(name)}


class TestPolling:
    def test_a_new_version_takes_over(self, own_zoo, publish):
        store = loaded(own_zoo)
        publish(10)
        store.poll()
        assert known(store) == {9: "END", 10: "AVAILABLE"}

    def test_a_new_model_is_served_and_one_that_is_gone_is_not(self, own_zoo, publish):
        store = loaded(own_zoo)
        publish(1, "other/1", name="other")
        shutil.rmtree(own_zoo / "tiny")
        store.poll()
        assert [(model.name, model.version) for model in store.models()] == [("other", 1)]
        assert known(store) == {9: "END"}

    def test_a_version_that_is_taken_back(self, own_zoo, publish):
        new = publish(10)
        store = loaded(own_zoo)
        shutil.rmtree(new)
        store.poll()
        assert known(store) == {9: "AVAILABLE", 10: "END"}

    def test_a_model_that_cannot_be_read_for_a_moment_is_kept(self, own_zoo, monkeypatch):
        store = ModelStore(own_zoo)
        store.refresh()

        def stale(folder):
            raise OSError(errno.ESTALE, "Stale file handle")

        monkeypatch.setattr("keras_vad_server.store._numbered", stale)
        store.poll()
        assert store.versions("tiny") == [9]

    def test_a_replaced_model_leaves_the_memory_after_its_last_request(self, own_zoo, publish):
        store = ModelStore(own_zoo)
        store.refresh()
        with store.lease("tiny") as model:
            old = weakref.ref(model)
            publish(10)
            store.poll()
            del model
        store.poll()
        assert old() is None

    def test_a_folder_that_is_gone_for_a_moment_changes_nothing(self, own_zoo):
        store = loaded(own_zoo)
        own_zoo.rename(own_zoo.with_name("away"))
        store.poll()
        assert known(store) == {9: "AVAILABLE"}

    def test_a_version_that_is_being_written_is_none(self, own_zoo, zoo):
        store = loaded(own_zoo)
        shutil.copytree(zoo / "tiny" / "10", own_zoo / "tiny" / ".10.123.partial")
        (own_zoo / "tiny" / "tmp").mkdir()
        (own_zoo / "tiny" / "11").write_text("a file")
        store.poll()
        assert known(store) == {9: "AVAILABLE"}

    @pytest.mark.parametrize("damage", [truncated, without_variables, with_short_variables])
    def test_a_damaged_version_replaces_nothing_until_it_is_mended(self, own_zoo, publish, zoo, damage, caplog):
        store = loaded(own_zoo)
        folder = publish(10, damage=damage)
        store.poll()
        assert known(store) == {9: "AVAILABLE", 10: "END"}
        (status,) = [status for status in store.statuses("tiny") if status.error]
        assert status.error.startswith(f"{folder} cannot be served: ")
        assert [record.levelname for record in caplog.records if record.version == 10] == ["ERROR"]
        store.poll()
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1, "tried again for nothing"
        shutil.rmtree(folder)
        shutil.copytree(zoo / "tiny" / "10", folder)
        store.poll()
        assert known(store) == {9: "END", 10: "AVAILABLE"}

    def test_an_old_version_stays_while_a_request_runs(self, own_zoo, publish):
        store = loaded(own_zoo)
        publish(10)
        with store.lease("tiny") as old:
            store.poll()
            assert old.version == 9
            assert known(store) == {9: "UNLOADING", 10: "AVAILABLE"}
            with pytest.raises(RequestError, match=r"Specific\(tiny, 9\)"), store.lease("tiny", 9):
                pass
            with store.lease("tiny") as new:
                assert new.version == 10
        assert known(store) == {9: "END", 10: "AVAILABLE"}

    def test_watching_is_polling_in_a_thread_that_ends(self, own_zoo, publish):
        threads = threading.active_count()
        store = loaded(own_zoo)
        store.watch(0.05)
        publish(10)
        available = threading.Event()
        while known(store).get(10) != "AVAILABLE":
            available.wait(0.05)
        store.close()
        assert threading.active_count() == threads

    def test_what_has_ended_is_forgotten_after_a_while(self, own_zoo):
        store = loaded(own_zoo)
        for version in range(10, 24):
            (own_zoo / "tiny" / str(version)).mkdir()
            store.poll()
        assert known(store) == {9: "AVAILABLE", **dict.fromkeys(range(14, 24), "END")}


class TestPolicies:
    @pytest.mark.parametrize(
        ("policy", "served"),
        [
            (VersionPolicy(latest=None), [1, 9, 10]),
            (VersionPolicy(latest=2), [9, 10]),
            (VersionPolicy(specific=frozenset({1, 9})), [1, 9]),
        ],
    )
    def test_versions_served(self, own_zoo, publish, policy, served):
        publish(10)
        publish(1)
        store = loaded(own_zoo, models=[ModelSettings("t", own_zoo / "tiny", policy)])
        assert store.versions("t") == served
        assert store.versions("tiny") == []

    @pytest.mark.parametrize("folder", ["tiny", "nope"])
    def test_no_version_to_serve(self, own_zoo, folder):
        settings = ModelSettings("t", own_zoo / folder, VersionPolicy(specific=frozenset({7})))
        with pytest.raises(VadError, match=f"the model t has no version to serve below .*{folder}; export it there"):
            ModelStore(own_zoo, [settings]).refresh()

    def test_files_of_the_tool_bring_a_new_version_in(self, own_zoo, publish):
        """What tools/serving_config.py writes after an export is taken each time, and moves the canary at the end."""

        def settings():
            folders = {"--zoo": own_zoo, "--base-path": own_zoo, "--output": own_zoo.parent / "config"}
            assert serving_config([str(word) for pair in folders.items() for word in pair]) == 0
            return read_models(own_zoo.parent / "config" / "models.config", own_zoo)

        store = ModelStore(own_zoo, settings(), any_labels=True)
        store.refresh()
        publish(10)
        for canary in (9, 10):
            store.reload(settings())
            assert store.versions("tiny") == [9, 10]
            for label, version in (("stable", 9), ("canary", canary)):
                with store.lease("tiny", label=label) as model:
                    assert model.version == version

    @pytest.mark.parametrize("any_labels", [False, True])
    def test_a_label_without_its_version(self, own_zoo, any_labels):
        store = ModelStore(own_zoo, [ModelSettings("t", own_zoo / "tiny", labels={"stable": 10})], any_labels)
        if any_labels:
            store.refresh()
            with pytest.raises(RequestError, match=r"Specific\(t, 10\)"), store.lease("t", label="stable"):
                pass
        else:
            with pytest.raises(VadError, match="Request to assign label to version 10 of model t, which is not"):
                store.refresh()


class TestWarmUp:
    def write(self, folder, request):
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.CopyFrom(request)
        (folder / WARM_UP_FILE).parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(folder / WARM_UP_FILE)) as writer:
            writer.write(log.SerializeToString())

    def test_requests_that_came_with_the_model_are_answered(self, publish):
        folder = publish(10)
        self.write(folder, predict_request({"frames": video()[None]}))
        assert ServedModel("tiny", 10, folder).version == 10

    def test_a_model_that_cannot_answer_them_is_not_served(self, publish):
        folder = publish(10)
        self.write(folder, predict_request({"frames": video(3)[None]}))
        with pytest.raises(VadError, match=r"10 cannot be served: .*a chunk must have at least 4 frames"):
            ServedModel("tiny", 10, folder)


class TestOverGrpc:
    @pytest.fixture
    def channel(self, own_zoo, publish, start):
        publish(10)
        policy = VersionPolicy(latest=None)
        store = loaded(own_zoo, models=[ModelSettings("tiny", own_zoo / "tiny", policy, {"stable": 9, "canary": 10})])
        channel = start(store)
        channel.store = store
        return channel

    def reload(self, channel, text):
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(text, request.config)
        return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest, request

    def config(self, zoo, *, labels="", policy="all { }", name="tiny", folder="tiny"):
        return (
            f'config {{ name: "{name}" base_path: "{zoo / folder}" model_platform: "tensorflow" '
            f"model_version_policy {{ {policy} }} {labels} }}"
        )

    def served(self, channel, **spec):
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        request = predict_request({"frames": video()[None]}, **spec)
        return stub.Predict(request, timeout=60).model_spec.version.value

    def test_versions_by_label(self, channel):
        assert self.served(channel, label="stable") == 9
        assert self.served(channel, label="canary") == 10
        assert self.served(channel) == 10

    def test_status_ignores_labels_and_tells_the_newest_first(self, channel):
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        request = status_request("tiny")
        assert [s.version for s in stub.GetModelStatus(request, timeout=60).model_version_status] == [10, 9]
        request.model_spec.version_label = "stable"
        assert [s.version for s in stub.GetModelStatus(request, timeout=60).model_version_status] == [10, 9]

    def test_reload_moves_labels_and_changes_policies(self, channel, own_zoo):
        labels = 'version_labels { key: "stable" value: 10 }'
        call, request = self.reload(channel, f"model_config_list {{ {self.config(own_zoo, labels=labels)} }}")
        assert call(request, timeout=60).status.error_code == 0
        assert self.served(channel, label="stable") == 10
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert refused(stub.Predict, predict_request({}, label="canary")) == (
            Code.INVALID_ARGUMENT,
            "Unrecognized servable version label: canary",
        )
        call, request = self.reload(
            channel, f"model_config_list {{ {self.config(own_zoo, policy='latest { num_versions: 1 }')} }}"
        )
        call(request, timeout=60)
        assert states(channel) == {9: "END", 10: "AVAILABLE"}

    def test_reload_adds_and_removes_models(self, channel, own_zoo, publish):
        publish(1, "other/1", name="other")
        added = self.config(own_zoo, name="second", folder="other")
        call, request = self.reload(channel, f"model_config_list {{ {self.config(own_zoo)} {added} }}")
        call(request, timeout=60)
        assert self.served(channel, name="second") == 1
        call, request = self.reload(channel, f"model_config_list {{ {added} }}")
        call(request, timeout=60)
        assert states(channel) == {9: "END", 10: "END"}
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert refused(stub.Predict, predict_request({}))[0] is Code.NOT_FOUND

    def test_a_refused_reload_changes_nothing(self, channel, own_zoo):
        labels = 'version_labels { key: "stable" value: 10 } version_labels { key: "canary" value: 11 }'
        for text, code, message in (
            (
                f"model_config_list {{ {self.config(own_zoo, labels=labels)} }}",
                Code.FAILED_PRECONDITION,
                "Request to assign label to version 11 of model tiny, which is not currently available for inference",
            ),
            (
                f"model_config_list {{ {self.config(own_zoo)} {self.config(own_zoo)} }}",
                Code.INVALID_ARGUMENT,
                "Illegal to list model tiny multiple times in config list",
            ),
            (
                "",
                Code.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported",
            ),
        ):
            assert refused(*self.reload(channel, text)) == (code, message)
        assert self.served(channel, label="stable") == 9
        assert self.served(channel, label="canary") == 10

    def test_a_new_model_without_a_version_is_unknown_and_the_rest_is_served(self, channel, own_zoo):
        new = self.config(own_zoo, name="new", folder="nope")
        code, message = refused(*self.reload(channel, f"model_config_list {{ {self.config(own_zoo)} {new} }}"))
        assert code is Code.UNKNOWN
        assert message == "1 model(s) did not become available: {{name: new has no version to serve}}"
        assert self.served(channel) == 10

    def test_a_damaged_version_is_told_with_its_error(self, channel, publish):
        publish(11, damage=truncated)
        channel.store.poll()
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        (status,) = stub.GetModelStatus(status_request("tiny", 11), timeout=60).model_version_status
        assert status.state == get_model_status_pb2.ModelVersionStatus.END
        assert status.status.error_code == Code.UNKNOWN.value[0]
        assert "11 cannot be served" in status.status.error_message
        assert self.served(channel) == 10

    def test_a_version_is_loading_and_the_old_one_is_served_meanwhile(self, channel, publish):
        publish(12)
        poll = threading.Thread(target=channel.store.poll)
        poll.start()
        seen = set()
        while poll.is_alive():
            seen.add(states(channel).get(12))
            assert self.served(channel) in (10, 12)
        poll.join()
        assert "LOADING" in seen
        assert self.served(channel) == 12

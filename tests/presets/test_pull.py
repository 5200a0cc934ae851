"""Pulling presets from folders, from a real web server that may misbehave, and from an object store."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import fsspec
import pytest

import keras_vad
from keras_vad.errors import VadError
from keras_vad.presets.index import read_index
from keras_vad.presets.pull import is_intact, list_presets, pull
from tests.command import verb
from tests.data.media import file_size_limit
from tests.environment import PATHS, ROOT
from tests.presets.zoo_server import cut, cut_from_the_start, endless, instead, make_preset, moved, served, stall, whole

main = verb("pull")
presets = verb("presets")

DETECTOR = "presets/street/1/detector.keras"


def contents(folder):
    """Every file below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_from_a_folder(there, tmp_path):
    target = pull("street", zoo=tmp_path / "here", stores=[there])
    assert target == tmp_path / "here" / "presets" / "street" / "1"
    assert contents(tmp_path / "here") == contents(there), "what was pulled is a zoo that can be pulled from"
    again = pull("street", zoo=tmp_path / "farther", stores=[tmp_path / "here"])
    assert contents(again) == contents(target)
    assert pull("street", zoo=tmp_path / "third", stores=[there.as_uri()]).is_dir()


def test_over_http(server, there, tmp_path):
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert contents(tmp_path / "here") == contents(there)
    assert [path for path, _ in server.requests] == ["index.json", DETECTOR, "presets/street/1/model_card.json"]
    pull("street", zoo=tmp_path / "here", stores=[f"{server.address}/"])
    assert [path for path, _ in server.requests[3:]] == ["index.json"], "what is here is not sent again"


def test_from_an_object_store(there, tmp_path):
    store = fsspec.filesystem("memory")
    store.put(str(there), "/bucket/zoo", recursive=True)
    try:
        pull("street", zoo=tmp_path / "here", stores=["memory://bucket/zoo"])
        assert contents(tmp_path / "here") == contents(there)
        store.rm("/bucket/zoo/presets/street/1/model_card.json")
        with pytest.raises(VadError, match=r"memory://bucket/zoo has no presets/street/1/model_card.json; try again"):
            pull("street", zoo=tmp_path / "other", stores=["memory://bucket/zoo"])
        assert read_index(tmp_path / "other") == []
    finally:
        store.rm("/bucket", recursive=True)
    with pytest.raises(VadError, match=r"nonsense://zoo is no store of presets .*; name a folder or an address"):
        pull("street", zoo=tmp_path / "here", stores=["nonsense://zoo"])
    with pytest.raises(
        VadError, match=r"s3://bucket cannot be read .*install keras_vad\[objects\], and what fsspec needs"
    ):
        pull("street", zoo=tmp_path / "here", stores=["s3://key:secret@bucket"])


def test_names_versions_and_patterns(there, tmp_path):
    make_preset(there, "street", 10, seed=1)
    make_preset(there, "street", 9, seed=2)
    make_preset(there, "yard_ped2", 1, seed=3)
    assert list_presets(zoo=there) == ["street", "yard_ped2"]
    assert list_presets("*ped2*", zoo=tmp_path, stores=[there]) == ["yard_ped2"]
    assert keras_vad.list_presets("*ped1*", zoo=there) == []
    assert pull("street", stores=[there]) == tmp_path / "cache" / "zoo" / "presets" / "street" / "10"
    assert pull("street/9", stores=[there]).name == "9"
    assert list_presets(zoo=tmp_path / "nowhere") == ["street"], "what was pulled before is listed without a store"
    for name, message in (
        (
            "avenue",
            rf"there is no preset 'avenue': {there} has street, yard_ped2; choose one of these, or name another",
        ),
        ("street/2", "there is no preset 'street/2'"),
        ("*", r"'\*' is a pattern, but one preset is pulled at a time"),
        ("../street", "there is no preset '../street'"),
    ):
        with pytest.raises(VadError, match=message):
            pull(name, stores=[there])
    with pytest.raises(VadError, match="no store of presets is known: set KERAS_VAD_STORES to the"):
        pull("avenue")


def test_the_sources_of_the_environment(there, server, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_VAD_STORES", f"{tmp_path / 'none'}, {server.address}")
    assert list_presets() == ["street"]
    assert pull("street").is_dir()


def test_the_zoo_of_the_checkout_is_the_store_where_none_is_told(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_VAD_STORES")
    with pytest.raises(VadError, match=f"there is no preset 'no_such': {ROOT / 'zoo'} has "):
        pull("no_such", zoo=tmp_path)


def test_a_broken_transfer_goes_on_where_it_broke(server, there, tmp_path):
    server.faults[DETECTOR] = [cut(100_000), cut(50_000)]
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert server.asked("detector.keras") == [None, "bytes=100000-", "bytes=150000-"]
    assert contents(tmp_path / "here") == contents(there)


def test_a_server_without_ranges(server, there, tmp_path):
    server.faults[DETECTOR] = [cut(100_000), whole]
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert contents(tmp_path / "here") == contents(there)


def test_a_server_without_ranges_that_breaks_off_again_and_again(server, tmp_path):
    server.faults[DETECTOR] = [cut_from_the_start(count) for count in (1000, 2000, 500, 1500, 500, 1500)]
    with pytest.raises(VadError, match="has sent 2000 of the 300000 bytes"):
        pull("street", zoo=tmp_path / "here", stores=[server.address])


def test_a_busy_server_is_asked_again(server, there, tmp_path):
    server.faults["index.json"] = [503]
    server.faults[DETECTOR] = [500, 429]
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert contents(tmp_path / "here") == contents(there)


def test_an_interrupted_pull_is_taken_up_by_the_next(server, there, tmp_path):
    server.faults[DETECTOR] = [cut(120_000), *[cut(0)] * 4]
    with pytest.raises(VadError) as caught:
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert str(caught.value).startswith(
        f"the preset street/1 could not be pulled: {server.address} has sent 120000 of the 300000 bytes of {DETECTOR}, "
        "no more come ("
    )
    assert str(caught.value).endswith("; try again later, or name another store.")
    assert list_presets(zoo=tmp_path / "here") == []
    assert not (tmp_path / "here" / "presets").exists()
    server.requests.clear()
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert server.asked("detector.keras") == ["bytes=120000-"]
    assert contents(tmp_path / "here") == contents(there), "and nothing else is left"


def test_a_wrong_file_is_refused_and_leaves_nothing(server, there, tmp_path):
    data = (there / DETECTOR).read_bytes()
    server.faults[DETECTOR] = [instead(data[::-1])]
    with pytest.raises(VadError) as caught:
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert str(caught.value) == (
        f"the preset street/1 could not be pulled: {DETECTOR} of {server.address} is not what the index says: its "
        f"SHA-256 is not {read_index(there)[0].files[0].sha256}; try again later, or name another store."
    )
    assert contents(tmp_path / "here") == {}


@pytest.mark.parametrize("fault", [endless, instead(bytes(300_001))], ids=["endless", "longer"])
def test_more_than_was_promised_is_refused(server, tmp_path, fault):
    server.faults[DETECTOR] = [fault]
    with pytest.raises(VadError, match=f"sends more for {DETECTOR} than the 300000 bytes of the"):
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert sum(map(len, contents(tmp_path / "here").values())) == 0


def test_a_truncated_file_on_the_server(server, there, tmp_path):
    data = (there / DETECTOR).read_bytes()
    (there / DETECTOR).write_bytes(data[:1000])
    with pytest.raises(VadError, match=f"{server.address} has only 1000 bytes of {DETECTOR}"):
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert not (tmp_path / "here" / "presets").exists()
    (there / DETECTOR).write_bytes(data)
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert contents(tmp_path / "here") == contents(there)


def test_a_part_of_something_else_is_thrown_away(server, there, tmp_path):
    server.faults[DETECTOR] = [instead(bytes(1000)), *[cut(0)] * 4]
    with pytest.raises(VadError, match="has sent 1000 of the 300000 bytes"):
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert contents(tmp_path / "here") == contents(there)


def test_mirrors_help_out(server, there, tmp_path):
    mirror = tmp_path / "mirror"
    pull("street", zoo=mirror, stores=[there])
    server.faults[DETECTOR] = [404]
    server.faults["presets/street/1/model_card.json"] = [instead(b"{}")]
    (mirror / "index.json").unlink()
    pull("street", zoo=tmp_path / "here", stores=[tmp_path / "none", server.address, mirror])
    assert contents(tmp_path / "here") == contents(there)


def test_nobody_answers(there, tmp_path):
    with served(there) as server:
        address = server.address
    with pytest.raises(VadError) as caught:
        pull("street", zoo=tmp_path / "here", stores=[address.replace("//", "//me:secret@")])
    assert str(caught.value) == (
        f"there is no preset 'street': {address} cannot be reached ([Errno 111] Connection refused); try again later, "
        "or name another store."
    )
    assert not (tmp_path / "here").exists()


def test_without_a_network_what_is_here_is_listed(there, tmp_path, caplog):
    pull("street", stores=[there])
    with caplog.at_level(logging.WARNING):
        assert list_presets(stores=["http://127.0.0.1:9"]) == ["street"]
        assert list_presets(stores=[tmp_path / "nowhere"]) == ["street"]
    assert "http://127.0.0.1:9 cannot be reached" in caplog.text
    assert f"there is no zoo folder {tmp_path / 'nowhere'}" in caplog.text


def test_through_a_proxy(server, there, tmp_path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    pull("street", zoo=tmp_path / "here", stores=["http://zoo.invalid"])
    assert contents(tmp_path / "here") == contents(there)
    assert server.hosts == {"zoo.invalid"}


def test_encrypted(server, there, tmp_path, monkeypatch):
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    words += ["-subj", "/CN=zoo", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out", "certificate"]
    subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)
    both = tmp_path / "both"
    both.write_text((tmp_path / "key").read_text() + (tmp_path / "certificate").read_text())
    with served(there, both) as encrypted:
        with pytest.raises(VadError, match=r"cannot be reached \(.*certificate verify failed: self-signed certificate"):
            pull("street", zoo=tmp_path / "here", stores=[encrypted.address])
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate"))
        encrypted.faults["index.json"] = [moved(f"{server.address}/index.json")]
        with pytest.raises(VadError, match=f"leads to {server.address}/index.json, which is not encrypted"):
            pull("street", zoo=tmp_path / "here", stores=[encrypted.address])
        pull("street", zoo=tmp_path / "here", stores=[encrypted.address])
    assert contents(tmp_path / "here") == contents(there)


def test_a_redirect(server, there, tmp_path):
    server.faults[DETECTOR] = [moved(f"{server.address}/{DETECTOR}")]
    pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert contents(tmp_path / "here") == contents(there)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<html>not found</html>", "has no index of presets"),
        ('{"format": 1}', "has no index of presets"),
        ("[" * 100_000, "has no index of presets"),
        (" " * (1 << 24) + "  ", "is longer than 16777216 bytes"),
        ('{"format": 2, "presets": []}', "has an index of format 2, but this version of keras_vad reads format 1"),
    ],
    ids=["html", "incomplete", "deep", "huge", "newer"],
)
def test_something_else_in_place_of_an_index(server, there, tmp_path, text, reason):
    (there / "index.json").write_text(text)
    with pytest.raises(VadError, match=reason):
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../../street"),
        ("name", "/street"),
        ("version", "../1"),
        ("version", True),
        ("version", 0),
        ("file", "../../../../evil"),
        ("file", "/tmp/evil"),
        ("file", "..\\evil"),
        ("file", ".."),
        ("file", ""),
        ("file", 7),
        ("size", -1),
        ("size", "300000"),
        ("sha256", "../evil"),
        ("sha256", None),
    ],
)
def test_an_index_that_leads_out_of_the_zoo(server, there, tmp_path, key, value):
    index = json.loads((there / "index.json").read_text())
    entry = index["presets"][0]
    if key in entry:
        entry[key] = value
    else:
        entry["files"][0]["name" if key == "file" else key] = value
    (there / "index.json").write_text(json.dumps(index))
    with pytest.raises(VadError, match=f"^(there is no preset|the index of )?.*{server.address}") as caught:
        pull("street", zoo=tmp_path / "here", stores=[server.address])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "here").exists()
    assert not (tmp_path / "evil").exists()


def test_a_version_never_changes(there, tmp_path):
    target = pull("street", zoo=tmp_path / "here", stores=[there])
    before = contents(tmp_path / "here")
    make_preset(tmp_path / "others", seed=7)
    with pytest.raises(VadError, match="here already has street/1 with other files, and a version never changes"):
        pull("street", zoo=tmp_path / "here", stores=[tmp_path / "others"])
    assert contents(tmp_path / "here") == before
    (target / "detector.keras").write_bytes(b"damaged")
    pull("street", zoo=tmp_path / "here", stores=[there])
    assert contents(tmp_path / "here") == before, "a damaged version is mended"


def test_a_full_disk(there, tmp_path):
    with file_size_limit(100_000), pytest.raises(VadError) as caught:
        pull("street", zoo=tmp_path / "here", stores=[there])
    assert "cannot be kept in" in str(caught.value)
    assert "File too large" in str(caught.value)
    assert not (tmp_path / "here" / "presets").exists()
    pull("street", zoo=tmp_path / "here", stores=[there])
    assert contents(tmp_path / "here") == contents(there)


def test_a_place_that_cannot_be_written(there, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VadError, match=r"cannot be kept in .*file .*; free some space there, or name another folder"):
        pull("street", zoo=tmp_path / "file", stores=[there])


def test_the_zoo_of_this_repository_is_what_its_index_says():
    for preset in read_index(ROOT / "zoo"):
        assert is_intact(ROOT / "zoo" / preset.folder, preset), preset.folder


def start(*words):
    environment = {**os.environ, "PYTHONPATH": PATHS}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "pull.py"), *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        # Tests that run in the background of a shell are deaf to SIGINT, and their children would be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_what_the_next_completes(server, there, tmp_path, kill):
    server.faults[DETECTOR] = [stall(250_000)]
    words = "street", "--zoo", tmp_path / "here", "--store", server.address
    pulling = start(*words)
    arrived = 0
    while arrived < 200_000 and pulling.poll() is None:
        arrived = sum(map(len, contents(tmp_path / "here").values())) if (tmp_path / "here").exists() else 0
        time.sleep(0.02)
    pulling.send_signal(kill)
    out, err = pulling.communicate(timeout=60)
    assert (pulling.returncode, out) == ((130, "") if kill == signal.SIGINT else (-9, ""))
    assert err == ("error: stopped by the user.\n" if kill == signal.SIGINT else "")
    assert not (tmp_path / "here" / "presets").exists()
    assert list_presets(zoo=tmp_path / "here") == []
    server.requests.clear()
    out, err = start(*words).communicate(timeout=60)
    assert (out, err) == (f"pulled: {tmp_path}/here/presets/street/1\n", "")
    assert server.asked("detector.keras") == ["bytes=250000-"]
    assert contents(tmp_path / "here") == contents(there), "and nothing else is left"


def test_processes_that_pull_at_once_download_once(server, there, tmp_path):
    server.faults[DETECTOR] = [stall(100_000, seconds=1)]
    make_preset(there, "yard", seed=5)
    names = ["street", "street", "street", "yard"]
    pulls = [start(name, "--zoo", tmp_path / "here", "--store", server.address) for name in names]
    ended = [one.communicate(timeout=60) for one in pulls]
    assert [one.returncode for one in pulls] == [0] * 4, ended
    assert [out for out, _ in ended] == [f"pulled: {tmp_path}/here/presets/{name}/1\n" for name in names]
    assert server.asked("street/1/detector.keras") == [None, "bytes=100000-"]
    assert contents(tmp_path / "here") == contents(there)


def test_the_tool_lists_and_ends_with_a_sentence(there, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_preset(there, "yard_ped2", seed=3)
    assert presets(["--store", there]) == 0
    assert presets(["*ped2", "--store", there]) == 0
    assert capsys.readouterr().out == "street\nyard_ped2\nyard_ped2\n"
    with pytest.raises(VadError, match="there is no zoo folder nowhere; try again later, or name another store"):
        main(["street", "--store", "nowhere"])
    failed = start("avenue", "--store", there)
    out, err = failed.communicate(timeout=60)
    assert (failed.returncode, out) == (2, "")
    assert err == (
        f"error: there is no preset 'avenue': {there} has street, yard_ped2; choose one of these, or name another "
        "store.\n"
    )

import pytest

from keras_vad.common.files import appearing, write_text
from keras_vad.errors import VadError
from tests.data.media import file_size_limit


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path):
    path = tmp_path / "new" / "file.txt"
    for text in ("first", "zweite Fassung ü"):
        with appearing(path) as partial:
            before = path.read_text("utf-8") if path.exists() else None
            partial.write_text(text, "utf-8")
            assert (path.read_text("utf-8") if path.exists() else None) == before
        assert path.read_text("utf-8") == text
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_folder_appears_whole(tmp_path):
    with appearing(tmp_path / "folder") as partial:
        partial.mkdir()
        (partial / "file").touch()
        assert not (tmp_path / "folder").exists()
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["file"]


def test_an_error_in_the_block_leaves_nothing(tmp_path):
    for make in (lambda partial: partial.mkdir(), lambda partial: partial.touch(), lambda partial: None):
        with pytest.raises(ZeroDivisionError), appearing(tmp_path / "a" / "b" / "c") as partial:
            make(partial)
            raise ZeroDivisionError
        assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError), appearing(tmp_path / "a" / "b" / "c"):
        raise ZeroDivisionError
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert list((tmp_path / "a").iterdir()) == []


def test_a_full_disk_is_a_sentence_and_keeps_the_file_before(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "before")
    with file_size_limit(1000), pytest.raises(VadError) as caught:
        write_text(path, "x" * 2000)
    assert str(caught.value) == (
        f"{path} cannot be written (File too large); free some space there or name another place."
    )
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_folder_that_exists_is_not_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").touch()
    with pytest.raises(VadError, match="folder cannot be written"), appearing(tmp_path / "folder") as partial:
        partial.mkdir()
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["precious"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]

"""What the site adds to the pages: the README as its front page, and the project's files that pages link to.

A hook of MkDocs. Pages link to files of the project by relative paths, as a repository shows them. On the site a file
is shown below ``files/``, and a folder by a list of its files.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
_SHOWN = "files"


def on_files(files: Files, config: Any) -> Files:
    """Add the front page and what pages link to outside of docs/."""
    pages = {file.src_uri: (_ROOT / "docs" / file.src_uri).read_text("utf-8") for file in files.documentation_pages()}
    front = (_ROOT / "README.md").read_text("utf-8")
    files.append(File.generated(config, "index.md", content=_moved(front, "README.md", "docs/index.md")))
    found = {("README.md", target) for target, _ in _LINK.findall(front)}
    found |= {(f"docs/{uri}", target) for uri, text in pages.items() for target, _ in _LINK.findall(text)}
    for page, target in found:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if not path.startswith("docs/") and (_ROOT / path).exists():
            _add(files, config, path)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of docs/ to the copies on the site."""
    uri = page.file.src_uri
    return markdown if uri == "index.md" or uri.startswith(_SHOWN) else _moved(markdown, f"docs/{uri}", f"docs/{uri}")


def _moved(text: str, written: str, shown: str) -> str:
    """Links of a page that was written as one file of the project and is shown as another."""

    def moved(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(written), target))
        if not (_ROOT / path).exists():
            return match[0]  # MkDocs tells that it leads nowhere
        if not path.startswith("docs/"):
            anchor = "" if path.endswith(".md") else anchor
            path = f"docs/{_SHOWN}/{_name(path)}"
        return f"]({posixpath.relpath(path, posixpath.dirname(shown))}{anchor})"

    return _LINK.sub(moved, text)


def _name(path: str) -> str:
    """Of a file's copy, or of the list of a folder's files; text that a browser shows and does not run."""
    if (_ROOT / path).is_dir():
        return f"{path}/index.md"
    return path if Path(path).suffix in (".csv", ".json", ".png", ".txt") else f"{path}.txt"


def _add(files: Files, config: Any, path: str) -> None:
    uri = f"{_SHOWN}/{_name(path)}"
    if files.get_file_from_path(uri) is not None:
        return
    source = _ROOT / path
    if not source.is_dir():
        files.append(File.generated(config, uri, content=source.read_bytes()))
        return
    entries = sorted(entry for entry in source.iterdir() if entry.is_file())
    lines = [f"- [{entry.name}]({posixpath.basename(_name(f'{path}/{entry.name}'))})" for entry in entries]
    files.append(File.generated(config, uri, content=f"# {path}\n\n" + "\n".join(lines) + "\n"))
    for entry in entries:
        _add(files, config, f"{path}/{entry.name}")

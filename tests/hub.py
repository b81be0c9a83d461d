"""A hub of models on the loopback address, as huggingface_hub asks one: a folder of repositories, served.

    with Hub(folder) as hub:
        hub.publish("owner/name", pipeline_folder)
        …  # commands with HF_ENDPOINT=hub.address
        hub.requests

`folder/owner/name` holds the files of a repository's main branch, `folder/owner/name@fp16` those of its
revision fp16. Nothing is stored in pieces (xet): files come as they are, whole or from a byte on.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LARGE = {".safetensors", ".bin", ".ckpt", ".msgpack"}  # kept by git-lfs, known by their SHA-256
API = re.compile(
    r"/api/models/(?P<repository>[^/]+/[^/]+)(/(revision|(?P<tree>tree))/(?P<revision>[^/]+))?"
)
FILE = re.compile(r"/(?P<repository>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class Request(NamedTuple):
    """What the hub was asked: of which repository and file ("" for what is none), and its answer.

    Attributes:
        start: the first byte that was wanted, None where the whole file was.
    """

    method: str
    repository: str
    file: str
    status: int
    start: int | None = None


class Refusal(Exception):
    """The hub's answer to what it does not give: a status, and a code that huggingface_hub reads."""

    def __init__(self, status: int, code: str, message: str, commit: str | None = None):
        super().__init__(message)
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message}
        if commit:
            self.headers["X-Repo-Commit"] = commit


@dataclass
class Hub:
    """The hub while `with` lasts; it never serves a file outside its folder.

    Attributes:
        folder: of the repositories.
        address: for HF_ENDPOINT.
        requests: all that it was asked, in order.
    """

    folder: Path
    requests: list[Request] = field(default_factory=list)
    _gates: dict[str, str | None] = field(default_factory=dict)
    _cuts: dict[str, list[float]] = field(default_factory=dict)

    def __enter__(self) -> Hub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("", (Handler,), {"hub": self}))
        self._server.daemon_threads = False  # closing waits for the answers under way
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def publish(self, repository: str, files: Path) -> Path:
        """Copy a folder's files to a repository, "owner/name" or "owner/name@revision"; its folder."""
        return Path(shutil.copytree(files, self.folder / repository, dirs_exist_ok=True))

    def gate(self, repository: str, token: str | None = None) -> None:
        """Let only those have a repository's files who send this token; nobody where there is none."""
        self._gates[repository] = token

    def cut(self, file: str, after: int, times: float = math.inf) -> None:
        """Close the connection at byte `after` of "owner/name/file", that many times."""
        self._cuts[file] = [after, times]

    def heal(self, file: str) -> None:
        """Cut it no more."""
        del self._cuts[file]

    def had(self, repository: str) -> list[str]:
        """The files of a repository that were sent or begun, once for each time."""
        return [r.file for r in self.requests if r[:2] == ("GET", repository) and r.file]

    def files_of(self, repository: str, revision: str, token: str | None) -> tuple[str, Path]:
        """The commit and the folder of a revision, which is a name or a commit.

        Raises:
            Refusal: there is no such repository or revision.
        """
        place = self.folder / repository
        if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repository) or not place.is_dir():
            if token is None:  # as for private ones: whether it exists is not said
                raise Refusal(401, "RepoNotFound", "Invalid username or password.")
            raise Refusal(404, "RepoNotFound", "Repository not found")
        known = {
            "main": place,
            **{f.name.partition("@")[2]: f for f in place.parent.glob(f"{place.name}@*")},
        }
        for name, folder in known.items():
            if revision in (name, commit := commit_of(folder)):
                return commit, folder
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def file(
        self, repository: str, revision: str, name: str, token: str | None
    ) -> tuple[str, Path]:
        """The commit and the path of a file.

        Raises:
            Refusal: there is none, or it is behind a gate.
        """
        commit, folder = self.files_of(repository, revision, token)
        if repository in self._gates and (token is None or token != self._gates[repository]):
            said = f"Access to model {repository} is restricted."
            raise Refusal(401 if token is None else 403, "GatedRepo", said, commit)
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise Refusal(404, "EntryNotFound", "Entry not found", commit)
        return commit, path

    def end(self, file: str, start: int, size: int) -> int:
        """The byte before which the connection is closed, the file's size where it is not cut."""
        after, times = self._cuts.get(file, (size, 0))
        if times < 1 or after < start:
            return size
        self._cuts[file][1] -= 1
        return int(after)


class Handler(BaseHTTPRequestHandler):
    """One request; then the connection is closed."""

    hub: Hub
    timeout = 10

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = urlsplit(self.path).path
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        found = FILE.fullmatch(path) or API.fullmatch(path)
        parts = {k: unquote(v) for k, v in found.groupdict().items() if v} if found else {}
        self.repository, self.name = parts.get("repository", ""), parts.get("file", "")
        revision = parts.get("revision", "main")
        try:
            if self.name:
                self.send_file(*self.hub.file(self.repository, revision, self.name, token))
            elif parts:
                commit, folder = self.hub.files_of(self.repository, revision, token)
                listed = tree(folder) if "tree" in parts else self.information(commit, folder)
                self.send(200, {}, json.dumps(listed).encode())
            else:
                self.send(200 if path == "/" else 404, {}, b"")
        except Refusal as refusal:
            self.send(refusal.status, refusal.headers, b"")

    def information(self, commit: str, folder: Path) -> dict:
        siblings = [{"rfilename": one["path"]} for one in tree(folder)]
        return {"id": self.repository, "sha": commit, "siblings": siblings}

    def send_file(self, commit: str, path: Path) -> None:
        content, known_by = path.read_bytes(), etag(path)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{known_by}"', "Accept-Ranges": "bytes"}
        if path.suffix in LARGE:
            headers |= {"X-Linked-Etag": f'"{known_by}"', "X-Linked-Size": str(len(content))}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if start and start >= len(content):
            return self.send(416, headers | {"Content-Range": f"bytes */{len(content)}"}, b"")
        end = len(content)
        if self.command == "GET":
            end = self.hub.end(f"{self.repository}/{self.name}", start, end)
        self.send(206 if wanted else 200, headers, content[start:], end - start)

    def send(
        self, status: int, headers: dict[str, str], body: bytes, sent: int | None = None
    ) -> None:
        """The answer, of whose body only that many bytes are sent."""
        start = int(headers["Content-Range"].split()[1].split("-")[0]) if status == 206 else None
        self.hub.requests.append(Request(self.command, self.repository, self.name, status, start))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])

    def log_message(self, *_: object) -> None:
        """Nothing on the screen: `hub.requests` has it."""


def etag(path: Path) -> str:
    """What a file's content is known by: its SHA-256 if it is large, else its name in git."""
    content = path.read_bytes()
    if path.suffix in LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def tree(folder: Path) -> Sequence[dict]:
    """A revision's files as the hub lists them."""
    listed = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size, known_by = path.stat().st_size, etag(path)
        one = {"type": "file", "path": path.relative_to(folder).as_posix(), "size": size}
        large = {"oid": known_by, "size": size, "pointerSize": 134}
        listed.append(
            one | {"oid": known_by[:40]} | ({"lfs": large} if path.suffix in LARGE else {})
        )
    return listed


def commit_of(folder: Path) -> str:
    """Forty digits that change with any file of a revision."""
    return hashlib.sha1(json.dumps([folder.name, tree(folder)]).encode()).hexdigest()

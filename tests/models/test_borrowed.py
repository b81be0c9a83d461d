"""A loaded pipeline is a model for a while, uses what is in it, and comes back as it was."""

from __future__ import annotations

import warnings
from functools import cache, partial

import diffusers
import pytest
import tiny
import torch

from geodesic_lightning import from_text, interpolate
from geodesic_lightning.data.frames import SHIPPED
from geodesic_lightning.decoding.morphs.decoder import morph
from geodesic_lightning.decoding.morphs.lora import Lora
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.borrowed import borrowed
from geodesic_lightning.models.scheduler import Scheduler

ENDS = SHIPPED / "pair_cat_start.png", SHIPPED / "pair_cat_end.png"
FEW = {"segments": 2, "frames": 3, "tolerance": 1.0, "scheduler": Scheduler("ddim", 4)}


@cache
def pipe(name):
    """A tiny pipeline in a state that nobody would call usual."""
    diffusers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        made = tiny.MAKERS[name]()
        made.scheduler.set_timesteps(7, **({"mu": 0.7} if name == "flux" else {}))
        if name == "flux":
            made.default_sample_size = 8  # what nothing but its class says
    denoiser = made.components.get("unet") or made.transformer
    denoiser.train()
    made.vae.decoder.train()
    denoiser.requires_grad_(False)
    next(denoiser.parameters()).requires_grad_(True)
    if name.startswith("sd"):
        # Text encoders put hooks of their own into their layers when they are first asked for all states.
        more = {"prompt_2": None, "prompt_3": None} if name == "sd3" else {}
        made.encode_prompt(
            "a", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False, **more
        )
    return made


def seen(pipeline):
    """All that may be looked at: weights with their places, modes, processors, hooks, sampler, words."""
    found = {}
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            found[name] = {
                "weights": {k: v.clone() for k, v in part.state_dict().items()},
                "kept": {k: (id(v), v.data_ptr(), v.stride(), v.dtype, v.device, v.requires_grad)
                         for k, v in part.named_parameters()},
                "modes": {k: (type(m), m.training) for k, m in part.named_modules()},
                "hooks": {k: (len(m._forward_hooks), len(m._forward_pre_hooks))
                          for k, m in part.named_modules()},
                "processors": {k: id(v) for k, v in getattr(part, "attn_processors", {}).items()},
                "names": set(vars(part)),
                "config": dict(part.config) if hasattr(part.config, "keys") else part.config.to_dict(),
            }  # fmt: skip
        elif name.startswith("tokenizer") and part is not None:
            found[name] = dict(part.get_vocab())
    sampler = pipeline.scheduler
    found["scheduler"] = type(sampler), dict(sampler.config), sampler.timesteps.tolist()
    return found


def assert_same(before, after):
    assert before.keys() == after.keys()
    for name, part in before.items():
        if isinstance(part, dict) and "weights" in part:
            weights, others = part["weights"], after[name]["weights"]
            assert weights.keys() == others.keys()
            assert all(torch.equal(weights[k], others[k]) for k in weights)
            for look in part.keys() - {"weights"}:
                assert part[look] == after[name][look], (name, look)
        else:
            assert part == after[name], name


@pytest.mark.parametrize("name", ["sd15", "sd2_v", "sdxl", "sd3", "pixart", "flux"])
def test_it_comes_back_as_it_was(name):
    pipeline = pipe(name)
    before = seen(pipeline)
    solution = interpolate(*ENDS, "a cat", "cat", model=pipeline, **FEW)
    assert solution.frames.shape == (3, 3, 16, 16)
    assert_same(before, seen(pipeline))


def test_and_from_a_run_that_failed_and_ways_to_morph_that_reach_into_it():
    pipeline = pipe("sd2")
    before = seen(pipeline)
    with pytest.raises(UserError, match="tokens"):
        interpolate(*ENDS, "cat " * 100, model=pipeline, **FEW)
    assert_same(before, seen(pipeline))
    lora = Lora(rank=2, steps=1)
    interpolate(*ENDS, model=pipeline, decoder=partial(morph, lora=lora, adain=True), **FEW)
    assert_same(before, seen(pipeline))


@pytest.mark.parametrize("name", ["sd2", "sdxl", "sd3", "pixart", "flux"])
def test_it_is_the_model_that_its_folder_is(name, tmp_path):
    pipeline = pipe(name)
    pipeline.save_pretrained(tmp_path)
    saved = DiffusionModel(str(tmp_path), Scheduler("ddim", 4), size=16 if name == "flux" else None)
    with borrowed(pipeline, Scheduler("ddim", 4)) as lent:
        c = saved.embed(["a cat", "cat"])
        torch.testing.assert_close(lent.embed(["a cat", "cat"]), c)
        torch.testing.assert_close(
            lent.sample(c, [0, 1]), saved.sample(c, [0, 1]), rtol=1e-3, atol=1e-3
        )
        assert not any(module.training for module in lent.denoiser.modules())


@pytest.mark.parametrize(
    "kind", ["StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline", "StableDiffusionXLImg2ImgPipeline",
             "StableDiffusionXLInpaintPipeline", "StableDiffusion3Img2ImgPipeline", "StableDiffusion3InpaintPipeline",
             "FluxImg2ImgPipeline", "FluxInpaintPipeline"],
)  # fmt: skip
def test_other_pipelines_of_the_same_parts(kind):
    made = getattr(diffusers, kind)
    names = {"Flux": "flux", "XL": "sdxl", "3": "sd3", "": "sd2"}
    pipeline = pipe(next(name for part, name in names.items() if part in kind))
    options = (
        {"requires_safety_checker": False} if made.__name__.startswith("StableDiffusionI") else {}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = made(**pipeline.components, **options)
    if kind.startswith("Flux"):
        other.default_sample_size = pipeline.default_sample_size
    with borrowed(other) as lent, borrowed(pipeline) as same:
        c = same.embed(["cat"])
        assert torch.equal(lent.embed(["cat"]), c)
        assert torch.equal(lent.sample(c, [3]), same.sample(c, [3]))


def test_its_low_rank_weights_and_its_words_count():
    pipeline = pipe("sd15")
    with borrowed(pipeline) as lent:
        bare = lent.sample(lent.embed(["cat"]), [0])
        unknown = lent.embed(["<odd>"])
    from peft import LoraConfig

    unet = pipeline.unet
    unet.add_adapter(
        LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False), "own"
    )
    pipeline.load_textual_inversion(torch.ones(32), token="<odd>")
    try:
        before = seen(pipeline)
        with borrowed(pipeline) as lent:
            assert lent.adapters == ("own",)
            assert not torch.allclose(lent.sample(lent.embed(["cat"]), [0]), bare, atol=1e-3)
            assert not torch.equal(lent.embed(["<odd>"]), unknown)
        mixed = partial(morph, lora=Lora(rank=2, steps=1))
        with pytest.raises(UserError, match=r"has its own \(own\)"):
            interpolate(*ENDS, model=pipeline, decoder=mixed, **FEW)
        assert_same(before, seen(pipeline))
    finally:
        pipeline.unload_lora_weights()
        pipeline.unload_textual_inversion()


def test_its_precision_is_kept_but_for_a_vae_that_overflows():
    pipeline = pipe("sdxl")
    pipeline.to(torch.float16)
    try:
        before = seen(pipeline)
        with borrowed(pipeline) as lent:
            assert lent.denoiser.dtype == torch.float16
            assert pipeline.vae.dtype == torch.float32
        after = seen(pipeline)
        assert all(
            torch.equal(v, after["vae"]["weights"][k]) for k, v in before["vae"]["weights"].items()
        )
        assert pipeline.vae.dtype == torch.float16
    finally:
        pipeline.to(torch.float32)


def test_what_cannot_be_borrowed():
    pipeline = pipe("sd2")
    with pytest.raises(
        UserError, match="got a DDPMPipeline, expected one of StableDiffusionPipeline"
    ):
        interpolate(*ENDS, model=diffusers.DDPMPipeline(pipeline.unet, pipeline.scheduler))
    there = "the pipeline is on cpu" if torch.cuda.is_available() else "torch finds no such device"
    with pytest.raises(UserError, match=f"device: got '?cuda'?, but {there}"):
        interpolate(*ENDS, model=pipeline, device="cuda")
    masked = diffusers.StableDiffusionInpaintPipeline(
        **{**pipeline.components, "unet": tiny.unet(in_channels=9, use_linear_projection=True)},
        requires_safety_checker=False,
    )
    with pytest.raises(UserError, match="takes 9 channels, expected the 4"):
        from_text("a", "b", model=masked)
    half = diffusers.StableDiffusionPipeline(
        **{**pipeline.components, "text_encoder": None}, requires_safety_checker=False
    )
    with pytest.raises(UserError, match="has no text_encoder"):
        from_text("a", "b", model=half)

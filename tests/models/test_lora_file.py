"""Low-rank weights from files: in every layer the change that peft's own merge makes, whatever the layout."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel, loading
from geodesic_lightning.models.diffusion.lora_file import add_lora, given_loras
from geodesic_lightning.models.scheduler import Scheduler

peft = pytest.importorskip("peft")


def loaded(folder, **settings):
    return DiffusionModel(str(folder), Scheduler("ddim", 5), **settings)


def weights(model):
    return {k: v.clone() for k, v in model.denoiser.state_dict().items()}


@pytest.fixture
def trained(tiny_sd2):
    """A denoiser with adapters of random weights, rank 2 and α = 4, and its products 2 B A by layer."""
    denoiser = loaded(tiny_sd2).denoiser
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "to_v"])
    wrapped = peft.get_peft_model(denoiser, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    products = {
        name.removeprefix("base_model.model.") + ".weight": 2
        * layer.lora_B["default"].weight
        @ layer.lora_A["default"].weight
        for name, layer in wrapped.named_modules()
        if hasattr(layer, "lora_A") and "default" in layer.lora_A
    }
    return wrapped, products


def check(tiny_sd2, folder, products, scale=1.0):
    before = weights(loaded(tiny_sd2))
    model = loaded(tiny_sd2, lora=str(folder), lora_scale=scale)
    after = weights(model)
    assert set(after) == set(before)
    assert products
    for name, weight in before.items():
        if name in products:
            expected = weight + scale * products[name].to(weight)
            torch.testing.assert_close(after[name], expected, rtol=1e-4, atol=1e-5)
        else:
            assert torch.equal(after[name], weight), name
    return model


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_pefts_layout(tiny_sd2, trained, tmp_path, scale):
    wrapped, products = trained
    wrapped.save_pretrained(tmp_path / "lora")
    model = check(tiny_sd2, tmp_path / "lora", products, scale)
    assert f"with {scale:g} × " in model.source
    assert not any(p.requires_grad for p in model.parameters())


def diffusers_layout(wrapped, folder):
    """As diffusers' training scripts leave it: unet.….lora_A.weight, α equal to the rank."""
    folder.mkdir()
    wrapped.save_pretrained(folder / "peft")
    found = load_file(folder / "peft" / "adapter_model.safetensors")
    named = {
        k.replace("base_model.model.", "unet."): v * 2 if "lora_B" in k else v
        for k, v in found.items()
    }
    save_file(named, folder / "pytorch_lora_weights.safetensors")
    return folder


def test_diffusers_layout(tiny_sd2, trained, tmp_path):
    wrapped, products = trained
    folder = diffusers_layout(wrapped, tmp_path / "lora")
    check(tiny_sd2, folder, products)
    check(tiny_sd2, folder / "pytorch_lora_weights.safetensors", products)


def test_no_scale_is_no_change(tiny_sd2, trained, tmp_path):
    wrapped, products = trained
    check(tiny_sd2, diffusers_layout(wrapped, tmp_path / "lora"), products, 0.0)


def test_over_the_command_line(geodesic, tiny_sd2, trained, tmp_path):
    folder = diffusers_layout(trained[0], tmp_path / "lora")
    words = ("model=sd2", f"model.pretrained={tiny_sd2}", "scheduler.steps=3", "callbacks=log")
    words = (*words, "solver=slerp", "solver.segments=4")
    runs = [
        geodesic(*words, "hydra.run.dir=without"),
        geodesic(*words, "hydra.run.dir=with", f"model.lora={folder}"),
    ]
    assert [run.code for run in runs] == [0, 0], runs[1].err
    said = [json.loads((run.folder / "summary.json").read_text()) for run in runs]
    assert "lora" in said[1]["weights"]
    assert said[0]["log_density"] != said[1]["log_density"]


# -- the scale that a file's layout gives its products, against peft's own merge ----------------------

SCALES = {
    "r = 4, alpha = 16": {"r": 4, "lora_alpha": 16},
    "rank-stabilised": {"r": 4, "lora_alpha": 8, "use_rslora": True},
    "patterns": {
        "r": 4,
        "lora_alpha": 16,
        "rank_pattern": {"attn1.to_q": 2},
        "alpha_pattern": {"attn1.to_q": 12.0, "attn2.to_v": 2.0},
    },
}


def adapted(folder, scale):
    """The tiny denoiser with adapters of random weights, as peft holds it."""
    config = peft.LoraConfig(target_modules=["to_q", "to_v"], **SCALES[scale])
    wrapped = peft.get_peft_model(loaded(folder).denoiser, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return wrapped


def in_pefts_layout(wrapped, folder):
    wrapped.save_pretrained(folder)
    return folder


def in_diffusers_layout(wrapped, folder):
    """By diffusers' own writer: the scale stands in the file's metadata alone."""
    from diffusers import StableDiffusionPipeline

    weights = peft.get_peft_model_state_dict(wrapped)
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers={k.removeprefix("base_model.model."): v for k, v in weights.items()},
        unet_lora_adapter_metadata=wrapped.peft_config["default"].to_dict(),
    )
    return folder


def in_kohyas_layout(wrapped, folder):
    """lora_unet_….lora_down, lora_up and alpha for each layer, where the scale is alpha over rank."""
    found = {}
    for name, layer in wrapped.named_modules():
        if hasattr(layer, "lora_A") and "default" in layer.lora_A:
            key = "lora_unet_" + name.removeprefix("base_model.model.").replace(".", "_")
            down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            found[f"{key}.lora_down.weight"] = down.detach().clone()
            found[f"{key}.lora_up.weight"] = up.detach().clone()
            found[f"{key}.alpha"] = torch.tensor(layer.scaling["default"] * len(down))
    folder.mkdir()
    save_file(found, folder / "style.safetensors")
    return folder


def share_of_change(before, after, expected):
    """⟨after − before, expected − before⟩ / |expected − before|²: 1 where all of the change is there."""
    change, whole = (
        torch.cat([(state[key] - before[key]).double().flatten() for key in before])
        for state in (after, expected)
    )
    assert whole.norm() > 0
    return float(change @ whole / (whole @ whole))


@pytest.mark.parametrize("layout", [in_kohyas_layout, in_diffusers_layout, in_pefts_layout])
@pytest.mark.parametrize("scale", SCALES)
def test_the_change_is_that_of_pefts_own_merge(tiny_sd2, tmp_path, layout, scale):
    wrapped = adapted(tiny_sd2, scale)
    folder = layout(wrapped, tmp_path / "lora")
    before, after = weights(loaded(tiny_sd2)), weights(loaded(tiny_sd2, lora=str(folder)))
    merged = wrapped.merge_and_unload().state_dict()
    assert set(before) == set(after) == set(merged)
    assert share_of_change(before, after, merged) == pytest.approx(1, abs=1e-5)
    for name, weight in merged.items():
        torch.testing.assert_close(after[name], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [0.5, -1.0])
def test_a_share_of_pefts_change(tiny_sd2, tmp_path, scale):
    wrapped = adapted(tiny_sd2, "rank-stabilised")
    folder = in_pefts_layout(wrapped, tmp_path / "lora")
    before = weights(loaded(tiny_sd2))
    after = weights(loaded(tiny_sd2, lora=str(folder), lora_scale=scale))
    merged = wrapped.merge_and_unload().state_dict()
    assert share_of_change(before, after, merged) == pytest.approx(scale, abs=1e-5)


def test_several_add_up(tiny_sd2, tmp_path):
    files = []
    for number, name in enumerate(SCALES):
        files.append(str(in_diffusers_layout(adapted(tiny_sd2, name), tmp_path / str(number))))
    before = weights(loaded(tiny_sd2))
    alone = [weights(loaded(tiny_sd2, lora=file)) for file in files]
    model = loaded(tiny_sd2, lora=files, lora_scale=[1.0, 0.5, 2.0])
    for name, weight in weights(model).items():
        expected = before[name] + sum(
            scale * (one[name] - before[name]) for scale, one in zip((1.0, 0.5, 2.0), alone)
        )
        torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)
    assert model.source.count(" with ") == 3


def test_several_scales_must_be_as_many(tiny_sd2):
    with pytest.raises(UserError, match=r"lora_scale: got 3 for 2 model.lora"):
        loaded(tiny_sd2, lora=["a", "b"], lora_scale=[1, 1, 1])


def test_a_denoiser_takes_new_adapters_afterwards(tiny_sd2, tmp_path):
    """As the morphs do that fit their own low-rank weights."""
    folder = in_pefts_layout(adapted(tiny_sd2, "patterns"), tmp_path / "lora")
    denoiser = loaded(tiny_sd2, lora=str(folder)).denoiser
    assert not getattr(denoiser, "peft_config", {})
    denoiser.add_adapter(peft.LoraConfig(r=2, target_modules=["to_q"]), adapter_name="start")
    assert any(".start." in name for name, _ in denoiser.named_parameters())


# -- magnitudes ---------------------------------------------------------------------------------------

LAYERS = {  # of the tiny denoiser, by kohya's names
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q": "output",
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_out_0": "input",
    "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_ff_net_2": None,
    "lora_unet_down_blocks_0_resnets_0_conv1": "output",
    "lora_unet_up_blocks_0_resnets_0_conv1": "input",
    "lora_unet_mid_block_attentions_0_proj_in": None,
}


def by_hand(weight, down, up, magnitude, scale):
    """m V / ‖V‖ with V = W + s B A, in float64; the norm over whatever m does not number."""
    v = weight.double() + scale * torch.einsum(
        "or,r...->o...", up.double().flatten(1), down.double()
    )
    if magnitude is None:
        return v
    over = tuple(range(1, v.dim())) if magnitude.shape[0] > 1 else (0, *range(2, v.dim()))
    return magnitude.double() * v / v.square().sum(over, keepdim=True).sqrt()


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_kohyas_magnitudes_are_the_formula_computed_by_hand(tiny_sd2, tmp_path, share):
    before = weights(loaded(tiny_sd2))
    names = {"lora_unet_" + k.removesuffix(".weight").replace(".", "_"): k for k in before}
    generator = torch.Generator().manual_seed(2)
    file, expected = {}, dict(before)
    for layer, axis in LAYERS.items():
        weight = before[names[layer]]
        rows, columns, *kernel = weight.shape
        down = 0.2 * torch.randn(2, columns, *kernel, generator=generator)
        up = 0.2 * torch.randn(rows, 2, *[1] * len(kernel), generator=generator)
        ones = [1] * len(kernel)
        shape = {"output": (rows, 1, *ones), "input": (1, columns, *ones), None: None}[axis]
        magnitude = None if shape is None else 0.5 + torch.rand(shape, generator=generator)
        file |= {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
        file[f"{layer}.alpha"] = torch.tensor(3.0)
        if magnitude is not None:
            file[f"{layer}.dora_scale"] = magnitude
        expected[names[layer]] = by_hand(weight, down, up, magnitude, share * 3 / 2)
    save_file(file, tmp_path / "dora.safetensors")
    after = weights(loaded(tiny_sd2, lora=str(tmp_path / "dora.safetensors"), lora_scale=share))
    for name, weight in expected.items():
        torch.testing.assert_close(after[name].double(), weight.double(), rtol=1e-6, atol=1e-6)
        assert name in names.values()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert changed == {names[layer] for layer in LAYERS}


@pytest.mark.parametrize("layout", ["kohya's", "diffusers'", "peft's"])
def test_magnitudes_are_those_of_pefts_own_merge(tiny_sd2, tmp_path, layout):
    config = peft.LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["to_q", "conv1"])
    wrapped = peft.get_peft_model(loaded(tiny_sd2).denoiser, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in wrapped.named_parameters():
            if "lora_" in name:
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    if layout == "kohya's":
        folder = in_kohyas_layout(wrapped, tmp_path / "lora")
        file = load_file(folder / "style.safetensors")
        for name, layer in wrapped.named_modules():
            if "default" in getattr(layer, "lora_A", ()):
                key = "lora_unet_" + name.removeprefix("base_model.model.").replace(".", "_")
                rows = layer.lora_magnitude_vector["default"].weight.detach().flatten()
                shape = (-1, *[1] * (layer.weight.dim() - 1))
                file[f"{key}.dora_scale"] = rows.reshape(shape).clone()
        save_file(file, folder / "style.safetensors")
    elif layout == "diffusers'":
        folder = in_diffusers_layout(wrapped, tmp_path / "lora")
    else:
        folder = in_pefts_layout(wrapped, tmp_path / "lora")
    after = weights(loaded(tiny_sd2, lora=str(folder)))
    for name, weight in wrapped.merge_and_unload().state_dict().items():
        torch.testing.assert_close(after[name], weight, rtol=1e-5, atol=1e-6)


# -- nothing of a file is left out ----------------------------------------------------------------------


def factors(rows=8, columns=8, rank=2):
    return torch.full((rank, columns), 0.1), torch.full((rows, rank), 0.1)


def test_text_encoders_and_feed_forward_layers_alone(tiny_sd2, tmp_path):
    down, up = factors(32, 32)
    layer = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    save_file(
        {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, tmp_path / "a.safetensors"
    )
    model, plain = loaded(tiny_sd2, lora=str(tmp_path / "a.safetensors")), loaded(tiny_sd2)
    assert not torch.equal(model.embed(["a cat"]), plain.embed(["a cat"]))
    layer = "mid_block.attentions.0.transformer_blocks.0.ff.net.2"
    weight = weights(plain)[f"{layer}.weight"]
    down, up = factors(*weight.shape)
    keys = f"unet.{layer}.lora_A.weight", f"unet.{layer}.lora_B.weight"
    save_file(dict(zip(keys, (down, up))), tmp_path / "b.safetensors")
    after = weights(loaded(tiny_sd2, lora=str(tmp_path / "b.safetensors")))
    torch.testing.assert_close(after[f"{layer}.weight"], weight + up @ down)


@pytest.mark.parametrize("layout", [in_kohyas_layout, in_diffusers_layout, in_pefts_layout])
def test_a_layer_that_the_network_lacks(tiny_sd2, tmp_path, layout):
    folder = layout(adapted(tiny_sd2, "r = 4, alpha = 16"), tmp_path / "lora")
    [path] = folder.glob("*.safetensors")
    file = load_file(path)
    block = "down_blocks_9" if layout is in_kohyas_layout else "down_blocks.9"
    lost = {k.replace("mid_block", block): v.clone() for k, v in file.items() if "mid_block" in k}
    assert lost
    with safe_open(path, "pt") as opened:
        save_file(file | lost, path, opened.metadata())
    with pytest.raises(
        UserError, match=r"8 of the \d+ weights .* belong to no layer of this UNet2D"
    ):
        loaded(tiny_sd2, lora=str(folder))


@pytest.mark.parametrize("kind", ["LOHA", "LOKR", "OFT"])
def test_other_methods_in_pefts_layout(tiny_sd2, tmp_path, kind):
    config = {
        "LOHA": peft.LoHaConfig(r=2, target_modules=["to_q"], init_weights=False),
        "LOKR": peft.LoKrConfig(r=2, target_modules=["to_q"], init_weights=False),
        "OFT": peft.OFTConfig(oft_block_size=4, target_modules=["to_q"], init_weights=False),
    }[kind]
    wrapped = peft.get_peft_model(loaded(tiny_sd2).denoiser, config)
    wrapped.save_pretrained(tmp_path / "lora")
    before, after = (
        weights(loaded(tiny_sd2)),
        weights(loaded(tiny_sd2, lora=str(tmp_path / "lora"))),
    )
    assert share_of_change(before, after, wrapped.merge_and_unload().state_dict()) == pytest.approx(
        1
    )
    if kind == "OFT":
        with pytest.raises(UserError, match=r"lora_scale: got 0.5, but .* holds OFT .* leave 1"):
            loaded(tiny_sd2, lora=str(tmp_path / "lora"), lora_scale=0.5)


OTHERS = {
    "LoHa": ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"),
    "LoKr": ("lokr_w1", "lokr_w2", "alpha", "dora_scale"),
    "OFT": ("oft_blocks", "alpha"),
    "IA3": ("weight", "on_input"),
    "LoCon with a Tucker core": ("lora_down.weight", "lora_up.weight", "lora_mid.weight", "alpha"),
    "full differences": ("diff", "diff_b"),
}


@pytest.fixture(scope="module")
def pipeline(tiny_sd2):
    """One for all files that are refused: none of them changes it."""
    return loading.load(loading.Source(str(tiny_sd2))).pipeline


class TestOneSentence:
    def refused(self, pipeline, lora, match):
        def add():
            ((_, file),) = given_loras(str(lora))
            add_lora(pipeline, file)

        with pytest.raises(UserError, match=match) as caught:
            add()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", OTHERS)
    def test_another_method(self, pipeline, tmp_path, kind):
        layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
        save_file(
            {f"{layer}.{one}": torch.ones(2, 2) for one in OTHERS[kind]}, tmp_path / "x.safetensors"
        )
        self.refused(
            pipeline, tmp_path / "x.safetensors", f"holds {kind} .*{layer}.* alone .*or null"
        )

    @pytest.mark.parametrize(
        ("layout", "width", "base"),
        [
            ("kohya's", 768, "Stable Diffusion 1"),
            ("diffusers'", 1024, "Stable Diffusion 2"),
            ("peft's", 99, "another"),
        ],
    )
    def test_prompts_of_another_width(self, pipeline, tmp_path, width, base, layout):
        layer = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
        down, up = factors(32, width)
        if layout == "kohya's":
            layer = "lora_unet_" + layer.replace(".", "_")
            file = {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
        elif layout == "diffusers'":
            file = {f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}
        else:
            layer = f"base_model.model.{layer}"
            file = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
            peft.LoraConfig(r=2, target_modules=["to_k"]).save_pretrained(tmp_path)
        save_file(file, tmp_path / "x.safetensors")
        self.refused(
            pipeline,
            tmp_path / "x.safetensors",
            f"trained on {base}.*, whose prompts are {width} wide; this model's are 32 wide",
        )

    def test_a_layer_of_another_width(self, pipeline, tmp_path):
        down, up = factors(32, 320)
        layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
        file = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
        save_file(file, tmp_path / "x.safetensors")
        said = r"attn1.to_q.lora_A.weight of .* has the shape \(2, 320\), this model's layer is 32 wide"
        self.refused(pipeline, tmp_path / "x.safetensors", said)

    def test_magnitudes_without_factors(self, pipeline, tmp_path):
        down, up = factors(32, 32)
        layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
        file = {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up}
        file["lora_unet_mid_block_x.dora_scale"] = torch.ones(32, 1)
        save_file(file, tmp_path / "x.safetensors")
        self.refused(
            pipeline, tmp_path / "x.safetensors", r"has magnitudes \(lora_unet_mid_block_x"
        )

    def test_zeros(self, pipeline, tmp_path):
        down, up = factors(32, 32)
        layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
        file = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": 0 * up}
        save_file(file, tmp_path / "x.safetensors")
        self.refused(pipeline, tmp_path / "x.safetensors", "changes nothing in this model")

    def test_nothing_there(self, pipeline, tmp_path):
        self.refused(pipeline, tmp_path / "no", r"model.lora: got .*no \(nothing there\)")

    def test_pickled(self, pipeline, tmp_path):
        (tmp_path / "lora.bin").write_bytes(b"x")
        self.refused(
            pipeline, tmp_path / "lora.bin", r"a .bin file\), expected a folder or a .safe"
        )

    def test_an_empty_folder(self, pipeline, tmp_path):
        self.refused(pipeline, tmp_path, r"holds 0 .safetensors files")

    def test_something_else(self, pipeline, tmp_path):
        save_file({"unet.nothing.lora_A.weight": torch.ones(2, 2)}, tmp_path / "x.safetensors")
        self.refused(
            pipeline, tmp_path / "x.safetensors", r"1 of the 1 weights .* belong to no layer"
        )

    def test_a_broken_file(self, pipeline, tmp_path):
        (tmp_path / "x.safetensors").write_bytes(b"not at all")
        self.refused(pipeline, tmp_path / "x.safetensors", r"do not fit this model")

    def test_pefts_weights_without_their_configuration(self, pipeline, trained, tmp_path):
        trained[0].save_pretrained(tmp_path)
        (tmp_path / "adapter_config.json").unlink()
        self.refused(pipeline, tmp_path, r"adapter_config.json is missing beside")

    def test_a_pointer(self, pipeline, tmp_path):
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 99\n"
        (tmp_path / "x.safetensors").write_text(pointer)
        self.refused(pipeline, tmp_path, r"x.safetensors is a git-lfs pointer.*`git lfs pull`")

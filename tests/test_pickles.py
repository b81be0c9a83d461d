"""Nothing that was pickled elsewhere runs code here: wherever a file is taken, such a one is refused in a sentence."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from geodesic_lightning.data.clip import clip_points
from geodesic_lightning.errors import UserError
from geodesic_lightning.models.diffusion import DiffusionModel
from geodesic_lightning.models.diffusion.embeddings import read_embeddings

WEIGHTS = "diffusion_pytorch_model"


class Harm:
    """Opened without care, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def ran(tmp_path):
    """The file that it makes; the harm works where nobody takes care."""
    trial = tmp_path / "trial"
    pickle.loads(pickle.dumps(Harm(trial)))
    assert trial.exists()
    return tmp_path / "ran"


def refused(ran: Path, match: str, take, *given, **options) -> None:
    with pytest.raises(UserError, match=match) as caught:
        take(*given, **options)
    assert "\n" not in str(caught.value)
    assert not ran.exists()


@pytest.mark.parametrize("allowed", [False, True])
def test_a_folder(tiny_sd2, tmp_path, ran, allowed):
    folder = Path(shutil.copytree(tiny_sd2, tmp_path / "sd2"))
    (folder / "unet" / f"{WEIGHTS}.safetensors").unlink()
    torch.save({"weight": Harm(ran)}, folder / "unet" / f"{WEIGHTS}.bin")
    said = "more than numbers" if allowed else "the weights in unet/ are pickled"
    refused(ran, said, DiffusionModel, str(folder), allow_pickle=allowed)


@pytest.mark.parametrize("allowed", [False, True])
def test_a_single_file(tiny_sd2, tmp_path, ran, allowed):
    torch.save({"state_dict": Harm(ran)}, tmp_path / "a.ckpt")
    said = "more than numbers" if allowed else "pickled weights can run code"
    options = {"config": str(tiny_sd2), "allow_pickle": allowed, "local_files_only": True}
    refused(ran, said, DiffusionModel, str(tmp_path / "a.ckpt"), **options)


def test_low_rank_weights(tiny_sd2, tmp_path, ran):
    """Also where a pickle lies beside a file that cannot be read."""
    folder = tmp_path / "lora"
    folder.mkdir()
    (folder / "pytorch_lora_weights.safetensors").write_bytes(b"not at all")
    torch.save({"unet.x.lora_A.weight": Harm(ran)}, folder / "pytorch_lora_weights.bin")
    pytest.importorskip("peft")
    refused(ran, "do not fit this model", DiffusionModel, str(tiny_sd2), lora=str(folder))
    lone = str(folder / "pytorch_lora_weights.bin")
    refused(ran, "expected a folder or a .safetensors", DiffusionModel, str(tiny_sd2), lora=lone)


@pytest.mark.parametrize("name", ["x.pt", "x.bin"])
def test_embeddings(tmp_path, ran, name):
    torch.save({"word": Harm(ran)}, tmp_path / name)
    refused(ran, "is pickled and holds more than numbers", read_embeddings, str(tmp_path / name))


def test_points_of_a_clip(tmp_path, ran):
    np.save(tmp_path / "x.npy", np.array([Harm(ran)] * 3, dtype=object), allow_pickle=True)
    refused(ran, "is not a table of numbers", clip_points, tmp_path / "x.npy")


def test_a_checkpoint(geodesic, ran):
    words = ("model=exact", "callbacks=log", "~callbacks.curves", "hydra.run.dir=former")
    former = geodesic(*words, "trainer.max_steps=2").folder
    torch.save({"state_dict": Harm(ran)}, former / "checkpoints" / "last.ckpt")
    done = geodesic("resume=former", "hydra.run.dir=again")
    assert done.code == 1
    assert "last.ckpt is not a run's checkpoint: give a run's folder" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert not ran.exists()


def test_settings_of_a_run(geodesic, ran):
    """YAML can name what to call; it is read as plain values."""
    former = geodesic("model=exact", "callbacks=log", "hydra.run.dir=former").folder
    text = f"overrides: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{ran}']]"
    (former / "settings.yaml").write_text(text)
    done = geodesic("resume=former", "hydra.run.dir=again")
    assert done.code == 1
    assert "settings.yaml" in done.err
    assert "Traceback" not in done.err
    assert not ran.exists()

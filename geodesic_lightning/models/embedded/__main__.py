"""Makes the embedded model again: `python -m geodesic_lightning.models.embedded <what>`, what being

draw       the training drawings, ahead of time
train      autoencoder, latents, denoiser; resumes where it stopped; saves the pipeline
evaluate   the held-out figures of the saved pipeline, as JSON
sheet      a grid of prompted samples, as PNG
pairs      the shipped pairs and their pairs.json
redraw     the network that proposes a cat for a picture (redraw.py)
judge      how far the redraw error can be trusted, as JSON
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from geodesic_lightning.models.embedded import pairs_folder, pipeline_folder


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse `arguments` (those of the command line by default) and do what they say."""
    parser = argparse.ArgumentParser(
        prog="python -m geodesic_lightning.models.embedded",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whats = ("draw", "train", "evaluate", "sheet", "pairs", "redraw", "judge")
    parser.add_argument("what", choices=whats)
    parser.add_argument(
        "--work", type=Path, default=Path("outputs/embedded"), help="drawings, latents, checkpoints"
    )
    parser.add_argument(
        "--pipeline", type=Path, default=pipeline_folder(), help="the diffusers folder"
    )
    parser.add_argument("--drawings", type=int, default=48000, help="how many cats to train on")
    parser.add_argument("--vae-steps", type=int, default=5000, help="steps of 8 drawings")
    parser.add_argument("--unet-steps", type=int, default=3800, help="steps of 32 latents")
    parser.add_argument("--pictures", type=int, default=60, help="of each kind, for `judge`")
    parser.add_argument("--output", type=Path, default=Path("sheet.png"), help="where `sheet` goes")
    chosen = parser.parse_args(arguments)
    if chosen.what == "pairs":
        from geodesic_lightning.models.embedded.train import pairs

        pairs.write(pairs_folder())
    elif chosen.what == "redraw":
        from geodesic_lightning.models.embedded.train import train_redraw

        print(train_redraw.train(chosen.work))
    elif chosen.what == "judge":
        from geodesic_lightning.models.embedded.train.judge_redraw import judge

        print(json.dumps(judge(chosen.pictures), indent=1))
    elif chosen.what in ("draw", "train"):
        from geodesic_lightning.models.embedded.train import dataset

        dataset.write(chosen.work / "world", chosen.drawings, dataset.SIZE)
        if chosen.what == "train":
            from geodesic_lightning.models.embedded.train.recipe import train

            install(train(chosen.work, chosen.vae_steps, chosen.unet_steps), chosen.pipeline)
    else:
        from geodesic_lightning.models.embedded.train import evaluation, networks

        pipeline = networks.load(chosen.pipeline)
        if chosen.what == "evaluate":
            print(json.dumps(evaluation.measure(pipeline), indent=1))
        else:
            from PIL import Image

            Image.fromarray(evaluation.sheet(pipeline)).quantize(256).save(
                chosen.output, optimize=True
            )
            print(chosen.output)


def install(save: Callable[[Path], None], folder: Path) -> None:
    """Let `save` (a function of a folder) fill a new folder, then put it in place of `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".installing-") as temporary:
        new, old = Path(temporary, "new"), Path(temporary, "old")
        save(new)
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)


if __name__ == "__main__":
    main()

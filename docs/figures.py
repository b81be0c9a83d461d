"""Make the pictures of README.md and docs/ anew, by the commands that stand beside them.

    python docs/figures.py [name …]      all, or those named; a few minutes on two cores

Runs go to outputs/figures/<hash of the code>/<name>; what is there already is taken as it is. What was
made by which code is noted in docs/figures/made.json (made.py).
"""

import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import made
import torch
from PIL import Image

from geodesic_lightning.report.files import write_animation

HERE = Path(__file__).parent
FIGURES, RUNS = HERE / "figures", HERE.parent / "outputs" / "figures" / made.fingerprint()
PAIRS = "geodesic_lightning/models/embedded/pairs"
EIGHT = [
    f"{PAIRS}/pair_{n}_{e}.png" for n in ("cat", "ears", "mood", "colour") for e in ("start", "end")
]
AHEAD = ("solver=ivp", "solver.frames=9")

# name: (command after `python -m geodesic_lightning`, {file of the run: picture})
COMMANDS = {
    "cat": (("data=pair_cat",), {"strip.png": "pair_cat_strip.png", "curves.png": "pair_cat_curves.png"}),
    "onward": (
        (*AHEAD, "velocity=continue", f"velocity.path={RUNS / 'cat'}", "solver.length=0.5"),
        {"strip.png": "extrapolation_strip.png"},
    ),
    "prompt": (
        (
            *AHEAD, "velocity=prompt", 'velocity.prompt="a sad blue cat with short round ears"', "solver.length=2",
            "optimizer=picard",
        ),
        {"strip.png": "extrapolation_prompt.png"},
    ),
    "fan": (
        ("solver=ivp", "velocity=random", "velocity.count=4", "solver.length=0.5", "optimizer=picard"),
        {"fan.png": "extrapolation_fan.png"},
    ),
    "clip": (
        ("experiment=clip",),
        {f"report_{n}.png": f"clip_detour_{n}.png" for n in ("density", "bends", "angles")},
    ),
    "keyframes": (("experiment=keyframes", "solver.frames=13"), {"strip.png": "keyframes_strip.png"}),
    "text": (
        (
            "data=prompts", 'data.prompt_start="a happy orange cat"', 'data.prompt_end="a sly blue cat"',
            "solver.frames=9",
        ),
        {"strip.png": "text_strip.png"},
    ),
    "mean": (("experiment=mean",), {"strip.png": "mean_strip.png"}),
}  # fmt: skip
STRENGTHS = {
    "strength_slerp": ("solver=slerp",),
    **{f"strength_{k}": (f"solver.strength={k}",) for k in (0.75, 1.5, 2.5)},
    "strength_contrast": ("score=contrast",),
}
DASHBOARD = {
    "dash_bvp": ("data=pair_cat", "solver=bvp"),
    "dash_slerp": ("data=pair_cat", "solver=slerp"),
    "dash_paper": ("data=pair_cat", "solver=bvp", "optimizer=paper"),
}
# In the folder of docs/densities.py.
OWN = {
    "own_banana": (
        "model.target=densities.banana", "solver.strength=5", "data.start=[-2.5,1.1]", "data.end=[2.5,1.1]",
    ),
    "own_funnel": (
        "model.target=densities.Funnel", "solver.strength=3", "data.start=[4,-6,1]", "data.end=[4,6,-1]",
    ),
}  # fmt: skip


WAYS = (
    *(
        "lerp",
        "slerp",
        "noise_diffusion",
        "aid",
        "diffmorpher",
        "impus",
        "smooth_diffusion",
        "freemorph",
    ),
    *("bvp", "bvp retime=perceptual retime.rounds=2"),
)


def run(name: str, words: tuple[str, ...], logger: str = "csv", where: Path = HERE.parent) -> Path:
    """The folder of the run, made unless it is there; the command runs in the folder `where`."""
    folder = RUNS / name
    if not (folder / "summary.json").exists():
        command = [
            sys.executable,
            "-m",
            "geodesic_lightning",
            *words,
            f"logger={logger}",
            f"hydra.run.dir={folder}",
        ]
        subprocess.run(command, check=True, cwd=where)
    return folder


def copies(name: str) -> None:
    """A run's own pictures."""
    words, pictures = COMMANDS[name]
    folder = run(name, words)
    for source, target in pictures.items():
        shutil.copyfile(folder / source, FIGURES / target)


def cat() -> None:
    """The first picture of README.md: there and back."""
    copies("cat")
    frames = sorted((RUNS / "cat" / "frames").iterdir())
    film = torch.stack([torch.from_numpy(iio.imread(f)).permute(2, 0, 1) / 255 for f in frames])
    write_animation(film, FIGURES / "pair_cat.webp", fps=12, ping_pong=True)


def strength() -> None:
    """Strips of several strengths below each other."""
    strips = [
        Image.open(
            run(name, ("data=pair_cat", "solver.frames=9", "callbacks=video", *words)) / "strip.png"
        )
        for name, words in STRENGTHS.items()
    ]
    sheet(strips, FIGURES / "strength.webp")


def floor() -> None:
    """Strips of a free shot past the second image, and of one that stays above a floor of density."""
    words = (
        *AHEAD,
        "velocity=continue",
        f"velocity.path={RUNS / 'cat'}",
        "solver.length=1.5",
        "solver.segments=24",
    )
    run("cat", COMMANDS["cat"][0])
    strips = [
        Image.open(run(f"floor_{floor}", (*words, f"solver.floor={floor}")) / "strip.png")
        for floor in ("null", "6")
    ]  # fmt: skip
    sheet(strips, FIGURES / "extrapolation_floor.webp")


def ways() -> None:
    """Strips of every way to morph below each other."""
    words = ("data=pair_cat", "solver.frames=9", "callbacks=video", "logger=csv")
    strips = [
        Image.open(run(f"way_{k}", (*words, *f"solver={way}".split())) / "strip.png")
        for k, way in enumerate(WAYS)
    ]
    sheet(strips, FIGURES / "ways.webp")


def own_density() -> None:
    """The paths over the banana and the funnel, side by side."""
    words = ("model=python", "data=points", "callbacks=log")
    stills = [
        Image.open(run(name, (*words, *own), where=HERE) / "picture.png")
        for name, own in OWN.items()
    ]
    width, height = stills[0].size
    whole = Image.new("RGB", (2 * width, height))
    for column, still in enumerate(stills):
        whole.paste(still, (column * width, 0))
    whole.save(FIGURES / "own_density.webp", quality=85)


def morphs() -> None:
    """The plot of the benchmark of morphs, which takes two hours where it has not been run."""
    folder = HERE.parent / "outputs" / "benchmark" / "morphs"
    if not (folder / "measures.png").exists():
        command = [sys.executable, "-m", "geodesic_lightning.benchmark", "morphs", "--jobs", "2"]
        subprocess.run(command, check=True, cwd=HERE.parent)
    shutil.copyfile(folder / "measures.png", FIGURES / "morphs.png")


def sheet(strips: list[Image.Image], file: Path) -> None:
    """Strips below each other."""
    width, height = strips[0].size
    whole = Image.new("RGB", (width, len(strips) * (height + 3) - 3), "white")
    for row, strip in enumerate(strips):
        whole.paste(strip, (0, row * (height + 3)))
    whole.save(file, quality=85)


def sweep() -> None:
    """A strip of each job."""
    folder = RUNS / "sweep"
    words = ("experiment=strength", "solver.frames=9", "callbacks=video", "logger=csv")
    resume = (f"hydra.sweep.dir={folder}", "sweep.resume=true")
    command = [sys.executable, "-m", "geodesic_lightning", *words, *resume]
    subprocess.run(command, check=True, cwd=HERE.parent)
    strips = [Image.open(folder / str(job) / "strip.png") for job in range(9)]
    sheet(strips, FIGURES / "sweep_strength.webp")


def distance() -> None:
    """The map of eight cats."""
    folder = RUNS / "distance"
    if not (folder / "distance.json").exists():
        command = [sys.executable, "-m", "geodesic_lightning.distance", *EIGHT, f"folder={folder}"]
        subprocess.run(command, check=True, cwd=HERE.parent)
    shutil.copyfile(folder / "distance.png", FIGURES / "distance.png")


def clips() -> None:
    """The three shipped clips below each other, nine frames of each."""
    from geodesic_lightning.models.embedded.train.clips import FOLDER

    strips = []
    for name in ("even", "uneven", "detour"):
        frames = iio.imread(FOLDER / f"clip_{name}.mp4", plugin="FFMPEG")
        chosen = frames[[round(k * (len(frames) - 1) / 8) for k in range(9)]]
        strips.append(Image.fromarray(chosen.swapaxes(0, 1).reshape(chosen.shape[1], -1, 3)))
    sheet(strips, FIGURES / "clips.webp")


def dashboard() -> None:
    """The panels of docs/dashboard.md, from what three runs logged."""
    for name, words in DASHBOARD.items():
        run(name, words, "default")
    runs = [str(RUNS / name) for name in DASHBOARD]
    subprocess.run([sys.executable, str(HERE / "dashboard.py"), *runs], check=True, cwd=HERE.parent)


def ui() -> None:
    """The page to morph in, after its first example was run; it wants Gradio, playwright and Chromium."""
    from playwright.sync_api import sync_playwright

    place, port = RUNS / "ui", 7955
    place.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "geodesic_lightning.ui", f"--port={port}", "logger=csv"]
    server = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        server.stdout.readline()  # its address, once it listens
        with sync_playwright() as started:
            browser = started.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 1080})
            page.goto(f"http://127.0.0.1:{port}")
            page.locator("#examples button").first.click()
            page.wait_for_function("document.querySelectorAll('#ends img').length == 2")
            page.click("#run")
            page.locator(".status", has_text="Done").wait_for(timeout=300_000)
            page.wait_for_function("document.querySelector('video')?.currentTime > 0.5")
            page.screenshot(path=place / "page.png")
        Image.open(place / "page.png").convert("RGB").save(FIGURES / "ui.webp", quality=85)
    finally:
        server.terminate()
        server.wait()


MAKERS = {
    "cat": cat,
    **{name: (lambda name=name: copies(name)) for name in COMMANDS if name != "cat"},
    "strength": strength,
    "floor": floor,
    "distance": distance,
    "sweep": sweep,
    "clips": clips,
    "dashboard": dashboard,
    "ways": ways,
    "own_density": own_density,
    "morphs": morphs,
    "ui": ui,
}

PICTURES = {name: tuple(pictures.values()) for name, (_, pictures) in COMMANDS.items()} | {
    "cat": ("pair_cat.webp", *COMMANDS["cat"][1].values()),
    "strength": ("strength.webp",),
    "floor": ("extrapolation_floor.webp",),
    "distance": ("distance.png",),
    "sweep": ("sweep_strength.webp",),
    "clips": ("clips.webp",),
    "dashboard": ("dashboard.webp",),
    "ways": ("ways.webp",),
    "own_density": ("own_density.webp",),
    "morphs": ("morphs.png",),
    "ui": ("ui.webp",),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        if name not in MAKERS:
            sys.exit(f"Error: no picture {name}, expected one of {', '.join(MAKERS)}.")
        MAKERS[name]()
        made.record(name, PICTURES[name])

"""When to decode, what to write, what to show: one callback a file, and each only observes.

A callback reads the solver and never changes it: no parameter, no random state, no logged value.
What it reads:

    solver.path        `.nodes` (N - 1, ...), `.u` (N + 1,), `.points()` (N + 1, d)
    solver.problem     `.alpha`
    solver.frames(n)   the present path decoded, (n, 3, H, W) in [0, 1]; costs the network's time
    solver.report      the latest scalars by name: length, score_evaluations, level, ...
    solver.densities() curves of log density over u, by name; costs nothing
    solver.places(n)   where on the path the frames are
    solver.summary()   what the run found, after validation, ready for JSON

Final callbacks write once, after `trainer.validate`; in the list they come before Table, which
names the files that are there.
"""

from .checkpoint import Checkpoint
from .clip_report import ClipReport
from .contact_sheet import ContactSheet
from .curves import Curves
from .decode import DecodeEvery
from .density_chart import DensityChart
from .final import Final
from .frame_table import FrameTable
from .frames import FrameImages
from .mean_image import MeanImage
from .page import Page
from .picture import Picture
from .progress import Progress
from .save_path import SavePath
from .strip import Strip
from .table import Table
from .video import Video

__all__ = [
    "Checkpoint",
    "ClipReport",
    "ContactSheet",
    "Curves",
    "DecodeEvery",
    "DensityChart",
    "Final",
    "FrameImages",
    "FrameTable",
    "MeanImage",
    "Page",
    "Picture",
    "Progress",
    "SavePath",
    "Strip",
    "Table",
    "Video",
]

"""Group callbacks."""

from dataclasses import dataclass


@dataclass
class Progress:
    _target_: str = "geodesic_lightning.callbacks.Progress"
    every_n_seconds: float = 30


@dataclass
class SavePath:
    _target_: str = "geodesic_lightning.callbacks.SavePath"
    folder: str = "${folder}"


@dataclass
class Checkpoint:
    _target_: str = "geodesic_lightning.callbacks.Checkpoint"
    folder: str = "${folder}"
    every_n_seconds: float = 10


@dataclass
class DecodeEvery:
    _target_: str = "geodesic_lightning.callbacks.DecodeEvery"
    folder: str = "${folder}"
    every_n_steps: int | None = None
    count: int | None = 9
    fps: float = 12


@dataclass
class Page:
    _target_: str = "geodesic_lightning.callbacks.Page"
    folder: str = "${folder}"
    compare: bool = True
    fps: float = 12


@dataclass
class DensityChart:
    _target_: str = "geodesic_lightning.callbacks.DensityChart"
    every_n_steps: int = 1


@dataclass
class FrameTable:
    _target_: str = "geodesic_lightning.callbacks.FrameTable"


@dataclass
class Video:
    _target_: str = "geodesic_lightning.callbacks.Video"
    folder: str = "${folder}"
    fps: float = 12
    ping_pong: bool = False


@dataclass
class FrameImages:
    _target_: str = "geodesic_lightning.callbacks.FrameImages"
    folder: str = "${folder}"


@dataclass
class Strip:
    _target_: str = "geodesic_lightning.callbacks.Strip"
    folder: str = "${folder}"
    gap: int = 2


@dataclass
class Curves:
    _target_: str = "geodesic_lightning.callbacks.Curves"
    folder: str = "${folder}"


@dataclass
class Picture:
    _target_: str = "geodesic_lightning.callbacks.Picture"
    folder: str = "${folder}"


@dataclass
class ContactSheet:
    _target_: str = "geodesic_lightning.callbacks.ContactSheet"
    folder: str = "${folder}"
    count: int = 9
    gap: int = 2


@dataclass
class ClipReport:
    _target_: str = "geodesic_lightning.callbacks.ClipReport"
    folder: str = "${folder}"


@dataclass
class MeanImage:
    _target_: str = "geodesic_lightning.callbacks.MeanImage"
    folder: str = "${folder}"


@dataclass
class Table:
    _target_: str = "geodesic_lightning.callbacks.Table"
    folder: str = "${folder}"


SCHEMAS = {
    "page_schema": Page,
    "progress_schema": Progress,
    "save_path_schema": SavePath,
    "checkpoint_schema": Checkpoint,
    "decode_schema": DecodeEvery,
    "density_chart_schema": DensityChart,
    "video_schema": Video,
    "frames_schema": FrameImages,
    "strip_schema": Strip,
    "curves_schema": Curves,
    "picture_schema": Picture,
    "fan_schema": ContactSheet,
    "clip_report_schema": ClipReport,
    "mean_image_schema": MeanImage,
    "frame_table_schema": FrameTable,
    "table_schema": Table,
}

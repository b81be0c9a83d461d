"""A wish becomes a job: its folder, its pictures in it, its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from geodesic_lightning.ui.desk import Desk
from geodesic_lightning.ui.job import Job
from geodesic_lightning.ui.pictures import check, kept, shipped_name
from geodesic_lightning.ui.wish import Wish, key, words

__all__ = ["order"]


def order(desk: Desk, wish: Wish, fixed: Sequence[str]) -> str:
    """The ticket of the job.

    Args:
        wish: its pictures are uploads, of which the run gets copies.
        fixed: settings that hold for every run; data= among them stands for all pictures.

    Raises:
        UserError: the wish is of nothing that can be run, or too many wait. No folder is made then.
    """
    desk.check()
    if "data" in map(key, fixed):
        return desk.add(Job(desk.folder(), words(wish, fixed)))
    name = None if wish.closed else shipped_name(wish.pictures, wish.prompts)
    if name:
        return desk.add(Job(desk.folder(), words(replace(wish, shipped=name), fixed)))
    words(wish, fixed)
    check(wish.pictures)
    folder = desk.folder()
    mine = replace(wish, pictures=kept(wish.pictures, folder))
    return desk.add(Job(folder, words(mine, fixed)))

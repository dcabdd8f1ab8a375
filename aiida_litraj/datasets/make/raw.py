"""Made MPLiTrj_raw: a folder per pathway with every step of its optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import Trajectory

from .layout import fresh_folder, slots
from .paths import PER_MATERIAL, Paths, without_freezed
from .writing import write_frames

Ends = Literal['traj', 'extxyz']


def make_mplitrj_raw(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    distinct: int = 12,
    steps: int = 5,
    ends: Ends = 'traj',
    logs: bool = False,
    name: str = 'MPLiTrj_raw',
    spelling: str | None = None,
) -> Path:
    """Write ``n`` pathways, ``<edge_id>.neb`` each, and return the folder of all.

    ``ends`` is what ``source.xyz`` and ``target.xyz`` are: the publisher's script has ASE's optimiser write them, which
    makes them binary trajectories in spite of their ending; ``extxyz`` makes them what the ending says. ``logs`` adds
    the empty marks the script leaves. ``distinct`` pathways are computed, further ones repeat them.
    """
    place = fresh_folder(folder, spelling or name)
    paths = Paths(seed, PER_MATERIAL, steps, calculator)
    for slot in slots(n, PER_MATERIAL, distinct, seed):
        band = paths.band(slot.model, slot.hop)
        pathway = place / f'{paths.edge_id(slot)}.neb'
        pathway.mkdir()
        with (pathway / 'traj_init.xyz').open('wb') as stream:
            write_frames(stream, paths.place(slot, band.hop.images))
        for end, images in (('source', band.source), ('target', band.target)):
            _write_end(pathway / f'{end}.xyz', [without_freezed(image) for image in paths.place(slot, images)], ends)
        for number, step in enumerate(band.steps):
            images = [without_freezed(image) for image in paths.place(slot, step)]
            _write_trajectory(pathway / f'band_optim_step_{number}.traj', images)
        for mark in ('RUNNING', 'FINISHED') if logs else ():
            (pathway / mark).touch()
    return place


def _write_end(path: Path, images: list[Atoms], ends: Ends) -> None:
    if ends == 'extxyz':
        with path.open('wb') as stream:
            write_frames(stream, images)
    else:
        _write_trajectory(path, images)


def _write_trajectory(path: Path, images: list[Atoms]) -> None:
    with Trajectory(path, 'w') as trajectory:
        for image in images:
            trajectory.write(image)

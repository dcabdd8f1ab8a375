"""Whether configurations are new to a potential: what two sets have in common that learning and judging must not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from aiida.orm import load_node
from ase.data import chemical_symbols

from ..contract.frames import Frames
from ..data.frames import FramesData
from .functions.compare_labels import names_of

HELD_OUT = ('materials', 'trajectories', 'frames')
"""What a validation set has that was not learnt: materials, trajectories of known materials, or frames of known
trajectories."""
_SHOWN = 3


@dataclass(frozen=True)
class Materials:
    """Of what some configurations are.

    :ivar named: materials of those whose material is known; ``systems`` of all, ``unnamed`` of those without a
        material: the chemical systems.
    """

    named: frozenset[str]
    systems: frozenset[str]
    unnamed: frozenset[str]


@dataclass(frozen=True)
class Known:
    """What is known of the configurations of a set, each as far as it is: what they are, and where they are from.

    :ivar contents: checksum of atoms, places and cell.
    :ivar origins: node and index in it.
    :ivar entries: data set, if that is known, and identifier in it.
    :ivar materials: of all; ``untracked`` of those whose trajectory is not known.
    """

    contents: frozenset[bytes]
    origins: frozenset[tuple[str, int]]
    entries: frozenset[tuple[str | None, str]]
    trajectories: frozenset[str]
    materials: Materials
    untracked: Materials


def check_held_out(learnt: FramesData, judged: FramesData, held_out: str, where: str, other: str) -> None:
    """Refuse configurations to judge by that were learnt, or that are less new than ``held_out`` says.

    Where the trajectory of a configuration is not known its material takes its place, where that is not known its
    chemical system.

    :param where: what the configurations to judge by are called; ``other`` those that are learnt.
    :raises ValueError: saying what they share, and how many.
    """
    if held_out not in HELD_OUT:
        raise ValueError(f'held_out = {held_out!r} is not known; there are: {", ".join(HELD_OUT)}')
    one, two = known(judged), known(learnt)
    pairs = f'{where} and {other} share'
    apart = 'part them anew, as launch train --valid-fraction and dataset select --part do'
    for what, shared in (
        ('configuration', [digest.hex()[:8] for digest in one.contents & two.contents]),
        ('configuration', [f'{uuid[:8]}[{index}]' for uuid, index in one.origins & two.origins]),
        ('entry', _same_entries(one, two)),
    ):
        if shared:
            raise ValueError(f'{pairs} {_listed(what, shared)}: what is learnt cannot judge; {apart}')
    if held_out in ('materials', 'trajectories') and (shared := sorted(one.trajectories & two.trajectories)):
        raise ValueError(
            f'{pairs} {_listed("trajectory", shared)}: frames of one are nearly alike; {apart}, or if frames of known '
            "trajectories are meant, say held_out = 'frames'"
        )
    if held_out == 'materials' and (shared := _same_materials(one.materials, two.materials)):
        raise ValueError(
            f'{pairs} {_listed("material", shared)}: it would be told how well known materials are fitted; {apart}, or '
            "if known materials are meant, say held_out = 'trajectories' or 'frames'"
        )
    if held_out == 'trajectories' and (shared := _untracked(one, two)):
        raise ValueError(
            f'{pairs} {_listed("material", shared)} with configurations whose trajectory is not known, so that frames '
            f"of one may be in both; {apart}, give trajectory_ids, or if that is meant, say held_out = 'frames'"
        )


def _same_entries(one: Known, two: Known) -> list[str]:
    """Return identifiers that both have, unless they are known to be of different data sets."""
    sets: dict[str, set[str | None]] = {}
    for dataset, name in two.entries:
        sets.setdefault(name, set()).add(dataset)
    return sorted({name for dataset, name in one.entries if _may_be_one(dataset, sets.get(name))})


def _may_be_one(dataset: str | None, others: set[str | None] | None) -> bool:
    return others is not None and (dataset is None or None in others or dataset in others)


def _untracked(one: Known, two: Known) -> list[str]:
    """Return the materials that both have, unless the trajectories of it are known in both."""
    return sorted({*_same_materials(one.untracked, two.materials), *_same_materials(one.materials, two.untracked)})


def _same_materials(one: Materials, two: Materials) -> list[str]:
    unnamed = (one.unnamed & two.systems) | (two.unnamed & one.systems)
    return sorted(one.named & two.named) + [f'of unknown name in {system}' for system in sorted(unnamed)]


_PLURALS = {'entry': 'entries', 'trajectory': 'trajectories'}


def _listed(what: str, shared: list[str]) -> str:
    """Return how many there are, and the first of them."""
    noun = what if len(shared) == 1 else _PLURALS.get(what, f'{what}s')
    more = f' and {len(shared) - _SHOWN} more' if len(shared) > _SHOWN else ''
    return f'{len(shared)} {noun} ({", ".join(sorted(shared)[:_SHOWN])}{more})'


def known(node: FramesData) -> Known:
    """Return what is known of the configurations of a node; of a stored one it is found out once."""
    return _stored(node.uuid) if node.is_stored else _known(node)


@lru_cache(maxsize=8)
def _stored(uuid: str) -> Known:
    return _known(load_node(uuid))


def _known(node: FramesData) -> Known:
    frames = node.shared_frames
    materials = names_of(node, frames, 'material') or [None] * frames.n_frames
    trajectories = names_of(node, frames, 'trajectory') or [None] * frames.n_frames
    pairs = list(zip(materials, chemical_systems(frames), strict=True))
    dataset, ids = _dataset(node), entry_ids(node, frames)
    return Known(
        contents=frozenset(_contents(frames)),
        origins=frozenset(origins(node)),
        entries=frozenset((dataset, name) for name in ids if name is not None),
        trajectories=frozenset(name for name in trajectories if name is not None),
        materials=_materials(pairs),
        untracked=_materials([pair for pair, name in zip(pairs, trajectories, strict=True) if name is None]),
    )


def _materials(pairs: Iterable[tuple[str | None, str]]) -> Materials:
    """Return of what configurations are, of material and chemical system of each."""
    different = set(pairs)
    return Materials(
        named=frozenset(name for name, _ in different if name is not None),
        systems=frozenset(system for _, system in different),
        unnamed=frozenset(system for name, system in different if name is None),
    )


def groups(node: FramesData, unit: str) -> list[str]:
    """Return what each configuration is kept together with: its material, its trajectory, or nothing (``frames``).

    Of configurations whose material is not known it is the chemical system. A material, or system, of which the
    trajectory of a configuration is not known is kept together as a whole.
    """
    frames = node.shared_frames
    if unit == 'frames':
        return [f'frame {index}' for index in range(frames.n_frames)]
    materials = names_of(node, frames, 'material')
    if materials is None or None in materials:
        materials = list(chemical_systems(frames))
    if unit == 'materials':
        return [str(name) for name in materials]
    trajectories = names_of(node, frames, 'trajectory') or [None] * frames.n_frames
    whole = {material for material, name in zip(materials, trajectories, strict=True) if name is None}
    return [
        str(material if material in whole else name) for material, name in zip(materials, trajectories, strict=True)
    ]


def origins(node: FramesData) -> list[tuple[str, int]]:
    """Return node and index in it that each configuration was chosen from; of no selection the node itself."""
    chosen = node.base.attributes.get('origins', None)
    if chosen is not None and len(chosen) == node.n_frames:
        return [(str(uuid), int(index)) for uuid, index in chosen]
    return [(node.uuid, index) for index in range(node.n_frames)]


def entry_ids(node: FramesData, frames: Frames) -> list[str | None]:
    """Return the identifier of each configuration, if it is known."""
    if len(node.entry_ids) == frames.n_frames:
        return [None if name is None else str(name) for name in node.entry_ids]
    found = [info.get('entry_id') for info in frames.info] or [None] * frames.n_frames
    return [None if name is None else str(name) for name in found]


def _dataset(node: FramesData) -> str | None:
    """Return the data set of all configurations, ``None`` if it is not known, or they are of several."""
    attributes = node.base.attributes
    several: list[str] = attributes.get('datasets', None) or []
    one: str | None = several[0] if len(several) == 1 else attributes.get('dataset', None)
    return one


def chemical_systems(frames: Frames) -> list[str]:
    """Return the elements of each configuration, like ``Li-P-S``."""
    return _each(frames, lambda atoms, _: _system(np.unique(frames.numbers[atoms]).tobytes()))


@lru_cache(maxsize=4096)
def _system(numbers: bytes) -> str:
    return '-'.join(sorted(chemical_symbols[number] for number in numbers))


def _contents(frames: Frames) -> Iterable[bytes]:
    def digest(atoms: slice, index: int) -> bytes:
        parts = (frames.numbers[atoms], frames.positions[atoms], frames.cells[index], frames.pbc[index])
        return hashlib.sha256(b'|'.join(np.ascontiguousarray(part).tobytes() for part in parts)).digest()

    return _each(frames, digest)


def _each(frames: Frames, of: Callable[[slice, int], object]) -> list:  # type: ignore[type-arg]
    ends = frames.offsets.tolist()
    return [of(slice(ends[index], ends[index + 1]), index) for index in range(frames.n_frames)]

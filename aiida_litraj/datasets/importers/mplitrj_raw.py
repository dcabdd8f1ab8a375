"""MPLiTrj_raw: a folder per pathway with the band after every step of its optimisation, and what it began with.

Some files named ``.xyz`` are trajectories in ASE's binary format, because ASE's optimisers write nothing else; the
first bytes tell.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...contract.frames import Frames
from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..extxyz import format_frame, read_block
from ..source import Source
from .base import CHUNK_SIZE, READ_ERRORS, Importer, missing, without_repeats
from .streams import below

if TYPE_CHECKING:
    from ase import Atoms

STEP: Final = re.compile(r'^band_optim_step_(\d+)\.traj$')
NEEDED: Final = ('traj_init.xyz', 'source.xyz', 'target.xyz')
"""What belongs to each pathway beside its steps."""
OTHERS: Final = (*NEEDED, 'neb.xyz', 'traj_final.xyz')
"""What may lie beside the steps, in this order."""
BINARY: Final = b'- of Ulm'
PATHWAY: Final = re.compile(r'^(.+?)(?:_-?\d+){5}(?:\.neb)?$')
"""Material, source, target and the three integers of the cell offset."""
MAX_BYTES: Final = 32 << 20


class BandImporter(Importer):
    """An entry is a file: ``<folder>/<step>`` a band with its energies, ``<folder>/source`` and so on the others.

    One entry per step, not per image, because the springs couple the images: a step is what the optimiser saw. The
    initial path and the ends are entries of their own, so that nothing is stored once per step. Their material is
    what the name of the folder begins with, ``mp-1_2_3_0_0_0.neb``, so that a split by material parts neither the
    steps of an optimisation nor the pathways of a crystal; of a folder of another name it is the folder.
    """

    layout = 'mplitrj_raw'

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        folders: dict[str, set[str]] = {}
        problems = []
        for name in source.members:
            folder, _, file = name.rpartition('/')
            if STEP.match(file) or file in OTHERS:
                folders.setdefault(folder, set()).add(file)
        if not folders:
            raise ValueError(f'{source.path} has no band_optim_step_*.traj')
        for folder, files in folders.items():
            problems += [Problem(folder, 0, None, f'there is no {other}') for other in NEEDED if other not in files]
            if not any(STEP.match(file) for file in files):
                problems.append(Problem(folder, 0, None, 'there is no band_optim_step_*.traj'))
        ordered = sorted((place, name) for name in source.members if (place := _order(name)) is not None)
        return [Part('bands', None, tuple(name for _, name in ordered))], problems

    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        payload: list[tuple[str, bytes]] = []
        unreadable: dict[str, str] = {}
        first = start.offset
        n_bytes = 0
        for number in range(start.offset, len(part.members)):
            name = part.members[number]
            try:
                content = source.read(name)
            except READ_ERRORS as error:
                content, unreadable[name] = b'', f'cannot be read: {error}'
            payload.append((name, content))
            n_bytes += len(content)
            if len(payload) == size or n_bytes > MAX_BYTES or number + 1 == len(part.members):
                here, end = Cursor(first, first), Cursor(number + 1, number + 1)
                yield Chunk(part.name, None, here, end, payload, payload[0][0], {'unreadable': unreadable})
                payload, unreadable, first, n_bytes = [], {}, number + 1, 0

    def parse(self, card: Card, chunk: Chunk) -> Parsed:
        assert not isinstance(chunk.payload, bytes)
        entries: list[Entry] = []
        problems: list[Problem] = []
        for number, (name, content) in enumerate(chunk.payload, chunk.first_number):
            folder, _, file = name.rpartition('/')
            step = STEP.match(file)
            entry_id = f'{folder}/{int(step[1]) if step else file.rsplit(".", 1)[0]}'.lstrip('/')
            reason = chunk.context['unreadable'].get(name)
            binary = step is not None or content.startswith(BINARY)
            frames: Frames | tuple[str, int]
            if reason is not None:
                frames = (reason, 0)
            else:
                frames = read_trajectory(content) if binary else _read_xyz(card, content)
            if isinstance(frames, tuple):
                problems.append(Problem(name, frames[1], entry_id, frames[0]))
                continue
            properties: dict[str, Any] = {'pathway': folder}
            if step:
                properties['step'] = int(step[1])
            entry = Entry(entry_id, None, _material(folder), frames, properties, name, 0 if binary else 1, number)
            lacking = missing(card, entry) if step else None
            if lacking is None:
                entries.append(entry)
            else:
                problems.append(Problem(name, 0, entry_id, lacking))
        return Parsed(without_repeats(entries, problems), problems)

    def write(self, card: Card, entries: Iterable[Entry], folder: Path) -> Path:
        from ase.io.trajectory import TrajectoryWriter

        top = folder / card.name
        for entry in entries:
            path = below(top, entry.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry.line == 0:
                with TrajectoryWriter(path, 'w') as writer:
                    for image in images_of(entry.frames):
                        writer.write(image)
            else:
                path.write_bytes(b''.join(format_frame(frame, card.keys) for frame in entry.frames))
        top.mkdir(parents=True, exist_ok=True)
        return top


def _material(folder: str) -> str | None:
    match = PATHWAY.match(folder.rpartition('/')[2])
    return match[1] if match else folder or None


def _order(member: str) -> tuple[str, int, int] | None:
    """Return the place of a file: its pathway, what came before the steps, the steps by number."""
    folder, _, file = member.rpartition('/')
    step = STEP.match(file)
    if step:
        return folder, len(OTHERS), int(step[1])
    return (folder, OTHERS.index(file), 0) if file in OTHERS else None


def _read_xyz(card: Card, content: bytes) -> Frames | tuple[str, int]:
    found = read_block(content, card.keys)
    if not found:
        return 'is empty', 0
    for image in found:
        if image.frame is None:
            return f'image {image.number}: {image.reason}', image.wrong_line
    try:
        return Frames.stack([image.frame for image in found if image.frame is not None])
    except ValueError as error:
        return str(error), 0


def read_trajectory(content: bytes) -> Frames | tuple[str, int]:
    """Return the images of a file in ASE's binary format, or why it cannot be read and line 0.

    The format is arrays and JSON, nothing in it is unpickled.
    """
    from ase.io.trajectory import TrajectoryReader

    try:
        with TrajectoryReader(io.BytesIO(content)) as reader:
            images = [reader[number] for number in range(len(reader))]
    except Exception as error:  # the reader has no error of its own: damage shows as any of them
        return f'is no trajectory of ASE: {type(error).__name__}: {error}', 0
    if not images:
        return 'has no image', 0
    for number, image in enumerate(images):
        image.set_constraint()
        results = {} if image.calc is None else image.calc.results
        for name, values in (('positions', image.positions), ('cell', image.cell[:]), *results.items()):
            if values is not None and np.asarray(values).dtype.kind == 'f' and not np.isfinite(values).all():
                return f'image {number}: {name} hold a number that is not finite', 0
    try:
        return frames_of(images)
    except (ValueError, TypeError) as error:
        return str(error), 0


def frames_of(images: Sequence[Atoms]) -> Frames:
    """Return images of ASE as frames, with everything that their calculators know.

    :raises ValueError: if their arrays differ.
    """
    from ...analysis.frames import from_ase

    for image in images:
        for name, value in ({} if image.calc is None else image.calc.results).items():
            if name in _OWN or value is None:
                continue
            if np.shape(value)[:1] == (len(image),):
                image.set_array(name, np.asarray(value))
            else:
                image.info[name] = value
    return from_ase(images)


def images_of(frames: Frames) -> list[Atoms]:
    """Return frames as images of ASE, with what ``frames_of`` took from their calculators on calculators again."""
    from ase.calculators.calculator import all_properties
    from ase.calculators.singlepoint import SinglePointCalculator

    from ...analysis.frames import to_ase

    images = to_ase(frames)
    for image in images:
        for place in (image.arrays, image.info):
            results = {name: place.pop(name) for name in all_properties if name in place}
            if results:
                known = {} if image.calc is None else image.calc.results
                image.calc = SinglePointCalculator(image, **known, **results)
    return images


_OWN: Final = frozenset({'energy', 'forces', 'stress'})

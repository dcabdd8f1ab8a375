"""Configurations to be labelled or judged, from files and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Refusal

if TYPE_CHECKING:
    from ase import Atoms

    from ..data.frames import FramesData

_ONE_CRYSTAL = ('.cif', '.mcif')
_OF_ANOTHER_LABEL = ('level', 'uuid')
"""What an export of labels puts into the info: of a label of before."""
_OF_A_CRYSTAL = ('spacegroup', 'spacegroup_kinds', 'unit_cell', 'occupancy')
"""What ASE reads with a CIF, and is no longer true of atoms off their sites."""
REMEDY = 'Give a CIF, POSCAR or extended xyz file, or the pk of configurations or of a structure.'


def load_configurations(texts: Sequence[str], rattle_ang: float = 0.0, seed: int = 0) -> FramesData:
    """Return the configurations in files and nodes, one after the other; the same ones give the same node.

    Of a file all configurations are taken. Each has an ``entry_id``: that which it has, or the name of its file with
    its number in it; and a ``material_id``, that which it has, or else its reduced formula: several files are often
    of one crystal, and would count as so many independent materials. The ``entry_id`` of a displaced one has amount and
    seed in it.

    :param rattle_ang: standard deviation of normal displacements in Ang, put on every coordinate of every atom.
    :param seed: of the displacements.
    :raises Refusal: if one is neither, or cannot be read.
    """
    from ..data.frames import FramesData

    found = [_read(text) for text in texts]
    if len(found) == 1 and isinstance(found[0], FramesData) and not rattle_ang:
        return found[0]
    images: list[Atoms] = []
    ids: list[str] = []
    materials: list[str] = []
    for one in found:
        atoms, names, of = (one.to_ase(), _ids(one), _materials(one)) if isinstance(one, FramesData) else one
        images += [_bare(each) for each in atoms]
        ids += names
        materials += of
    if rattle_ang:  # each draw is an entry of its own
        ids = [f'{one}_rattled_{rattle_ang:g}_{seed}' for one in ids]
    return _find_or_store(_rattled(images, rattle_ang, seed), _told_apart(ids), materials)


def _read(text: str) -> Any:
    """Return a node of configurations, or ASE's atoms with their names and materials."""
    from ..data.frames import FramesData

    path = Path(text).expanduser()
    if path.is_dir():
        raise Refusal(f'the configurations {text} are a folder', 'Name the files in it that are meant.')
    if path.is_file() or path.suffix or '/' in text:
        return _read_file(path)
    from aiida.orm import StructureData

    from .processes import load_any

    node: Any = load_any(text)
    if isinstance(node, FramesData):
        return node
    if isinstance(node, StructureData):
        name = node.label or f'structure_{node.uuid[:8]}'
        atoms = node.get_ase()
        return [atoms], [name], [_material(atoms)]
    outputs = getattr(node, 'outputs', ())
    if 'frames' in outputs and isinstance(outputs.frames, FramesData):
        return outputs.frames
    from ..groups.label_chains import is_label_chain, progress_text

    if is_label_chain(node):
        into = f', or --dataset {node.inputs.dataset.value}' if 'dataset' in node.inputs else ''
        raise Refusal(
            f'{progress_text(node)}; its configurations are one node when it has ended',
            f'Those that there are: aiida-litraj dataset export {node.pk} -o labels.xyz, and that file{into}.',
        )
    raise Refusal(f'node {text} is a {type(node).__name__}, and holds no configurations', REMEDY)


def _read_file(path: Path) -> tuple[list[Atoms], list[str], list[str]]:
    import ase.io

    from .structures import read_crystal, read_file, reason_of

    if path.suffix.lower() in _ONE_CRYSTAL or not path.is_file():
        return _of_one(read_file(str(path)), path)
    try:
        images = ase.io.read(str(path), index=':')
    except Exception as error:  # readers of ASE raise whatever parsing meets
        raise Refusal(f'the configurations {path} cannot be read: {reason_of(error)}', REMEDY) from error
    if len(images) == 1:
        return _of_one(read_crystal(path), path)
    names = [str(atoms.info.get('entry_id', f'{path.stem}_{index}')) for index, atoms in enumerate(images)]
    return images, names, [_material(atoms) for atoms in images]


def _of_one(atoms: Atoms, path: Path) -> tuple[list[Atoms], list[str], list[str]]:
    return [atoms], [path.stem], [_material(atoms)]


def _material(atoms: Atoms) -> str:
    """Return what a configuration says of its material, or else its reduced formula."""
    import numpy as np

    from ..analysis.frames import composition

    formula = composition(np.bincount(atoms.numbers, minlength=1).tobytes())[0]
    return str(atoms.info.get('material_id', formula))


def _bare(atoms: Atoms) -> Atoms:
    """Return atoms with what a label keeps: no arrays, no results of before, of the info what JSON can hold."""
    from ase import Atoms

    info = {
        key: value
        for key, value in atoms.info.items()
        if isinstance(value, str | int | float | bool) and key not in _OF_ANOTHER_LABEL
    }
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell[:], pbc=atoms.pbc, info=info)


def _ids(node: FramesData) -> list[str]:
    if len(node.entry_ids) == node.n_frames:
        return node.entry_ids
    name = node.label or f'frames_{node.uuid[:8]}'
    return [name] if node.n_frames == 1 else [f'{name}_{index}' for index in range(node.n_frames)]


def _materials(node: FramesData) -> list[str]:
    attributes = node.base.attributes
    many, one = attributes.get('material_ids', []), attributes.get('material_id', None)
    names = many if len(many) == node.n_frames else [one] * node.n_frames
    return [name or _material(atoms) for name, atoms in zip(names, node.to_ase(), strict=True)]


def _told_apart(ids: list[str]) -> list[str]:
    """Return names with a number behind those that occur again: an entry of a set has a name of its own."""
    seen: dict[str, int] = {}
    told = []
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
        told.append(name if seen[name] == 1 else f'{name}-{seen[name]}')
    return told


def _rattled(images: list[Atoms], amount: float, seed: int) -> list[Atoms]:
    import numpy as np

    generator = np.random.default_rng(seed)
    for atoms in images if amount else ():
        atoms.positions += generator.normal(0.0, amount, atoms.positions.shape)
        for key in _OF_A_CRYSTAL:
            atoms.info.pop(key, None)
        atoms.info |= {'rattle_ang': amount, 'rattle_seed': seed}
    return images


def _find_or_store(images: list[Atoms], ids: list[str], materials: list[str]) -> FramesData:
    """Return the stored configurations that are just these, after storing them if there are none."""
    from aiida.orm import QueryBuilder

    from ..analysis.frames import from_ase
    from ..data.frames import FramesData

    node = FramesData.from_frames(from_ase(images), {'entry_ids': ids, 'material_ids': materials})
    same = {'extras._aiida_hash': node.base.caching._compute_hash()}
    found = QueryBuilder().append(FramesData, filters=same).limit(1).all(flat=True)
    return found[0] if found else node.store()

"""Crystals from files and nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import Refusal

if TYPE_CHECKING:
    from aiida.orm import StructureData
    from ase import Atoms

_FULL = 0.999
"""Occupancies in files are rounded; above this a site is taken as full."""


def load_structure(text: str) -> StructureData:
    """Return the structure in a file, or the node with this pk or uuid; the same file gives the same node.

    :raises Refusal: if it is neither, can't be read, has no cell or has partially occupied sites.
    """
    path = Path(text).expanduser()
    if path.is_file() or path.suffix or '/' in text:
        return _find_or_store(read_file(text), path.stem)
    return _load_node(text)


def read_file(name: str) -> Atoms:
    """Return the crystal in a file that may not be there.

    :raises Refusal: also if it is not.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        raise Refusal(f'the structure {name} is a folder', 'Name the file in it that is meant.')
    if not path.is_file():
        raise Refusal(f'the structure {name} is not there: no such file', 'Give a CIF, POSCAR or extended xyz file.')
    return read_crystal(path)


def _load_node(text: str) -> StructureData:
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import StructureData, load_node

    try:
        node = load_node(text)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise Refusal(
            f'the structure {text!r} is neither a file nor the pk or uuid of a node', 'Give the path of a CIF file.'
        ) from error
    if not isinstance(node, StructureData):
        raise Refusal(f'node {text} is a {type(node).__name__}, not a structure', 'Give the pk of a StructureData.')
    return node


def read_crystal(path: Path) -> Atoms:
    """Return the crystal in a file, its atoms in the order of the file.

    :raises Refusal: naming file, site and what to do.
    """
    import ase.io

    if path.suffix.lower() in ('.cif', '.mcif'):
        _refuse_partial_occupancy(path)
    try:
        atoms = ase.io.read(str(path), index=-1)
    except Exception as error:
        # The readers of ASE raise whatever parsing meets: KeyError, IndexError, AssertionError and others.
        raise Refusal(
            f'the structure {path} cannot be read: {reason_of(error)}', 'Give a CIF, POSCAR or extended xyz file.'
        ) from error
    if not atoms.pbc.any() or not atoms.cell.rank:
        raise Refusal(
            f'the structure {path} has no cell', 'Give a crystal: a CIF or POSCAR, or an xyz file with Lattice="...".'
        )
    return atoms


def _refuse_partial_occupancy(path: Path) -> None:
    """Refuse a CIF file with a site that is not fully occupied by one element."""
    from ase.io.cif import parse_cif

    try:
        blocks = list(parse_cif(str(path)))
    except Exception as error:
        raise Refusal(
            f'the structure {path} cannot be read: {reason_of(error)}', 'Check that it is a CIF file.'
        ) from error
    if not blocks:
        raise Refusal(f'the structure {path} cannot be read: it has no data block', 'Check that it is a CIF file.')
    for block in blocks:
        occupancies = _listed(block, '_atom_site_occupancy')
        labels = _listed(block, '_atom_site_label') or _listed(block, '_atom_site_type_symbol')
        for index, occupancy in enumerate(occupancies):
            if isinstance(occupancy, int | float) and occupancy < _FULL:
                label = labels[index] if index < len(labels) else f'number {index}'
                raise Refusal(
                    f'the site {label} in {path} is only partially occupied ({occupancy:g})',
                    'A hop needs a crystal in which every site has one atom: give an ordered structure.',
                )


def reason_of(error: Exception) -> str:
    """Return what a reader of ASE met, in words where it has none: an assertion or a missing line says nothing."""
    text = str(error).strip()
    if isinstance(error, KeyError | IndexError | AssertionError | StopIteration) or not text:
        told = text and not isinstance(error, IndexError)  # which only has the words of Python
        return f'its content is not what its format asks for{f" ({text})" if told else ""}'
    return text


def _listed(block: Any, key: str) -> list[Any]:
    value = block.get(key)
    return value if isinstance(value, list) else [] if value is None else [value]


def _find_or_store(atoms: Atoms, name: str) -> StructureData:
    """Return the stored structure with exactly these atoms, after storing it if there is none, labelled ``name``."""
    from aiida.orm import QueryBuilder, StructureData

    node = StructureData(ase=atoms)
    node.label = name
    same = {'extras._aiida_hash': node.base.caching._compute_hash()}
    found = QueryBuilder().append(StructureData, filters=same).limit(1).all(flat=True)
    return found[0] if found else node.store()

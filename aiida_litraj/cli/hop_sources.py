"""Hops of a launch, as a person names them: a data set or split, chains, jobs, and single paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..report.words import counted
from .errors import Refusal

if TYPE_CHECKING:
    from ..groups.hops import StoredHop

REMEDY = (
    'Give a data set of paths such as nebDFT2k/test, or pks: of paths, of a launch neb, neb-benchmark, barrier or '
    'dft-neb, or of a job.'
)


def load_hops(texts: Sequence[str], limit: int | None = None) -> dict[str, StoredHop]:
    """Return the hops that texts name, by names that a link can have, the first ``limit`` of them.

    :raises Refusal: if a text is no path and nothing that has some.
    :raises ValueError: if two hops have the same name.
    """
    hops: dict[str, StoredHop] = {}
    for text in texts:
        left = None if limit is None else limit - len(hops)
        if left is not None and left < 1:
            break
        found = _load(text, left)
        twice = sorted(hops.keys() & found.keys())
        if twice:
            raise ValueError(f'{text}: another hop is called {twice[0]} already; give each hop once')
        hops |= dict(list(found.items())[:left])
    return hops


def with_reference(hops: Mapping[str, StoredHop]) -> tuple[dict[str, StoredHop], list[str]]:
    """Return the hops that have a reference, and the names of the others.

    :raises Refusal: if none has.
    """
    known = {name: hop for name, hop in hops.items() if hop.reference is not None}
    if not known:
        said = 'the hop has no' if len(hops) == 1 else f'none of {len(hops)} hops has a'
        raise Refusal(
            f'{said} converged path to compare with',
            'Entries of nebDFT2k have one; of your own hops: aiida-litraj launch neb SOURCE --potential STRONGER '
            '--protocol tight, then give its pk.',
        )
    return known, [name for name in hops if name not in known]


def _load(text: str, limit: int | None) -> dict[str, StoredHop]:
    from aiida.orm import ProcessNode

    from ..data.path import PathData
    from ..groups.hops import hop_name, hop_of_path, hops_of_process, hops_of_set

    node = node_of(text)
    if node is None:
        return hops_of_set(text, limit)
    if isinstance(node, PathData):
        return {hop_name(node.label or f'path_{node.pk}', ()): hop_of_path(node)}
    hops = hops_of_process(node) if isinstance(node, ProcessNode) else {}
    if not hops:
        raise Refusal(f'node {text} is a {type(node).__name__} without paths', REMEDY)
    return hops


def node_of(text: str) -> Any:
    """Return the node of a source, ``None`` if it is a data set.

    :raises Refusal: if there is no node with that pk or uuid.
    """
    from .processes import load_any

    return load_any(text) if _is_node(text) else None


def _is_node(text: str) -> bool:
    """Return whether a text is meant as a pk or uuid: such a name of a set would have to be chosen on purpose."""
    from uuid import UUID

    if text.isdigit():
        return True
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def sizes_text(hops: Mapping[str, StoredHop]) -> str:
    """Return in words how many hops there are, and of which size."""
    paths = [hop.initial for hop in hops.values()]
    atoms, images = sorted(path.natoms for path in paths), sorted({path.n_images for path in paths})
    size = f'{atoms[0]}' if atoms[0] == atoms[-1] else f'{atoms[0]} to {atoms[-1]}'
    count = f'{images[0]}' if len(images) == 1 else f'{images[0]} to {images[-1]}'
    return f'{counted(len(paths), "path")} of {size} atoms and {count} images'

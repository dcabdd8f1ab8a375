"""Hops of earlier barriers that a fine-tuning takes again, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..report.finetune_words import called, ordered
from ..report.words import counted
from .console import print_table
from .errors import Refusal
from .potentials import name_of
from .training_sets import spread_text

if TYPE_CHECKING:
    from aiida.orm import Node

    from ..data.path import PathData

DFT = 'gpaw'
_REMEDY = (
    'Give the pk of a finished aiida-litraj launch barrier, dft-neb or barrier-check, of a path, or an entry that is '
    'a path, as in nebDFT2k/ENTRY.'
)


def load_hops(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the hops that texts name, by names that tell them apart: start, and reference if there is one.

    :raises Refusal: if one is no path, and no process or entry that has one.
    """
    hops: dict[str, dict[str, Any]] = {}
    for text in texts:
        label, hop = _load(text)
        hops[name_of(label, hops, f'--neb {text}')] = hop
    return hops


def _load(text: str) -> tuple[str, dict[str, Any]]:
    """Return what a hop is called, and the hop."""
    from ..data.path import PathData
    from ..groups.hops import start_of
    from .processes import entry_point, load_any

    if '/' in text:
        return _entry(text)
    node: Any = load_any(text)
    if isinstance(node, PathData):
        return _title(node, node), _of_path(node)
    outputs, kind = getattr(node, 'outputs', ()), entry_point(node) if hasattr(node, 'process_type') else None
    if kind == 'litraj.barrier_check' and 'check' in outputs:
        hop = {'path': start_of(node.inputs.path)}
        if outputs.check['reference'] is not None:
            hop['reference_barrier'] = outputs.check
        return _title(node.inputs.path, node), hop
    if 'path' not in outputs or not isinstance(outputs.path, PathData):
        raise Refusal(f'node {text} is neither a path nor a process with an optimised one', _REMEDY)
    path, hop = outputs.path, _of_path(outputs.path)
    if kind == 'litraj.dft_neb':
        hop['reference'] = path
    if 'reference' in hop and 'barrier' in outputs:
        hop['reference_barrier'] = outputs.barrier
    return _title(path, node), hop


def _of_path(path: PathData) -> dict[str, Any]:
    """Return where a path began; it is a reference if DFT has found it, or if it was not computed here."""
    from ..calculations.neb import NebCalculation
    from ..groups.hops import start_of

    hop = {'path': start_of(path)}
    creator = path.creator
    by_potential = creator is not None and creator.process_type == NebCalculation.build_process_type()
    if path.energies is not None and (not by_potential or creator.inputs.potential.family == DFT):
        hop['reference'] = path
    return hop


def _entry(text: str) -> tuple[str, dict[str, Any]]:
    from aiida.orm import load_node

    from ..data.path import PathData
    from ..groups.query import find_entry

    dataset, _, entry_id = text.partition('/')
    node: Any = load_node(find_entry(dataset, entry_id).uuid)
    if not isinstance(node, PathData):
        raise Refusal(f'entry {entry_id} of {dataset} is a {type(node).__name__}, and no path', _REMEDY)
    return entry_id, _of_path(node)


def _title(path: PathData, node: Node) -> str:
    """Return a name such as ``Li3PO4_0_6_123``: crystal with its vacancy, sites if they are known, and the pk."""
    from ..report.captions import plain_formula

    sites = [str(path.labels[key]) for key in ('source', 'target') if isinstance(path.labels.get(key), int)]
    return '_'.join([plain_formula(path.symbols), *sites, str(node.pk)])


def plan_text(builder: Any) -> str:
    """Return in words how many hops are computed again, empty without any."""
    hops = builder.hops if 'hops' in builder else {}
    if not hops:
        return ''
    known = sum(any(key in one for key in ('reference', 'reference_barrier')) for one in hops.values())
    return f'; {counted(len(hops), "hop")} before and after, {known} with a reference'


def barriers_line(result: Mapping[str, Any]) -> str:
    """Return in a few words how errors of barriers have changed, empty where there is no reference."""
    barriers = result.get('barriers')
    mae = barriers and barriers['mae_barrier_ev']
    if not mae or mae['zero_shot'] is None or mae['fine_tuned'] is None:
        return ''
    return (
        f'; MAE of {counted(barriers["n_compared"], "barrier")}: {mae["zero_shot"]:.3f} → '
        f'{mae["fine_tuned"]["mean"]:.3f} eV'
    )


def print_barriers(barriers: Mapping[str, Any]) -> None:
    """Print the barriers of all hops, and their errors together."""
    rows: list[tuple[Any, ...]] = []
    for name, one in barriers['hops'].items():
        if one['reference'] is not None:
            kind = 'single points' if one['reference']['kind'] == 'single_points' else 'reference'
            rows.append((name, kind, f'{one["reference"]["barrier_ev"]:.3f}', '', '', ''))
        for potential in ordered(one['potentials']):
            rows.append((name, called(potential), *_cells(one['potentials'][potential])))
    click.echo('barriers')
    print_table(None, ('hop', 'potential', '>barrier / eV', '>error', '>path error / Å', ''), rows)
    mae, away = barriers['mae_barrier_ev'], barriers['path_error_ang']
    for words, one, unit in (('Error of barriers (MAE)', mae, 'eV'), ('Path error', away, 'Å')):
        if one['zero_shot'] is not None and one['fine_tuned'] is not None:
            tuned = spread_text(one['fine_tuned'], '.3f')
            hops = counted(barriers['n_compared'], 'hop')
            click.echo(f'{words}: {one["zero_shot"]:.3f} {unit} of the parent, {tuned} {unit} fine-tuned, over {hops}')


def _cells(own: Mapping[str, Any]) -> tuple[str | None, ...]:
    forms = (('barrier_ev', '.3f'), ('barrier_error_ev', '+.3f'), ('path_error_ang', '.3f'))
    numbers = [None if own[key] is None else format(own[key], form) for key, form in forms]
    ended = '' if own['converged'] else 'no path' if own['barrier_ev'] is None else 'not converged'
    return (*numbers, ended)

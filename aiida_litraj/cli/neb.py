"""``aiida-litraj launch neb``, and what ``show``, ``plot`` and ``status`` say of the paths of many hops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .hop_sources import load_hops, sizes_text
from .launching import launch_options, packing_option, require_caching, run_or_submit
from .options import parse_overrides

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

    from ..groups.hops import StoredHop

NEB = 'litraj.neb.packed'
TITLE = 'Paths'
MOST_ROWS = 30
ALL_IN_ONE = {'max_jobs': 1}
"""Packing of a launch that says nothing of it: one job after the other, and what jobs of before have done is taken."""


@click.command(short_help='Optimise the paths of many hops with a potential.')
@click.argument('sources', nargs=-1, required=True, metavar='SOURCE...')
@click.option('--potential', required=True, metavar='NAME', help='Label, pk or uuid of an imported potential.')
@click.option('--protocol', metavar='NAME', help='balanced, tight, litraj-2025, ...  [default: balanced]')
@click.option('--limit', type=click.IntRange(min=1), metavar='N', help='The first N hops only.')
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of the potential]')
@packing_option
@launch_options
def neb(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Optimise the paths of many hops with one potential.

    SOURCE is a data set of paths or a split of one, or the pk of a path, of a chain or of a job with paths. Each hop is
    started where its optimisation began: of an entry of nebDFT2k from its initial images, of a path that a job has
    found from the path that the job was given. Paths that an equal job of before has finished are taken from there.

    \b
    Examples:
      aiida-litraj launch neb nebDFT2k/test --potential 7net-0 --limit 10
      aiida-litraj launch neb nebDFT2k --potential 7net-0 --protocol litraj-2025 --max-jobs 20 --walltime 24h --daemon
      aiida-litraj launch neb 123 456 --potential 7net-l3i5 --protocol tight
    """
    overrides = parse_overrides(request['overrides'])
    if cache and daemon:
        require_caching()
    with refusals():
        builder, hops = prepare(request, overrides, cache)
    if not as_json:
        click.echo(plan_text(builder, hops), err=True)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def prepare(
    request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None
) -> tuple[ProcessBuilder, dict[str, StoredHop]]:
    """Return the builder of the chain and its hops; all that is wrong with the request is refused here or there."""
    from aiida.plugins import WorkflowFactory

    from .potentials import choose_potential

    chosen, job = choose_potential(request['potential'], request, cache)
    hops = load_hops(request['sources'], request['limit'])
    builder = WorkflowFactory(NEB).get_builder_from_protocol(
        code=chosen['code'],
        paths={name: hop.initial for name, hop in hops.items()},
        potential=chosen['potential'],
        protocol=request['protocol'],
        overrides=overrides,
        options=job['options'],
        computer=_computer(job),
        packing=job.get('packing') or ALL_IN_ONE,
    )
    if cache is False:
        builder.neb.metadata.disable_cache = True
    return builder, hops


def _computer(job: dict[str, Any]) -> Any:
    from aiida.orm import load_computer

    return load_computer(job['computer'])


def plan_text(builder: ProcessBuilder, hops: dict[str, StoredHop]) -> str:
    """Return in a line what will be computed."""
    job = builder.neb
    return f'{sizes_text(hops)}; {job.potential.label or job.potential.family}, protocol {job.parameters.label}'


def paths_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return what became of the paths of a chain as ``--json`` prints it, or ``None`` if it has no account."""
    if 'results' not in chain.outputs:
        return None
    paths = dict(chain.outputs.paths) if 'paths' in chain.outputs else {}
    return _content(chain, paths, chain.outputs.results.get_dict())


def paths_so_far(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the same of a chain that goes on, or was killed, as far as jobs that have ended have come."""
    from ..workflows.so_far import finished_so_far

    job = chain.inputs.neb
    paths, account = finished_so_far(job.code, job.potential, job.parameters, dict(job.paths), chain)
    return None if account is None else _content(chain, paths, account)


def _content(chain: WorkChainNode, paths: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    from ase.formula import Formula

    from ..analysis.benchmark_errors import barrier_of
    from ..contract.verdict import is_end
    from .processes import jobs_of

    job, audit, jobs = chain.inputs.neb, account['audit'] or {}, jobs_of(chain)
    rows = {}
    for name, entry in sorted(account['items'].items()):
        path = paths.get(name)
        energies = None if path is None else path.energies
        rows[name] = {
            **{key: entry.get(key) for key in ('status', 'converged', 'label', 'reason', 'n_steps', 'fmax_ev_per_ang')},
            'barrier_ev': None if energies is None else barrier_of(energies, 'forward'),
            'range_ev': None if energies is None else barrier_of(energies, 'range'),
            'formula': None if path is None else Formula.from_list(list(path.symbols)).format('hill'),
            'path_uuid': None if path is None else path.uuid,
            'path_pk': None if path is None else path.pk,
        }
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'n_paths': len(rows),
        'n_finished': sum(is_end(one) for one in rows.values()),
        'n_converged': sum(bool(one['converged']) for one in rows.values()),
        'n_earlier': account.get('n_earlier', 0) if chain.is_terminated else None,
        'paths': rows,
        'potential': job.potential.label or job.potential.family,
        'potential_sha256': audit.get('potential', {}).get('sha256'),
        'model_calls': audit.get('model_calls'),
        'n_jobs': account.get('n_jobs', 1),
        'protocol': job.parameters.label or None,
        'complete': chain.is_terminated and 'results' in chain.outputs,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def paths_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    return f'{result["n_converged"]} of {counted(result["n_paths"], "path")} converged'


def print_paths(result: dict[str, Any]) -> None:
    """Print how many converged, and of a few hops barriers and steps, those that did not converge first."""
    print_pairs(
        [
            ('potential', result['potential']),
            ('protocol', result['protocol']),
            ('converged', f'{result["n_converged"]} of {result["n_paths"]}'),
            ('finished', None if result['n_finished'] == result['n_paths'] else str(result['n_finished'])),
            ('of before', f'{result["n_earlier"]} taken from earlier jobs' if result['n_earlier'] else None),
            ('model calls', result['model_calls']),
            ('jobs', result['n_jobs']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    ordered = sorted(result['paths'].items(), key=lambda item: bool(item[1]['converged']))
    rows = [
        (name, one['formula'], _ev(one['barrier_ev']), _ev(one['range_ev']), one['n_steps'], _state(one))
        for name, one in ordered[:MOST_ROWS]
    ]
    print_table(None, ('path', 'formula', '>barrier / eV', '>max - min / eV', '>steps', ''), rows)
    if len(ordered) > MOST_ROWS:
        click.echo(f'{counted(len(ordered) - MOST_ROWS, "path")} more: aiida-litraj show {result["pk"]} --json')


def _state(one: dict[str, Any]) -> str:
    if one['converged']:
        return 'converged'
    return 'not finished' if one['status'] == 'unfinished' else f'{one["reason"] or one["label"]}'


def _ev(value: float | None) -> str | None:
    return None if value is None else f'{value:.3f}'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the energies along all paths of a chain that converged into a file and return its path.

    :raises Refusal: if the chain has no paths yet, or none at all.
    :raises ValueError: if no path converged, or the format of the picture is not known.
    """
    import numpy as np
    from aiida.orm import load_node

    from ..analysis.barriers import energy_profile
    from ..report.energy_profile import Caption
    from ..report.many_profiles import draw_many_profiles
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    profiles = {}
    for name, one in result['paths'].items():
        if one['converged']:
            path = load_node(one['path_uuid'])
            profiles[name] = energy_profile(path.get_positions(), np.asarray(path.energies), path.image_forces)
    if not profiles:
        raise ValueError(f'none of the {result["n_paths"]} paths converged: there is nothing to draw')
    lost = result['n_paths'] - len(profiles)
    caption = Caption(
        f'{counted(len(profiles), "hop")} by {result["potential"]}',
        f'protocol {result["protocol"]}' if result['protocol'] else '',
        f'{counted(lost, "path")} did not converge' if lost else '',
    )
    return save_figure(draw_many_profiles(profiles, caption), output)

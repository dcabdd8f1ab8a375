"""``aiida-litraj launch label``, and what ``show``, ``plot`` and ``status`` say of labels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import job_options, run_or_submit
from .options import json_option, parse_overrides, set_override, walltime_option, with_profile

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import AbstractCode, WorkChainNode

LABEL, CONVERGENCE = 'litraj.label', 'litraj.convergence'
TITLES = {LABEL: 'Labels', CONVERGENCE: 'Convergence'}
CACHED = 'aiida.calculations:*'
"""Calculations that ``--cache`` takes again: also those of other plugins."""


def _convergence_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option(
            '--check-convergence', 'check', is_flag=True,
            help='Compute a sample at several cutoffs and k-points instead, and tell the differences to the finest.',
        ),
        click.option('--cutoffs', metavar='EV,EV,...', help='To compare, with --check-convergence.'),
        click.option('--spacings', metavar='S,S,...', help='Of k-points in 1/Ang, to compare.'),
        click.option('--meshes', metavar='NxNxN,...', help='Of k-points, to compare.'),
        click.option('--sample', type=click.IntRange(min=1), metavar='N', help='How many configurations.'),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command(short_help='Energies, forces and stresses of configurations by a DFT code.')
@click.argument('configurations', nargs=-1, required=True)
@click.option('--code', metavar='NAME', help='Code to run, such as gpaw.  [default: the only one that gives labels]')
@click.option('--protocol', metavar='NAME', help='balanced, litraj-2025, lips25 or fast.  [default: balanced]')
@click.option(
    '--pseudo-family', metavar='NAME', help='Of pseudopotentials, for pw.x.  [default: the only one of the functional]'
)
@click.option('--dataset', metavar='NAME', help='Set that the labels join; it is made if there is none.')
@click.option('--rattle', type=click.FloatRange(min=0.0), default=0.0, metavar='ANG', help='Displace all atoms first.')
@click.option('--seed', type=int, default=0, show_default=True, help='Of the displacements.')
@_convergence_options
@click.option('--override', 'overrides', metavar='KEY.PATH=VALUE', multiple=True, help='Change one number. Repeatable.')
@walltime_option
@click.option('--max-in-flight', type=click.IntRange(min=1), metavar='N', help='Calculations under way at a time.')
@click.option(
    '--cache/--no-cache', default=None, help='Reuse equal calculations of before.  [default: as the profile says]'
)
@click.option('--daemon', is_flag=True, help='Leave it to the daemon and return at once.')
@json_option
@with_profile
def label(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Compute reference labels of CONFIGURATIONS with a DFT code: energy, forces and stress of each.

    CONFIGURATIONS are files (CIF, POSCAR, extended xyz with one or many), or the pk of configurations, of a selection
    from a data set, or of a structure. One that cannot be labelled is told with its reason; the others stay.

    \b
    Examples:
      aiida-litraj launch label Li2S.cif --code gpaw
      aiida-litraj launch label snapshots.xyz --code gpaw --protocol lips25 --dataset my-labels --daemon
      aiida-litraj launch label Li2O.cif --rattle 0.05 --code pw --protocol lips25 --pseudo-family PBEsol-paw
      aiida-litraj launch label 1234 --code gpaw --check-convergence --cutoffs 340,520,700 --spacings 0.6,0.4,0.3
      aiida-litraj launch label Li2S.cif --override level.cutoff_ev=600 --override level.kpoint_mesh=2x2x2
    """
    if cache is not None and daemon:
        name = '--cache' if cache else '--no-cache'
        raise click.UsageError(f'{name} does not reach the daemon, which goes by the profile; leave out one of the two')
    grid_options = ('cutoffs', 'spacings', 'meshes', 'sample')
    given = [name for name in grid_options if request[name] is not None]
    if given and not request['check']:
        raise click.UsageError(f'--{given[0]} says what to compare: give --check-convergence with it')
    overrides = collect_overrides(request)
    with refusals():
        builder = prepare(request, overrides)
    kind = CONVERGENCE if request['check'] else LABEL
    if not as_json:
        click.echo(plan_text(builder), err=True)
        _warn(builder)
    with reusing_all() if cache else contextlib.nullcontext() if cache is None else _anew():
        run_or_submit(builder, None, daemon, as_json, TITLES[kind])


@contextlib.contextmanager
def reusing_all() -> Iterator[None]:
    """Reuse equal calculations of any plugin that run in this interpreter."""
    from aiida.manage.caching import enable_caching

    with enable_caching(identifier=CACHED):
        yield


@contextlib.contextmanager
def _anew() -> Iterator[None]:
    """Take nothing from the cache that runs in this interpreter."""
    from aiida.manage.caching import disable_caching

    with disable_caching(identifier=CACHED):
        yield


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocols, nested as in them.

    :raises click.UsageError: if a list does not parse.
    """
    overrides = parse_overrides(request['overrides'])
    grid = {
        'cutoffs_ev': _numbers('--cutoffs', request['cutoffs']),
        'kpoint_spacings_per_ang': _numbers('--spacings', request['spacings']),
        'kpoint_meshes': _meshes(request['meshes']),
        'n_sample': request['sample'],
    }
    if grid['kpoint_meshes'] and grid['kpoint_spacings_per_ang'] is None:
        grid['kpoint_spacings_per_ang'] = []
    for name, value in grid.items():
        if value is not None:
            set_override(overrides, ['grid', name], value, f'grid.{name} {value}')
    return overrides


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(',') if part.strip()]
    except ValueError as error:
        raise click.UsageError(f'{option} {text!r} does not parse: write numbers with commas, like 340,520') from error


def _meshes(text: str | None) -> list[list[int]] | None:
    if text is None:
        return None
    try:
        meshes = [[int(number) for number in part.split('x')] for part in text.split(',') if part.strip()]
    except ValueError:
        meshes = [[]]
    if any(len(mesh) != 3 for mesh in meshes):
        raise click.UsageError(f'--meshes {text!r} does not parse: write them like 1x1x1,2x2x2')
    return meshes


def prepare(request: dict[str, Any], overrides: dict[str, Any]) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import computer_of
    from ..codes.dft import choose_dft_code
    from .configurations import load_configurations

    code = choose_dft_code(request['code'])
    frames = load_configurations(request['configurations'], request['rattle'], request['seed'])
    shared: dict[str, Any] = {
        'code': code,
        'frames': frames,
        'overrides': overrides,
        'settings': backend_settings(code, request, overrides),
        'options': job_options(code, request),
        'computer': computer_of(code),
        'max_in_flight': request['max_in_flight'],
    }
    if request['check']:
        return WorkflowFactory(CONVERGENCE).get_builder_from_protocol(label_protocol=request['protocol'], **shared)
    return WorkflowFactory(LABEL).get_builder_from_protocol(
        protocol=request['protocol'], dataset=request['dataset'], **shared
    )


def backend_settings(code: AbstractCode, request: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Return what the back end of a code is told: for pw.x its family, the only one of the functional if none is named.

    :raises ValueError: if none is named and not one fits.
    """
    from aiida.plugins import WorkflowFactory

    from ..workflows.backends import of_code

    name = request['pseudo_family']
    if of_code(code) != 'quantumespresso':
        if name is not None:
            raise ValueError(f'--pseudo-family {name}: the code {code.full_label} takes none')
        return {}
    if name is None and not overrides.get('settings', {}).get('quantumespresso', {}).get('pseudo_family'):
        from ..groups.pseudo_families import only_family

        chosen = {key: value for key, value in overrides.items() if key == 'level'}
        level = WorkflowFactory(LABEL).get_protocol_inputs(request['protocol'], chosen)['level']
        name = only_family(level['functional'])
    return {} if name is None else {'pseudo_family': name}


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    frames, level = builder.frames, builder.level
    what = frames.base.attributes.get('formula', None) or '-'.join(frames.base.attributes.get('elements'))
    k = level['kpoint_mesh'] or f'{level["kpoint_spacing_per_ang"]:g} per Ang'
    text = (
        f'{counted(frames.n_frames, "configuration")} ({what}, up to '
        f'{counted(frames.base.attributes.get("n_atoms"), "atom")}); {level["functional"]}, '
        f'{level["cutoff_ev"]:g} eV, k-points {k}; {builder.code.full_label}, protocol {level.label}'
    )
    if 'grid' not in builder:
        return text
    from ..contract.convergence import ConvergenceGrid, settings_of
    from ..contract.level import Level

    grid = ConvergenceGrid.model_validate(builder.grid.get_dict())
    series = settings_of(grid, Level.model_validate(level.get_dict()))
    number = len({name for levels in series.values() for name in levels})
    return f'{text}; {min(grid.n_sample, frames.n_frames)} of them at {counted(number, "setting")}'


def _warn(builder: ProcessBuilder) -> None:
    """Say where the cutoff is lower than the cores want, and what would be labelled twice."""
    from ..groups.duplicates import launch_warning
    from ..workflows.label_items import warnings_of

    _say(warnings_of(builder))
    if 'grid' not in builder:
        twice = launch_warning(builder.dataset.value if 'dataset' in builder else None, builder.frames)
        _say([twice] if twice else [])


def _say(warnings: Iterable[str]) -> None:
    for warning in warnings:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def labels_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the labels of a chain as ``--json`` prints them, or ``None`` if it has no report."""
    if 'report' not in chain.outputs:
        return None
    report = chain.outputs.report.get_dict()
    frames = chain.outputs.frames if 'frames' in chain.outputs else None
    numbers, cached = numbers_of(frames), from_cache(chain)
    items = [
        {'name': name, **item, **numbers.get(item['index'], {}), 'from_cache': item['uuid'] in cached}
        for name, item in report['items'].items()
    ]
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'labelled': report['n_labelled'],
        'failed': report['n_total'] - report['n_labelled'],
        'items': sorted(items, key=lambda item: item['index']),
        'level': report['level'],
        'protocol': chain.inputs.level.label or None,
        'backend': report['backend'],
        'settings': report['settings'],
        'warnings': report.get('warnings', []),
        'code': chain.inputs.code.full_label,
        'version': None if frames is None else frames.base.attributes.get('level')['version'],
        'frames_uuid': None if frames is None else frames.uuid,
        'frames_pk': None if frames is None else frames.pk,
        'dataset': chain.inputs.dataset.value if 'dataset' in chain.inputs else None,
        'from_cache': bool(items) and all(item['from_cache'] for item in items),
        'exit_status': chain.exit_status,
    }


def from_cache(chain: WorkChainNode) -> set[str]:
    """Return the uuids of the attempts of a chain that were not computed but taken from the cache."""
    from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder

    taken = {'extras': {'has_key': '_aiida_cached_from'}}
    query = QueryBuilder().append(ProcessNode, filters={'id': chain.pk}, tag='chain')
    found = set(query.append(CalcJobNode, with_incoming='chain', filters=taken, project='uuid').all(flat=True))
    query = QueryBuilder().append(ProcessNode, filters={'id': chain.pk}, tag='chain')
    query.append(ProcessNode, with_incoming='chain', tag='attempt', project='uuid')  # a chain of the code's plugin
    return found | set(query.append(CalcJobNode, with_incoming='attempt', filters=taken).all(flat=True))


def numbers_of(frames: Any) -> dict[int, dict[str, Any]]:
    """Return what a table says of labelled configurations, by their index in the input."""
    import numpy as np

    from ..analysis.frames import summary

    if frames is None:
        return {}
    found = {}
    for index, frame in zip(frames.base.attributes.get('indices'), frames.frames, strict=True):
        facts = summary(frame)
        keys = ('formula', 'n_atoms', 'energy_ev', 'energy_per_atom_ev', 'fmax_ev_per_ang')
        pressure = None if frame.stresses is None else float(-np.mean(frame.stresses[0][:3]) * 160.2176634)
        found[index] = {**{key: facts[key] for key in keys}, 'pressure_gpa': pressure}
    return found


def label_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    if 'state' in result:
        from .label_parts import part_line

        return part_line(result)
    failed = f', {result["failed"]} failed' if result['failed'] else ''
    return f'{result["labelled"]} of {counted(result["labelled"] + result["failed"], "configuration")} labelled{failed}'


def print_labels(result: dict[str, Any]) -> None:
    """Print what became of each configuration."""
    print_pairs(
        [
            ('labels', label_line(result)),
            ('code', f'{result["code"]}{", version " + result["version"] if result["version"] else ""}'),
            ('level', _level_text(result['level'])),
            ('protocol', result['protocol']),
            ('data set', result['dataset']),
            ('configurations', result['frames_pk'] and f'pk {result["frames_pk"]}'),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    rows = [
        (
            item['index'], item['entry_id'], item.get('formula'), item['status'],
            _fixed(item.get('energy_per_atom_ev'), 4), _fixed(item.get('fmax_ev_per_ang'), 3),
            _fixed(item.get('pressure_gpa'), 2), item['attempts'],
            'cache' if item.get('from_cache') else _fixed(item.get('elapsed_seconds'), 0),
            item['label'] or ('not in the set' if item['status'] == 'labelled' and item['reason'] else None),
        )
        for item in result['items']
    ]  # fmt: skip
    columns = (
        '>', 'entry', 'formula', 'status', '>eV/atom', '>fmax / eV/Å', '>P / GPa', '>attempts', '>seconds', 'why',
    )  # fmt: skip
    print_table(None, columns, rows)
    for item in result['items']:
        if item.get('reason'):
            click.echo(f'{item["entry_id"]}: {item["reason"]}')
    _say(result['warnings'])


def _level_text(level: dict[str, Any]) -> str:
    mesh = level['kpoint_mesh']
    k = 'x'.join(map(str, mesh)) if mesh else f'{level["kpoint_spacing_per_ang"]:g} per Ang'
    return f'{level["functional"]}, {level["cutoff_ev"]:g} eV, k-points {k}'


def _fixed(value: float | None, digits: int) -> str | None:
    return None if value is None else f'{value:.{digits}f}'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the labels of a chain into a file, energies beside forces, and return its path.

    :raises Refusal: if the chain has no label yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..groups.label_chains import labels_together
    from ..report.energy_profile import Caption
    from ..report.labels import draw_labels
    from ..report.style import check_format, save_figure
    from .errors import Refusal
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    if not result['labelled']:
        raise Refusal(f'chain {chain.pk} has no labels to draw', f'Why: aiida-litraj show {chain.pk}')
    made = labels_together(chain)
    assert made is not None, 'what has labels has their configurations'
    level = result['level']
    details = f'{result["code"]} {result["version"] or ""} · {_level_text(level)}'
    warning = f'{result["failed"]} could not be labelled' if result['failed'] else ''
    warning = label_line(result) if 'state' in result else warning
    caption = Caption(counted(result['labelled'], 'labelled configuration'), details, warning)
    return save_figure(draw_labels(made.frames, caption), output)

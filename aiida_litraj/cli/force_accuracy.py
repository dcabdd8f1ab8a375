"""``aiida-litraj launch force-accuracy``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .barrier_check import label_arguments, label_options, level_text
from .console import print_pairs, print_table
from .errors import refusals
from .launching import launch_options, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .potentials import choose_potential, choose_potentials, labels_of

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

    from ..data.frames import FramesData

FORCE_ACCURACY = 'litraj.force_accuracy'
TITLE = 'Force accuracy'


@click.command(name='force-accuracy', short_help='Errors of forces on snapshots of a melt-quench, by stage.')
@click.argument('source')
@click.option(
    '--potential', 'potentials', required=True, multiple=True, metavar='NAME',
    help='Label, pk or uuid of an imported potential. Repeatable: they are compared on the same snapshots.',
)  # fmt: skip
@click.option('--driver', metavar='NAME', help='Potential that drives a melt-quench of SOURCE first.')
@click.option('--dft-code', metavar='NAME', help='For labels, such as gpaw; without it SOURCE must have them.')
@click.option('--protocol', metavar='NAME', help='balanced, lips25-2025 or fast.  [default: balanced]')
@click.option('--snapshots', type=click.IntRange(min=1), metavar='N', help='At most so many, evenly spaced.')
@click.option(
    '--mean', 'means', multiple=True, metavar='NAME=A,B,...', help='Average potentials, repeats of one. Repeatable.'
)
@label_options
@click.option('--code', metavar='NAME', help='Of the engine.  [default: the one with the family of each potential]')
@launch_options
def force_accuracy(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Label snapshots with DFT and say how far the forces of each potential are off, in all and in each stage.

    SOURCE is the pk of a finished "launch melt-quench" or of configurations, or a file of them; with --driver it is a
    structure that is melted and quenched first. Snapshots whose label failed are named, and count for nothing.

    \b
    Examples:
      aiida-litraj launch force-accuracy 123 --potential 7net-0 --dft-code gpaw --snapshots 10
      aiida-litraj launch force-accuracy 123 --potential 7net-0 --potential 7net-l3i5 --dft-code gpaw --daemon
      aiida-litraj launch force-accuracy Li7P3S11.cif --driver 7net-0 --potential 7net-0 --dft-code gpaw --daemon
      aiida-litraj launch force-accuracy 145 --potential mace-1 --potential mace-2 --mean mace=mace-1,mace-2
    """
    overrides = parse_overrides(request['overrides'])
    if request['snapshots'] is not None:
        set_override(overrides, ['sample', 'max_frames'], request['snapshots'], f'--snapshots {request["snapshots"]}')
    if cache and daemon:
        require_caching('litraj.evaluate')
    with refusals():
        builder = prepare(request, overrides, cache)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    from .label import reusing_all

    with reusing_all() if cache else contextlib.nullcontext():
        run_or_submit(builder, None, daemon, as_json, TITLE)


def prepare(request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.dft import choose_dft_code

    potentials, jobs, names = choose_potentials(request['potentials'], request, cache)
    chain = WorkflowFactory(FORCE_ACCURACY)
    given: dict[str, Any] = {'potentials': potentials, 'jobs': jobs, 'ensembles': _ensembles(request['means'], names)}
    if request['driver'] is None:
        given['frames'] = load_snapshots(request['source'])
    else:
        given |= _melted(request, cache)
    if request['dft_code'] is not None:
        code = choose_dft_code(request['dft_code'])
        section = chain.get_protocol_inputs(request['protocol'], overrides)['label']
        about = {key: request[key] for key in ('walltime', 'pseudo_family', 'dataset', 'max_in_flight')}
        given |= {'dft_code': code, 'label': label_arguments(code, about, section)}
    builder = chain.get_builder_from_protocol(protocol=request['protocol'], overrides=overrides, **given)
    if cache is False and request['driver'] is not None:
        builder.melt_quench.md.md.metadata.disable_cache = True
    return builder


def _melted(request: dict[str, Any], cache: bool | None) -> dict[str, Any]:
    """Return structure and driver of the melt-quench, with computer and options of its jobs."""
    from ..codes.choose import computer_of
    from .structures import load_structure

    driver, job = choose_potential(request['driver'], request, cache)
    return {
        'structure': load_structure(request['source']),
        'driver': driver,
        'options': job['options'],
        'computer': computer_of(driver['code']),
    }


def _ensembles(texts: tuple[str, ...], names: dict[str, str]) -> dict[str, list[str]]:
    """Return the potentials of each mean.

    :raises click.UsageError: if one does not parse, or names what no ``--potential`` does.
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, rest = text.partition('=')
        members = [member.strip() for member in rest.split(',') if member.strip()]
        if not equals or not name.strip() or not members:
            raise click.UsageError(f'--mean {text!r} does not parse: write NAME=A,B,...')
        unknown = [member for member in members if member not in names]
        if unknown:
            raise click.UsageError(f'--mean {text}: {unknown[0]} is given by no --potential')
        found[name.strip()] = [names[member] for member in members]
    return found


def load_snapshots(text: str) -> FramesData:
    """Return the snapshots of a finished melt-quench, or configurations from a node or file.

    :raises Refusal: if it is neither.
    """
    from .configurations import load_configurations
    from .processes import load_any

    path = Path(text).expanduser()
    if not (path.is_file() or path.suffix or '/' in text):
        outputs = getattr(load_any(text), 'outputs', ())
        if 'snapshots' in outputs:
            frames: FramesData = outputs.snapshots
            return frames
    return load_configurations([text])


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    most, number = builder.sample['max_frames'], len(builder.evaluate.potentials)
    if 'frames' in builder:
        there = builder.frames.n_frames
        count = there if most is None else min(most, there)
        source = f'{count} of {counted(there, "snapshot")}'
    else:
        made = builder.melt_quench.schedule['n_snapshots']
        formula = builder.melt_quench.structure.get_formula()
        source = f'melt-quench of {formula}, {made if most is None else min(most, made)} of {counted(made, "snapshot")}'
    level = dict(builder.label).get('level')
    labels = 'labels as they are' if level is None else f'{level["functional"]}, {level["cutoff_ev"]:g} eV'
    return f'{source}; {labels}; {counted(number, "potential")}, protocol {builder.sample.label}'


def force_accuracy_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the errors of a chain as ``--json`` prints them, or ``None`` if it has none."""
    from ..report.captions import plain_formula
    from .processes import jobs_of

    if 'accuracy' not in chain.outputs:
        return None
    content, jobs = chain.outputs.accuracy.get_dict(), jobs_of(chain)
    chosen = chain.inputs.evaluate.potentials
    symbols = [str(atom.symbol) for atom in chain.outputs.snapshots.to_ase()[0]]
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        **content,
        'labels': labels_of({name: chosen[name]['potential'].label for name in content['potentials']}),
        'formula': plain_formula(symbols),
        'n_atoms': len(symbols),
        'snapshots_uuid': chain.outputs.snapshots.uuid,
        'protocol': chain.inputs.sample.label or None,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
        'exit_message': chain.exit_message or None,
    }


def force_accuracy_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = []
    for name, one in result['potentials'].items():
        rmse = one['stages']['all']['rmse_force_mev_per_ang']
        parts.append(f'{result["labels"][name]}: {_number(rmse, ".0f") or "–"} meV/Å')
    return (
        f'RMSE of forces on {result["n_labelled"]} of {counted(result["n_snapshots"], "snapshot")}: {", ".join(parts)}'
    )


def print_force_accuracy(result: dict[str, Any]) -> None:
    """Print the errors of each potential in each stage and in all."""
    print_pairs(
        [
            ('snapshots', f'{result["formula"]}, {counted(result["n_atoms"], "atom")}'),
            ('labelled', f'{result["n_labelled"]} of {result["n_snapshots"]}'),
            ('labels', level_text(result['level'])),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    for name, one in result['potentials'].items():
        rows = [_row(stage, one['stages'][stage]) for stage in (*result['stages'], 'all')]
        click.echo(f'{result["labels"][name]}')
        columns = ('stage', '>snapshots', '>RMSE(F) / meV/Å', '', '>slope', '', '>RMSE(E) / meV/atom', '')
        print_table(None, columns, rows)
    for name, one in result['ensembles'].items():
        rmse = one['stages']['all']['rmse_force_mev_per_ang']
        if rmse is not None:
            spread = '' if rmse['std'] is None else f' ± {rmse["std"]:.1f}'
            click.echo(f'{name}, mean of {rmse["n"]}: RMSE(F) {rmse["mean"]:.1f}{spread} meV/Å')
    for warning in result['warnings']:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def _row(stage: str, block: dict[str, Any]) -> tuple[Any, ...]:
    parts: list[Any] = [stage, block['n_frames']]
    for key, form in (('rmse_force_mev_per_ang', '.1f'), ('slope_force', '.3f'), ('rmse_energy_mev_per_atom', '.2f')):
        interval = block[f'{key}_interval']
        ends = None if interval is None else f'[{interval[0]:{form}}, {interval[1]:{form}}]'
        parts += [_number(block[key], form), ends]
    return tuple(parts)


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the errors of a chain over snapshots and stages into a file and return its path.

    :raises Refusal: if the chain has no errors yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..report.captions import formula
    from ..report.energy_profile import Caption
    from ..report.force_accuracy import draw_force_accuracy
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    details = [f'{counted(result["n_labelled"], "snapshot")} of {counted(result["n_atoms"], "atom")}']
    details += [text for text in (level_text(result['level']), result['protocol']) if text]
    symbols = [str(atom.symbol) for atom in chain.outputs.snapshots.to_ase()[0]]
    failed = f'{counted(len(result["failed"]), "snapshot")} without a label' if result['failed'] else ''
    caption = Caption(f'Forces on {formula(symbols)}', ' · '.join(details), failed)
    return save_figure(draw_force_accuracy(result, result['labels'], caption), output)

"""``aiida-litraj launch barrier-check``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
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

    from ..data.path import PathData

BARRIER_CHECK = 'litraj.barrier_check'
TITLE = 'Barrier check'
_IMAGES = {'all': 'all', 'ends-and-saddle': 'ends and saddle'}


def label_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add to a command what the labels of a check can be told."""
    options = (
        click.option('--pseudo-family', metavar='NAME', help='Of pseudopotentials, for pw.x.'),
        click.option('--dataset', metavar='NAME', help='Set that the labels join; it is made if there is none.'),
        click.option('--max-in-flight', type=click.IntRange(min=1), metavar='N', help='Labels under way at a time.'),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(name='barrier-check', short_help='A barrier on DFT single points beside that of the potential.')
@click.argument('path')
@click.option('--code', metavar='NAME', help='Of DFT, such as gpaw.  [default: the only one that gives labels]')
@click.option('--protocol', metavar='NAME', help='balanced, litraj-2025 or fast.  [default: balanced]')
@click.option('--images', type=click.Choice(list(_IMAGES)), help='Which images are labelled.  [default: all]')
@label_options
@click.option('--override', 'overrides', metavar='KEY.PATH=VALUE', multiple=True, help='Change one number. Repeatable.')
@walltime_option
@click.option('--cache', is_flag=True, help='Reuse equal calculations of before; not with --daemon.')
@click.option('--daemon', is_flag=True, help='Leave it to the daemon and return at once.')
@json_option
@with_profile
def barrier_check(cache: bool, daemon: bool, as_json: bool, **request: Any) -> None:
    """Label the images of PATH with DFT and put the barrier on these single points beside that of the potential.

    PATH is the pk of a finished "launch barrier", or of an optimised path. Energies and forces of each image are
    compared, also along the path: where the slope of DFT is zero its profile has the top. The number is not the DFT
    barrier, for which ends and path would have to be relaxed in DFT.

    \b
    Examples:
      aiida-litraj launch barrier-check 123 --code gpaw
      aiida-litraj launch barrier-check 123 --code gpaw --images ends-and-saddle --protocol fast
      aiida-litraj launch barrier-check 123 --code pw --pseudo-family PBEsol-paw --daemon
      aiida-litraj launch barrier-check 123 --code gpaw --override label.level.cutoff_ev=600
    """
    if cache and daemon:
        raise click.UsageError('--cache does not reach the daemon; leave out one of the two')
    overrides = parse_overrides(request['overrides'])
    if request['images'] is not None:
        set_override(overrides, ['check', 'images'], _IMAGES[request['images']], f'--images {request["images"]}')
    with refusals():
        builder = prepare(request, overrides)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    from .label import reusing_all

    with reusing_all() if cache else contextlib.nullcontext():
        run_or_submit(builder, None, daemon, as_json, TITLE)


def prepare(request: dict[str, Any], overrides: dict[str, Any]) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.dft import choose_dft_code

    path = load_path(request['path'])
    code = choose_dft_code(request['code'])
    chain = WorkflowFactory(BARRIER_CHECK)
    section = chain.get_protocol_inputs(request['protocol'], overrides)['label']
    return chain.get_builder_from_protocol(
        path=path, protocol=request['protocol'], overrides=overrides, **label_arguments(code, request, section),
        code=code,
    )  # fmt: skip


def label_arguments(code: AbstractCode, request: dict[str, Any], section: dict[str, Any]) -> dict[str, Any]:
    """Return what the labelling of a check is told, as ``litraj.label`` calls it, from the options of its command.

    :param section: of the protocol, about the labels.
    """
    from ..codes.choose import computer_of
    from .label import backend_settings

    about = {'protocol': section.get('protocol'), 'pseudo_family': request['pseudo_family']}
    return {
        'settings': backend_settings(code, about, section),
        'dataset': request['dataset'],
        'options': job_options(code, request),
        'computer': computer_of(code),
        'max_in_flight': request['max_in_flight'],
    }


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    from ..calculations.functions.extract_images import chosen_images, read_choice

    path, level = builder.path, builder.label.level
    chosen = chosen_images(path, read_choice(builder.check.get_dict()))
    k = level['kpoint_mesh'] or f'{level["kpoint_spacing_per_ang"]:g} per Ang'
    return (
        f'{len(chosen)} of {counted(path.n_images, "image")} of {counted(path.natoms, "atom")}; {level["functional"]}, '
        f'{level["cutoff_ev"]:g} eV, k-points {k}; {builder.label.code.full_label}, protocol {builder.check.label}'
    )


def load_path(text: str) -> PathData:
    """Return the optimised path that a node is, or that a chain with this pk or uuid has found.

    :raises Refusal: if there is none, or the chain has several.
    """
    from ..data.path import PathData
    from .errors import Refusal
    from .processes import load_any

    node: Any = load_any(text)
    if isinstance(node, PathData):
        return node
    outputs = getattr(node, 'outputs', ())
    if 'path' in outputs:
        return outputs.path
    paths = dict(outputs.paths) if 'paths' in outputs else {}
    if len(paths) == 1:
        return next(iter(paths.values()))
    if paths:
        known = ', '.join(f'{name}: pk {path.pk}' for name, path in paths.items())
        raise Refusal(f'process {node.pk} has {len(paths)} paths', f'Give the pk of one of them ({known}).')
    raise Refusal(
        f'node {text} is neither a path nor a process with an optimised one',
        'Give the pk of a finished aiida-litraj launch barrier, or of its output path.',
    )


def potential_of(path: PathData) -> tuple[str, str] | None:
    """Return family and label of the potential with which a path was optimised, ``None`` if no job of ours made it."""
    creator = path.creator
    if creator is None or 'potential' not in creator.inputs:
        return None
    potential = creator.inputs.potential
    return potential.family, potential.label or potential.name


def barrier_check_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the comparison of a chain as ``--json`` prints it, or ``None`` if it has none."""
    from ..report.captions import plain_formula
    from .processes import jobs_of

    if 'check' not in chain.outputs:
        return None
    path, jobs = chain.inputs.path, jobs_of(chain)
    potential = potential_of(path)
    content = chain.outputs.check.get_dict()
    both, reference = content['potential'] or {}, content['reference'] or {}
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'potential_barrier_ev': both.get('barrier_ev'),
        'reference_barrier_ev': reference.get('barrier_ev'),
        'n_labelled': len(content['labelled']),
        **content,
        'formula': plain_formula(path.symbols),
        'natoms': path.natoms,
        'path_uuid': path.uuid,
        'potential_label': None if potential is None else potential[1],
        'protocol': chain.inputs.check.label or None,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
        'exit_message': chain.exit_message or None,
    }


def barrier_check_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    if result['reference'] is None:
        return (
            f'No barrier on single points: {result["n_labelled"]} of {counted(len(result["asked"]), "image")} labelled'
        )
    return (
        f'Barrier on single points {result["reference"]["barrier_ev"]:.3f} eV, of the potential '
        f'{result["potential"]["barrier_ev"]:.3f} eV'
    )


def level_text(level: dict[str, Any] | None) -> str | None:
    """Return a level of theory in a few words, like ``PBE, 520 eV, gpaw 22.8``."""
    if not level:
        return None
    cutoff = level.get('cutoff_ev')
    code = ' '.join(str(level[key]) for key in ('code', 'version') if level.get(key))
    parts = (level.get('functional'), None if cutoff is None else f'{cutoff:g} eV', code)
    return ', '.join(str(part) for part in parts if part)


def print_barrier_check(result: dict[str, Any]) -> None:
    """Print both barriers, the images, and what is to be known of them."""
    print_pairs(
        [
            (
                'path',
                f'{result["formula"]}, {counted(result["natoms"], "atom")}, {counted(result["n_images"], "image")}',
            ),
            ('potential', result['potential_label']),
            ('reference', level_text(result['level'])),
            ('protocol', result['protocol']),
            ('labelled', f'{result["n_labelled"]} of {counted(len(result["asked"]), "image")}'),
            ('forces differ by', _rmse(result)),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    if result['reference'] is not None:
        names = {
            'barrier_ev': 'barrier', 'reverse_barrier_ev': 'reverse barrier', 'reaction_energy_ev': 'reaction energy',
            'range_ev': 'highest - lowest',
        }  # fmt: skip
        rows = [
            (text, *(f'{result[of][name]:.4f}' for of in ('potential', 'reference')), f'{result["error"][name]:+.4f}')
            for name, text in names.items()
        ]
        print_table(None, ('eV', '>potential', '>single points', '>error'), rows)
    rows = [
        (
            one['image'], f'{one["distance_ang"]:.3f}', *(_number(one[f'{of}_ev'], '.4f') for of in _BOTH),
            *(_number(one[f'{of}_slope_ev_per_ang'], '+.3f') for of in _BOTH),
            _number(one['rmse_force_mev_per_ang'], '.0f'), '← saddle' if one['image'] == result['saddle_image'] else '',
        )
        for one in result['images']
    ]  # fmt: skip
    columns = ('>image', '>path / Å', '>E / eV', '>single point', '>slope / eV/Å', '>single point', '>ΔF / meV/Å', '')
    print_table(None, columns, rows)
    for warning in result['warnings']:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)
    click.echo(result['caveat'])


_BOTH = ('potential', 'reference')


def _rmse(result: dict[str, Any]) -> str | None:
    if result['rmse_force_mev_per_ang'] is None:
        return None
    along = result['rmse_force_along_path_mev_per_ang']
    return f'{result["rmse_force_mev_per_ang"]:.0f} meV/Å (RMSE of components), along the path by {along:.0f}'


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw both profiles of a chain into a file and return its path.

    :raises Refusal: if the chain has no comparison yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..analysis.barrier_check import Crest
    from ..calculations.functions.compare_barrier import profiles_from
    from ..report.barrier_check import draw_barrier_check, sides
    from ..report.captions import formula
    from ..report.energy_profile import Caption
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    mine, other = profiles_from(result)
    crests = [None if result[f'{of}_crest'] is None else Crest(**result[f'{of}_crest']) for of in _BOTH]
    both = sides(
        (result['potential_label'] or 'potential', mine, crests[0]),
        (level_text(result['level']) or 'reference', other, crests[1]),
    )
    barriers = [None if result[of] is None else result[of]['barrier_ev'] for of in _BOTH]
    mobile = chain.inputs.path.labels.get('mobile_element')
    title = f'{f"{mobile} hop" if mobile else "Hop"} in {formula(chain.inputs.path.symbols)}: single points on the path'
    details = [
        counted(result['natoms'], 'atom'),
        f'{result["n_labelled"]} of {counted(result["n_images"], "image")} labelled',
    ]
    if result['rmse_force_mev_per_ang'] is not None:
        details.append(f'forces differ by {result["rmse_force_mev_per_ang"]:.0f} meV/Å')
    caption = Caption(title, ' · '.join(details), '; '.join(result['warnings'][:2]))
    return save_figure(draw_barrier_check(both, barriers, caption), output)

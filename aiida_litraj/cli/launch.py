"""``aiida-litraj launch``: from a crystal and a hop to a barrier."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click

from . import launching
from .errors import refusals
from .launching import job_options, require_caching, reusing
from .lazy import LazyCommands
from .options import json_option, parse_overrides, set_override, walltime_option, with_profile
from .processes import BARRIER

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import AbstractCode


class _Launches(LazyCommands, click.Group):
    package = str(__package__)
    commands_in: ClassVar = {
        'barrier': 'launch:barrier',
        'neb': 'neb:neb',
        'neb-benchmark': 'neb_benchmark:neb_benchmark',
        'conductivity': 'conductivity:conductivity',
        'robustness': 'robustness:robustness',
        'melt-quench': 'melt_quench:melt_quench',
        'formation-energy': 'formation_energy:formation_energy',
        'label': 'label:label',
        'evaluate': 'evaluate:evaluate',
        'train': 'train:train',
        'finetune': 'finetune:finetune',
        'learning-curve': 'learning_curve:learning_curve',
        'sweep': 'sweep:sweep',
        'barrier-check': 'barrier_check:barrier_check',
        'dft-neb': 'dft_neb:dft_neb',
        'force-accuracy': 'force_accuracy:force_accuracy',
    }


@click.group(cls=_Launches, short_help='Launch a calculation.')
def launch() -> None:
    """Launch a calculation.

    \b
    Examples:
      aiida-litraj launch barrier Li3PO4.cif --hop 0,6,0,0,0 --potential 7net-0
      aiida-litraj launch barrier Li3PO4.cif --hop 0,6,0,0,0 --potential 7net-0 --daemon
      aiida-litraj launch neb nebDFT2k/test --potential 7net-0 --limit 10
      aiida-litraj launch neb-benchmark nebDFT2k/test --potential 7net-0 --potential 7net-l3i5 --daemon
      aiida-litraj launch conductivity Li7P3S11.cif --potential 7net-0 --daemon
      aiida-litraj launch robustness --potential 7net-0 --protocol quick
      aiida-litraj launch melt-quench Li7P3S11.cif --potential 7net-0 --daemon
      aiida-litraj launch formation-energy Li2S.cif Li3PS4.cif P2S5.cif --potential 7net-0
      aiida-litraj launch label Li2S.cif --code gpaw
      aiida-litraj launch evaluate --frames 123 --potential 7net-0
      aiida-litraj launch train labelled.extxyz --potential 7net-0 --daemon
      aiida-litraj launch finetune labelled.extxyz --potential 7net-0 --daemon
      aiida-litraj launch barrier-check 123 --code gpaw
      aiida-litraj launch force-accuracy 123 --potential 7net-0 --dft-code gpaw --daemon
    """


@dataclass(frozen=True)
class Request:
    """What the options of ``launch barrier`` say."""

    structure: str
    hop: str | None
    potential: str
    protocol: str | None
    supercell_min: float | None
    images: int | None
    code: str | None
    final: str | None
    mechanism: str | None
    mobile: str
    overrides: tuple[str, ...]
    verify_saddle: bool
    max_seconds: float | None
    walltime: int | None
    device: str | None
    processes: int | None


@click.command(short_help='The migration barrier of a hop in a crystal.')
@click.argument('structure')
@click.option(
    '--hop',
    metavar='SOURCE,TARGET,I,J,K',
    help='Site of the ion, site it goes to, and cell of the latter; "aiida-litraj hops STRUCTURE" lists them.',
)
@click.option('--potential', required=True, metavar='NAME', help='Label, pk or uuid of an imported potential.')
@click.option('--protocol', metavar='NAME', help='balanced, tight, litraj-2025, ...  [default: balanced]')
@click.option(
    '--supercell-min', type=float, metavar='ANG', help='Least distance of the ion to its periodic image.  [default: 8]'
)
@click.option('--images', type=int, metavar='N', help='Images of the path, both ends included.  [default: 7]')
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of the potential]')
@click.option('--final', metavar='STRUCTURE', help='Final structure of a path, instead of --hop.')
@click.option(
    '--mechanism',
    type=click.Choice(['vacancy', 'interstitial']),
    help='To a vacancy, or to an empty place.  [default: as the hop is written]',
)
@click.option('--mobile', default='Li', show_default=True, metavar='ELEMENT', help='Element that hops.')
@click.option(
    '--override',
    'overrides',
    metavar='KEY.PATH=VALUE',
    multiple=True,
    help='Change one number of the protocol. Repeatable.',
)
@click.option('--verify-saddle', is_flag=True, help='Count the negative modes of the highest image.')
@click.option('--max-seconds', type=click.FloatRange(min=0, min_open=True), help="The engine's own clock, per job.")
@walltime_option
@click.option('--device', metavar='DEVICE', help='auto, cpu, cuda or cuda:N.')
@click.option('--processes', type=click.IntRange(min=1), metavar='N', help='Worker processes on a CPU.')
@click.option(
    '--cache/--no-cache',
    default=None,
    help='Reuse an equal job of before; without, begin anew also where one was stopped.  '
    '[default: as the profile says]',
)
@click.option('--daemon', is_flag=True, help='Leave it to the daemon and return at once.')
@json_option
@with_profile
def barrier(cache: bool | None, daemon: bool, as_json: bool, **options: Any) -> None:
    """Compute the migration barrier of a hop in STRUCTURE, a CIF, POSCAR or extended xyz file or a node.

    The hop is written as source site, target site and the cell of the target; the ion at the source moves, that at
    the target is taken out. Sites count from 0, after the symmetry of a CIF file has been applied: "aiida-litraj hops
    STRUCTURE" lists them. An interstitial hop is source site and three fractional coordinates.

    \b
    Examples:
      aiida-litraj launch barrier Li3PO4.cif --hop 0,6,0,0,0 --potential 7net-0
      aiida-litraj launch barrier Li3PO4.cif --hop 0,6,0,0,0 --potential 7net-0 --protocol tight --images 9 --daemon
      aiida-litraj launch barrier start.xyz --final end.xyz --potential 7net-0 --json
      aiida-litraj launch barrier Li2S.cif --hop 0,1,0,0,0 --potential 7net-0 \\
          --override parameters.band.fmax_ev_per_ang=0.03
    """
    request = Request(**options)
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching()
    with refusals():
        builder = prepare(request, overrides)
    if not as_json:
        announce(builder)
    if cache is False:
        builder.neb.neb.metadata.disable_cache = True  # goes with the job, also to the daemon
    with reusing() if cache else contextlib.nullcontext():
        if daemon:
            launching.submit(builder, as_json)
        else:
            launching.run(builder, as_json)


def collect_overrides(request: Request) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol."""
    overrides = parse_overrides(request.overrides)
    if request.supercell_min is not None:
        keys = ['geometry', 'min_image_distance_ang']
        set_override(overrides, keys, request.supercell_min, f'--supercell-min {request.supercell_min:g}')
    if request.images is not None:
        set_override(overrides, ['geometry', 'n_images'], request.images, f'--images {request.images}')
    return overrides


def prepare(request: Request, overrides: dict[str, Any]) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder.

    :raises click.UsageError: if hop and final structure don't go together or the hop does not parse.
    """
    from ..codes.choose import choose_code
    from ..codes.potentials import load_potential
    from .structures import load_structure

    if (request.hop is None) == (request.final is None):
        given = 'neither' if request.hop is None else 'both'
        raise click.UsageError(
            f'give either --hop or --final, not {given}: the hop is either two sites or two structures; '
            f'aiida-litraj hops {request.structure} lists hops'
        )
    hop = None if request.hop is None else _parse_hop(request)
    structure = load_structure(request.structure)
    potential = load_potential(request.potential)
    code = choose_code(request.code, potential.family)
    return build(request, overrides, code, structure, potential, hop)


def build(
    request: Request, overrides: dict[str, Any], code: AbstractCode, structure: Any, potential: Any, hop: Any
) -> ProcessBuilder:
    """Return the builder from nodes."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import computer_of
    from .structures import load_structure

    if hop is not None:
        crystal = {'structure': structure, 'hop': hop}
    else:
        crystal = {
            'initial_structure': structure,
            'final_structure': load_structure(str(request.final)),
            'hop': {'mobile_element': request.mobile},
        }
    return WorkflowFactory(BARRIER).get_builder_from_protocol(
        code=code,
        potential=potential,
        protocol=request.protocol,
        overrides=overrides,
        options=job_options(code, vars(request)),
        computer=computer_of(code),
        verify_saddle=request.verify_saddle,
        **crystal,
    )


def _parse_hop(request: Request) -> dict[str, Any]:
    from ..analysis.hops import parse_hop

    try:
        return parse_hop(str(request.hop), request.mechanism, request.mobile).model_dump(mode='json')  # type: ignore[arg-type]
    except ValueError as error:
        raise click.UsageError(f'--hop: {error}') from error


def announce(builder: ProcessBuilder) -> None:
    """Say what will be computed, and what is odd about it."""
    from ..calculations.functions.extract_barrier import hop_warnings
    from ..report.captions import plan_text
    from ..workflows.barrier import straight_path

    path = straight_path(builder)
    plan = plan_text(path.labels, path.hop_displacement, path.natoms, path.n_images, builder.geometry.label)
    click.echo(plan, err=True)
    for warning in hop_warnings(path.hop_displacement):
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)

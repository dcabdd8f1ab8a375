"""``aiida-litraj plot``: the picture of what a chain found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import emit_json
from .errors import refusals
from .options import json_option, with_profile

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode


@click.command(short_help='Draw the result of a chain.')
@click.argument('pk')
@click.option(
    '-o',
    '--output',
    type=click.Path(dir_okay=False, path_type=Path),
    help='File to write: .png, .svg or .pdf.  [default: like barrier-PK.png]',
)
@json_option
@with_profile
def plot(pk: str, output: Path | None, as_json: bool) -> None:
    """Draw the result of the chain PK (or of the chain that node PK belongs to).

    Of a barrier: images, and the spline through them with their forces as slopes. Of a robustness grid: who survived in
    each cell. Of a melt-quench: density and structure of the stages. Of a conductivity: the Arrhenius line and the
    mean-square displacements. Of labels: energies over forces, or how far each setting is from the finest. Of a
    training: loss and errors by the epoch. Of a fine-tuning: errors before and after; of a sweep: errors over costs.

    \b
    Examples:
      aiida-litraj plot 123
      aiida-litraj plot 123 -o hop.svg
    """
    with refusals():
        from .processes import entry_point, kind_of, load_chain

        chain = load_chain(pk)
        name = str(entry_point(chain)).removeprefix('litraj.')
        written = kind_of(chain).call('picture', chain, output or Path(f'{name}-{chain.pk}.png'))
    if as_json:
        emit_json({'uuid': chain.uuid, 'picture': str(written)})
    else:
        click.echo(f'Wrote {written}')


def save_energy_profile(chain: WorkChainNode, output: Path) -> Path:
    """Draw the energy profile of a chain's barrier into a file and return its path.

    :raises Refusal: if the chain has no barrier yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    import numpy as np

    from ..analysis.barriers import energy_profile, measure_barrier
    from ..report.captions import barrier_caption
    from ..report.energy_profile import draw_energy_profile
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    path, potential = chain.outputs.path, chain.inputs.potential
    crystal = chain.inputs.structure if 'structure' in chain.inputs else chain.inputs.initial_structure
    symbols = [crystal.get_kind(site.kind_name).symbol for site in crystal.sites]
    caption = barrier_caption(symbols, path.labels, (potential.family, potential.label), result)
    profile = energy_profile(path.get_positions(), np.asarray(path.energies), path.image_forces)
    return save_figure(draw_energy_profile(profile, measure_barrier(profile), caption), output)

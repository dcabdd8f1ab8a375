"""``aiida-litraj launch learning-curve``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.finetune_words import energies_of_test_text
from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import launch_options, require_caching, run_or_submit
from .train import check_parent, number_overrides, say_plan
from .training_sets import build_with_sets, common, number_text, sets_of, sets_options, sets_text, spread_text, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

    from ..data.frames import FramesData

LEARNING_CURVE = 'litraj.learning_curve'
TITLE = 'Learning curve'


@click.command(name='learning-curve', short_help='Errors over the number of configurations that are learnt.')
@click.argument('source')
@click.option('--potential', metavar='NAME', help='What is gone on from; from scratch without.')
@click.option('--trainer', metavar='NAME', help='sevennet, mace, ...  [default: by the potential, or the protocol]')
@click.option('--sizes', metavar='N,N,...', help='Configurations learnt.  [default: all, half of them, and so on]')
@click.option('--protocol', metavar='NAME', help='balanced or fast.  [default: balanced]')
@sets_options
@launch_options
def learning_curve(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Train on nested subsets of the labelled configurations of SOURCE, and say how the error falls with their number.

    SOURCE and what is kept back are named as in "launch finetune".

    \b
    Examples:
      aiida-litraj launch learning-curve labelled.extxyz --potential 7net-0 --sizes 10,25,50,100 --daemon
      aiida-litraj launch learning-curve LiPS-25/train --valid LiPS-25/val --test LiPS-25/test --trainer mace --daemon
    """
    overrides = number_overrides(request, 'train')
    sizes = parse_sizes(request['sizes'])
    if cache and daemon:
        require_caching('litraj.train')
    with refusals():
        builder = prepare_from(LEARNING_CURVE, request, overrides, cache, {'sizes': sizes})
    if not as_json:
        say_plan(plan_text(builder), builder.parameters, builder.train, builder.valid)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def parse_sizes(text: str | None) -> list[int] | None:
    """Return the sizes.

    :raises click.UsageError: if one is no number.
    """
    if text is None:
        return None
    try:
        return [int(one) for one in text.split(',')]
    except ValueError as error:
        raise click.UsageError(f'--sizes {text!r} does not parse: write whole numbers, as in 10,25,50') from error


def prepare_from(
    name: str, request: dict[str, Any], overrides: dict[str, Any], cache: bool | None, further: dict[str, Any]
) -> ProcessBuilder:
    """Return the builder of a chain that goes on from a potential or begins from scratch.

    :param further: arguments of its builder that only this chain has.
    """
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import choose_code
    from ..codes.potentials import load_potential
    from ..workflows.learning_curve import train_section
    from ..workflows.train import TrainBaseWorkChain

    chain = WorkflowFactory(name)
    potential = None if request['potential'] is None else load_potential(request['potential'])
    check_parent(request['trainer'], potential)
    numbers = chain.get_protocol_inputs(request['protocol'], overrides)
    section = train_section(numbers['train'], potential, request['trainer'])
    family = request['trainer'] or (potential.family if potential is not None else None)
    if family is None:
        family = TrainBaseWorkChain.get_protocol_inputs(section['protocol'])['parameters']['trainer']
    code = choose_code(request['code'], family)
    given = {
        **common(request, code, cache), **further, 'overrides': overrides, 'potential': potential,
        'trainer': request['trainer'],
    }  # fmt: skip
    make: Callable[[Mapping[str, FramesData]], ProcessBuilder] = lambda sets: chain.get_builder_from_protocol(  # noqa: E731
        code, **sets, **given
    )
    return build_with_sets(make, request, request['held_out'] or numbers['trainings']['held_out'])


def start_text(builder: ProcessBuilder, trainer: str) -> str:
    """Return in words by what is trained, and where it begins."""
    return f'{trainer} {f"on from {builder.potential.label}" if "potential" in builder else "from scratch"}'


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    sizes = builder.settings['sizes']
    return (
        f'{start_text(builder, builder.parameters["trainer"])}: {sets_text(builder)}; subsets of '
        f'{", ".join(map(str, sizes))}, {counted(len(sizes) * len(builder.trainings), "training")} of up to '
        f'{counted(builder.parameters["epochs"], "epoch")}, protocol {builder.settings.label}'
    )


def curve_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return a learning curve as ``--json`` prints it, or ``None`` if the chain has none."""
    if 'comparison' not in chain.outputs:
        return None
    parameters = chain.inputs.parameters
    return {
        **sets_of(chain),
        'trainer': parameters['trainer'],
        'epochs': parameters['epochs'],
        'offsets': chain.inputs.comparison['offsets'],
        **chain.outputs.comparison.get_dict(),
    }


def curve_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = [
        f'{one["n_train"]}: {spread_text(one["rmse_force_mev_per_ang"]) or "–"}' for one in result['sizes']
    ]  # fmt: skip
    return f'RMSE of forces by configurations learnt: {", ".join(parts)} meV/Å'


def print_curve(result: dict[str, Any]) -> None:
    """Print the errors of each size, and what they say together."""
    from ..report.size_curve import power_law_of

    start = f'on from {result["parent"]}' if result['parent'] else 'from scratch'
    print_pairs(
        [
            ('training', f'{result["trainer"]}, {start}'),
            ('judged on', f'{counted(result["n_test"], "configuration")}, new {result["held_out"]}'),
            ('no forces at all', f'{number_text(result["rms_force_mev_per_ang"])} meV/Å'),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    rows: list[tuple[Any, ...]] = []
    if result['zero_shot'] is not None:
        one = result['zero_shot']
        keys = ('rmse_force_mev_per_ang', 'slope_force', 'rmse_energy_mev_per_atom')
        rows.append(('parent', *(number_text(one[key]) for key in keys)))
    for one in result['sizes']:
        rows.append(
            (
                str(one['n_train']), spread_text(one['rmse_force_mev_per_ang']), spread_text(one['slope_force']),
                spread_text(one['rmse_energy_mev_per_atom']),
            )
        )  # fmt: skip
    print_table(None, ('>learnt', '>RMSE(F) / meV/Å', '>slope', '>RMSE(E) / meV/atom'), rows)
    if any(len(one['trainings']) > 1 for one in result['sizes']):
        click.echo('±: standard deviation over seeds, each of which draws its own configurations')
    click.echo(f'RMSE(E): {energies_of_test_text(result["offsets"]).removeprefix("energies ")}')
    law = power_law_of(result)
    if law is not None:
        click.echo(
            f'Force error falls with the number to the power of -{law["exponent"]:.2f} ± {law["exponent_error"]:.2f} '
            '(standard error of the fit)'
        )
    elif result['power_law'] is not None:
        click.echo('One seed: what of the fall is chance is not known, and no power of the number is said')
    click.echo(f'Steps: {_steps_text(result)}')
    warn(result)


def _steps_text(result: dict[str, Any]) -> str:
    """Return what else grows with the number of configurations."""
    return f'up to {counted(result["epochs"], "epoch")} of each size, so more configurations are also more steps'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw a learning curve into a file and return its path.

    :raises Refusal: if the chain has none yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..report.energy_profile import Caption
    from ..report.size_curve import draw_size_curve, power_law_of
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    start = f'on from {result["parent"]}' if result['parent'] else 'from scratch'
    bars = 'bars: standard deviation over seeds · ' if any(len(one['trainings']) > 1 for one in result['sizes']) else ''
    if power_law_of(result) is not None:
        bars += '± of the power: standard error of the fit · '
    caption = Caption(
        f'{"-".join(result["elements"])}: {result["trainer"]} {start}',
        f'{counted(result["n_test"], "configuration")} held out (new {result["held_out"]}) · protocol '
        f'{result["protocol"]} · {bars}{energies_of_test_text(result["offsets"])} · {_steps_text(result)}',
    )
    return save_figure(draw_size_curve(result, caption), output)

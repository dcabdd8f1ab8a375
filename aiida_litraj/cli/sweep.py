"""``aiida-litraj launch sweep``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.finetune_words import energies_of_test_text
from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import launch_options, require_caching, run_or_submit
from .learning_curve import prepare_from, start_text
from .train import number_overrides, say_plan
from .training_sets import sets_of, sets_options, sets_text, spread_text, warn

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

SWEEP = 'litraj.sweep'
TITLE = 'Sweep'
COSTS = {'seconds_per_evaluation': 'Of use', 'seconds_of_training': 'Of training'}


@click.command(short_help='Options of trainings tried side by side: error against cost.')
@click.argument('source')
@click.option(
    '--vary', 'varied', multiple=True, required=True, metavar='NAME=A,B,...',
    help='An option of the training with its values; of several every combination. Repeatable.',
)  # fmt: skip
@click.option('--potential', metavar='NAME', help='What is gone on from; from scratch without.')
@click.option('--trainer', metavar='NAME', help='sevennet, mace, ...  [default: by the potential, or the protocol]')
@click.option('--protocol', metavar='NAME', help='balanced or fast.  [default: balanced]')
@sets_options
@launch_options
def sweep(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Train on SOURCE with each combination of options, and say what each is off and what it costs.

    SOURCE and what is kept back are named as in "launch finetune"; options as in parameters of "launch train".

    \b
    Examples:
      aiida-litraj launch sweep labelled.extxyz --trainer mace --vary architecture.channels=8,16,32 --daemon
      aiida-litraj launch sweep 123 --potential 7net-0 --vary learning_rate=0.001,0.004 --vary epochs=50,100 --daemon
    """
    overrides, grid = number_overrides(request, 'train'), parse_grid(request['varied'])
    if cache and daemon:
        require_caching('litraj.train')
    with refusals():
        builder = prepare_from(SWEEP, request, overrides, cache, {'grid': grid})
    if not as_json:
        say_plan(plan_text(builder), next(iter(builder.parameters.values())), builder.train, builder.valid)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def parse_grid(texts: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the values of each option, read as YAML.

    :raises click.UsageError: if one does not parse, or an option is named twice.
    """
    import yaml

    grid: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, rest = text.partition('=')
        name = name.strip().removeprefix('parameters.')
        try:
            values = yaml.safe_load(f'[{rest}]')
        except yaml.YAMLError as error:
            raise click.UsageError(f'--vary {text!r}: the values do not parse: {error}') from error
        if not equals or not name or not values:
            raise click.UsageError(f'--vary {text!r} does not parse: write NAME=A,B,... as in epochs=50,100')
        if name in grid:
            raise click.UsageError(f'--vary {text}: {name} is varied twice')
        grid[name] = [_number(value) for value in values]
    return grid


def _number(value: Any) -> Any:
    """Return a value; YAML 1.1 takes 1e-3 for a text, and here it is a number."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    points, repeats = builder.settings['points'], len(builder.trainings)
    first = next(iter(builder.parameters.values()))
    return (
        f'{start_text(builder, first["trainer"])}: {sets_text(builder)}; {counted(len(points), "point")}, '
        f'{counted(len(points) * repeats, "training")}, protocol {builder.settings.label}'
    )


def sweep_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return a sweep as ``--json`` prints it, or ``None`` if the chain has none."""
    if 'comparison' not in chain.outputs:
        return None
    trainers = {node['trainer'] for node in chain.inputs.parameters.values()}
    offsets = chain.inputs.comparison['offsets']
    return {
        **sets_of(chain), 'trainers': sorted(trainers), 'offsets': offsets, **chain.outputs.comparison.get_dict()
    }  # fmt: skip


def sweep_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    from ..report.sweep import named

    known = [one for one in result['points'].values() if one['rmse_force_mev_per_ang'] is not None]
    best = min(known, key=lambda one: one['rmse_force_mev_per_ang']['mean'], default=None)
    if best is None:
        return 'No point has an error'
    return f'Least RMSE of forces: {spread_text(best["rmse_force_mev_per_ang"])} meV/Å with {named(best["changes"])}'


def print_sweep(result: dict[str, Any]) -> None:
    """Print error and cost of each point; those on a front have a mark."""
    from ..report.sweep import front_of, named

    start = f'on from {result["parent"]}' if result['parent'] else 'from scratch'
    print_pairs(
        [
            ('training', f'{", ".join(result["trainers"])}, {start}'),
            ('learnt', counted(result['n_train'], 'configuration')),
            ('judged on', f'{counted(result["n_test"], "configuration")}, new {result["held_out"]}'),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    rows, fronts = [], {cost: front_of(result, cost) for cost in COSTS}
    for number, (name, one) in enumerate(result['points'].items(), start=1):
        marks = [spread_text(one.get(cost), '.3g') for cost in COSTS]
        stars = ['*' if name in fronts[cost][0] else '' for cost in COSTS]
        rows.append(
            (
                number, named(one['changes']), spread_text(one['rmse_force_mev_per_ang']),
                spread_text(one['slope_force']), spread_text(one['rmse_energy_mev_per_atom']), marks[0], stars[0],
                marks[1], stars[1],
            )
        )  # fmt: skip
    columns = (
        '>#', 'point', '>RMSE(F) / meV/Å', '>slope', '>RMSE(E) / meV/atom', '>s an evaluation', '',
        '>s of training', '',
    )  # fmt: skip
    print_table(None, columns, rows)
    click.echo('*: on the Pareto front of force error and that cost; ±: standard deviation over seeds')
    for cost, words in COSTS.items():
        if fronts[cost][1]:
            click.echo(f'{words}: {fronts[cost][1]}')
    click.echo(f'RMSE(E): {energies_of_test_text(result["offsets"]).removeprefix("energies ")}')
    warn(result)


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw errors over costs into a file and return its path.

    :raises Refusal: if the chain has none yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..report.energy_profile import Caption
    from ..report.style import check_format, save_figure
    from ..report.sweep import draw_sweep
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    start = f'on from {result["parent"]}' if result['parent'] else 'from scratch'
    repeated = any(len(one['trainings']) > 1 for one in result['points'].values())
    bars = ' · bars: standard deviation over seeds' if repeated else ' · one seed: errors may be chance'
    caption = Caption(
        f'{"-".join(result["elements"])}: {", ".join(result["trainers"])} {start}',
        f'{counted(result["n_train"], "configuration")} learnt, {result["n_test"]} held out (new {result["held_out"]}) '
        f'· protocol {result["protocol"]}{bars}',
    )
    return save_figure(draw_sweep(result, caption), output)

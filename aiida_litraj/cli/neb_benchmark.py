"""``aiida-litraj launch neb-benchmark``, and what ``show``, ``plot`` and ``status`` say of potentials on hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted, reference_text
from .console import print_pairs, print_table
from .errors import refusals
from .hop_sources import load_hops, sizes_text, with_reference
from .launching import launch_options, packing_option, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .potentials import choose_potentials, labels_of

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

BENCHMARK = 'litraj.neb_benchmark'
TITLE = 'Benchmark of barriers'
MOST_WORST = 5


@click.command(name='neb-benchmark', short_help='Potentials beside reference paths of many hops.')
@click.argument('sources', nargs=-1, required=True, metavar='SOURCE...')
@click.option(
    '--potential', 'potentials', required=True, multiple=True, metavar='NAME',
    help='Label, pk or uuid of an imported potential. Repeatable: they are compared on the same hops.',
)  # fmt: skip
@click.option(
    '--protocol', metavar='NAME', help='balanced, litraj-2025 or tight.  [default: that of a benchmark, else balanced]'
)
@click.option('--limit', type=click.IntRange(min=1), metavar='N', help='The first N hops only.')
@click.option('--threshold', type=float, metavar='EV', help='A hop is good up to this barrier.  [default: 0.5]')
@click.option(
    '--tight-sample', type=click.IntRange(min=0), metavar='N',
    help="Hops converged tightly as well, for the protocol's own error; 0 for none.  [default: 10]",
)  # fmt: skip
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of each potential]')
@packing_option
@launch_options
def neb_benchmark(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Optimise the paths of many hops with each potential, and say how far it is from the reference, and how surely.

    SOURCE is a data set of paths in the format of nebDFT2k or a split of one, or the pk of a chain that has optimised
    hops with something better, whose converged paths are the reference then; or of a benchmark: if that is all, its
    hops, materials, protocol and settings are taken again but for what options change, beside others its hops alone.
    Launched again with another potential or more hops, what is new is computed alone.

    \b
    Examples:
      aiida-litraj launch neb-benchmark nebDFT2k/test --potential 7net-0 --potential 7net-l3i5 --limit 20
      aiida-litraj launch neb-benchmark nebDFT2k --potential 7net-0 --protocol litraj-2025 --max-jobs 20 \\
          --walltime 24h --daemon
      aiida-litraj launch neb-benchmark 123 --potential chgnet
    """
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching()
    with refusals():
        like = benchmark_to_go_on_with(request['sources'])
        builder, left_out = prepare(request, overrides, cache, like)
    if not as_json:
        click.echo(f'{plan_text(builder)}{"" if like is None else _taken_text(like, builder)}', err=True)
        if left_out:
            text = f'{counted(len(left_out), "hop")} left out, without a converged reference: {_some(left_out)}'
            click.echo(click.style(f'Warning: {text}', fg='yellow'), err=True)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol."""
    overrides = parse_overrides(request['overrides'])
    for option, field in (('threshold', 'threshold_ev'), ('tight_sample', 'tight_sample')):
        if request[option] is not None:
            said = f'--{option.replace("_", "-")} {request[option]}'
            set_override(overrides, ['analysis', field], request[option], said)
    return overrides


def prepare(
    request: dict[str, Any],
    overrides: dict[str, Any],
    cache: bool | None = None,
    like: WorkChainNode | None = None,
) -> tuple[ProcessBuilder, list[str]]:
    """Return the builder of the chain, and the hops that are left out; all that is wrong is refused here or there."""
    from aiida.plugins import WorkflowFactory

    potentials, jobs, _ = choose_potentials(request['potentials'], request, cache)
    hops, left_out = with_reference(load_hops(request['sources'], request['limit']))
    builder = WorkflowFactory(BENCHMARK).get_builder_from_protocol(
        potentials=potentials,
        paths={name: hop.initial for name, hop in hops.items()},
        references={name: hop.reference for name, hop in hops.items()},
        protocol=request['protocol'],
        overrides=overrides,
        jobs=jobs,
        like=like,
    )
    return builder, left_out


def benchmark_to_go_on_with(sources: Sequence[str]) -> WorkChainNode | None:
    """Return the benchmark that is the only source of a launch, ``None`` if there is another one, or none."""
    from .hop_sources import node_of

    node = node_of(sources[0]) if len(sources) == 1 else None
    return node if getattr(node, 'process_type', None) == f'aiida.workflows:{BENCHMARK}' else None


def _taken_text(like: WorkChainNode, builder: ProcessBuilder) -> str:
    """Return in words which numbers of a benchmark are taken, and which are others than before."""
    words = {'parameters': 'protocol', 'tight_parameters': 'tight protocol', 'analysis': 'settings'}
    old = {name: like.inputs[name].get_dict() if name in like.inputs else None for name in words}
    new = {name: builder[name].get_dict() if name in builder else None for name in words}
    other = [word for name, word in words.items() if old[name] != new[name]]
    return f', as benchmark {like.pk}' + (f' but for {", ".join(other)}' if other else '')


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    from ..groups.hops import StoredHop

    hops = {name: StoredHop(path) for name, path in builder.paths.items()}
    sample = builder.analysis['tight_sample'] if 'tight_parameters' in builder else 0
    more = f', {min(sample, len(hops))} of them tightly as well' if sample else ''
    number = counted(len(builder.potentials), 'potential')
    return f'{sizes_text(hops)}{more}; {number}, protocol {builder.parameters.label}'


def benchmark_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return leaderboard and benchmarks of a chain as ``--json`` prints them, or ``None`` if it has none."""
    if 'leaderboard' not in chain.outputs:
        return None
    found = {name: node.get_dict() for name, node in chain.outputs.benchmark.items()}
    return _content(chain, found, chain.outputs.leaderboard.get_dict())


def benchmark_so_far(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the same of a chain that goes on, or was killed, over the hops that jobs which have ended are through."""
    from ..calculations.functions.rank_potentials import describe_ranking
    from ..workflows.benchmark_so_far import benchmarks_so_far

    found = benchmarks_so_far(chain)
    return _content(chain, found, describe_ranking(found)) if found else None


def _content(chain: WorkChainNode, found: dict[str, Any], leaderboard: dict[str, Any]) -> dict[str, Any]:
    from .processes import jobs_of

    jobs, some = jobs_of(chain), next(iter(found.values()))
    labels = labels_of({name: chosen['potential'].label for name, chosen in chain.inputs.potentials.items()})
    without = sorted(set(labels) - set(found))
    through = not without and not any(one['n_unfinished'] for one in found.values())
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'n_hops': len(some['hops']),
        'n_materials': len({hop['material'] for hop in some['hops'].values()}),
        'reference': some['reference'],
        'leaderboard': leaderboard,
        'potentials': labels,
        'without_benchmark': without,
        'benchmark': found,
        'protocol': some['protocol'],
        'complete': chain.is_terminated and 'leaderboard' in chain.outputs and through,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def benchmark_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = []
    for name in result['leaderboard']['ranking']:
        one = result['leaderboard']['potentials'][name]
        error = _estimate(one[result['leaderboard']['by']])
        parts.append(f'{result["potentials"][name]} {error or "–"} eV, {one["n_converged"]}/{one["n_paths"]} converged')
    return f'MAE of barriers: {"; ".join(parts)}'


def print_benchmark(result: dict[str, Any]) -> None:
    """Print the leaderboard, what costs nothing scores, the protocol's own error, and the worst hops."""
    from ..analysis.benchmark_numbers import is_judged

    board, benchmarks = result['leaderboard'], result['benchmark']
    print_pairs(
        [
            ('hops', f'{result["n_hops"]} of {counted(result["n_materials"], "material")}'),
            ('reference', reference_text(result['reference'])),
            ('protocol', result['protocol']),
            ('barrier', 'highest image minus lowest (range); --json has the one from the first image, too'),
            ('ranked by', board['by_words']),
            ('no benchmark', ', '.join(result['potentials'][name] for name in result['without_benchmark']) or None),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    columns = (
        'potential', '>converged', '>MAE, all / eV', '>MAE, converged', '>RMSE', '>r', '>path error / Å', '>calls / hop'
    )  # fmt: skip
    print_table(None, columns, [_row(name, result) for name in board['ranking']])
    _print_floors(result)
    for name in board['ranking']:
        _print_worst(result['potentials'][name], benchmarks[name])
    for name, one in benchmarks.items():
        if one['n_unfinished']:
            said = f'{result["potentials"][name]}: {counted(one["n_unfinished"], "hop")} not finished, so left out'
            why = [
                f'{key} ({hop["reason"]})' for key, hop in one['hops'].items() if hop['reason'] and not is_judged(hop)
            ]
            said += f': {_some(why)}' if why else ''
            click.echo(click.style(f'Warning: {said}', fg='yellow'), err=True)


def _row(name: str, result: Mapping[str, Any]) -> tuple[Any, ...]:
    one, benchmark = result['leaderboard']['potentials'][name], result['benchmark'][name]
    ran = sum(hop['model_calls'] > 0 for hop in benchmark['hops'].values())  # others were not sent to it, or not begun
    total = benchmark['cost']['model_calls']
    calls = None if not ran or total is None else f'{total / ran:.0f}'
    return (
        result['potentials'][name],
        f'{one["n_converged"]} of {one["n_paths"]}',
        *(
            _estimate(one[key])
            for key in (
                'mae_ev_failed_as_constant', 'mae_ev_converged_only', 'rmse_ev_converged_only',
                'pearson_r_converged_only', 'path_error_ang_converged_only',
            )
        ),
        calls,
    )  # fmt: skip


def _print_floors(result: Mapping[str, Any]) -> None:
    """Print what costs nothing scores, which is the same beside all that are through, and the protocols' own errors."""
    known = {name: one for name, one in result['benchmark'].items() if one['floors'] is not None}
    through = [name for name, one in known.items() if not one['n_unfinished']]
    for name in [*through[:1], *(name for name in known if name not in through)]:
        floors = known[name]['floors']
        constant, guess = _estimate(floors['constant']['mae_ev']), _estimate(floors['initial']['path_error_ang'])
        parts = [f'MAE of a constant barrier {constant} eV'] if constant else []
        parts += [f'path error of the initial guess {guess} Å'] if guess else []
        hops = f' on the {counted(known[name]["n_paths"], "hop")} that {result["potentials"][name]} is through'
        click.echo(f'For nothing{"" if name in through else hops}: {", ".join(parts)}')
    for name, one in result['benchmark'].items():
        error = one['protocol_error']
        if error is not None:
            click.echo(
                f"The protocol's own error, {result['potentials'][name]}: "
                f'{1000.0 * error["mean_absolute_ev"]["value"]:.1f} meV on {counted(error["n_paths"], "hop")}, '
                f'at most {1000.0 * error["max_ev"]:.1f} meV ({error["worst"]})'
            )


def _print_worst(label: str, benchmark: Mapping[str, Any]) -> None:
    """Print the hops that failed, and those furthest off."""
    from ..analysis.benchmark_numbers import is_judged

    hops = [(name, hop) for name, hop in benchmark['hops'].items() if is_judged(hop)]
    failed = [f'{name} ({hop["reason"] or hop["label"]})' for name, hop in hops if not hop['converged']]
    good = [(name, hop['range_ev'] - hop['reference_range_ev']) for name, hop in hops if hop['converged']]
    worst = sorted(good, key=lambda pair: -abs(pair[1]))[:MOST_WORST]
    if worst:
        click.echo(f'{label}, furthest off: {", ".join(f"{name} {off:+.3f} eV" for name, off in worst)}')
    if failed:
        click.echo(f'{label}, failed: {_some(failed)}')


def _some(names: list[str]) -> str:
    return ', '.join(names[:MOST_WORST]) + (f' and {len(names) - MOST_WORST} more' if len(names) > MOST_WORST else '')


def _estimate(one: Mapping[str, Any] | None) -> str | None:
    """Return a number with its interval."""
    if one is None or one['value'] is None:
        return None
    ends = one['interval']
    said = f'{one["value"]:.3f}'
    return said if ends is None else f'{said} [{_end(ends[0])}, {_end(ends[1])}]'


def _end(value: float | None) -> str:
    return '∞' if value is None else f'{value:.3f}'


def left_text(result: Mapping[str, Any]) -> str:
    """Return in words what there is no number of yet, by potential; empty if there is nothing."""
    parts = [
        f'{label}: {counted(left, "hop")} not finished'
        for name, label in result['potentials'].items()
        if name in result['benchmark'] and (left := result['benchmark'][name]['n_unfinished'])
    ]
    parts += [f'{result["potentials"][name]}: no benchmark' for name in result['without_benchmark']]
    return '; '.join(parts) or ('' if result['complete'] else 'the chain goes on')


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw barriers beside those of the reference into a file and return its path.

    :raises Refusal: if the chain has no benchmark yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..report.barrier_parity import draw_barrier_parity
    from ..report.energy_profile import Caption
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    details = [f'{counted(result["n_hops"], "hop")} of {counted(result["n_materials"], "material")}']
    details += [
        f'reference: {reference_text(result["reference"])}',
        *([result['protocol']] if result['protocol'] else []),
    ]
    caption = Caption('Barriers beside the reference', ' · '.join(details), left_text(result))
    found = {result['potentials'][name]: result['benchmark'][name] for name in result['leaderboard']['ranking']}
    return save_figure(draw_barrier_parity(found, caption), output)

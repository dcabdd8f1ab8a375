"""From the benchmarks of several potentials on the same hops to their order, and how sure each difference is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from ...analysis.benchmark_numbers import PUBLISHED, is_judged, paired
from .compare_benchmark import judged_hop, read_settings

PREFIX = 'benchmark_'
CHARGED = 'mae_ev_failed_as_constant'
ALONE = 'mae_ev_converged_only'
_WORDS = {
    CHARGED: 'MAE over all hops, a failed one taken for the constant barrier of other materials',
    ALONE: 'MAE over the hops that converged: without a second material there is no constant to charge a failure with',
}


_LAST = '; those with unfinished hops come last, each over the hops that it is through'


@calcfunction
def rank_potentials(**benchmarks: Dict) -> Dict:
    """Return headline numbers of each potential, their order, and the ratios of their errors on the same hops.

    :param benchmarks: ``benchmark_<name>`` of each, what ``compare_benchmark`` has made of it; a link has to begin with
        a letter, and a name such as 0_3_0 does not.
    """
    return Dict(describe_ranking({key.removeprefix(PREFIX): node.get_dict() for key, node in benchmarks.items()}))


def describe_ranking(benchmarks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of the output ``leaderboard``; a potential without a number comes last.

    Before it come those with hops that are not finished: their numbers are over fewer hops than those of the others,
    and the easy ones may be the first that are through. ``unfinished`` names them, and ``by_words`` says so.

    ``mae_ratios`` has by two names the MAE of the first over that of the second where both converged: below one,
    interval and all, the first is the better one.
    """
    headlines = {name: headline(one) for name, one in sorted(benchmarks.items())}
    unfinished = [name for name, one in headlines.items() if one['n_unfinished']]
    known = [one for one in headlines.values() if one[ALONE] is not None]
    by = CHARGED if known and all(_value(one[CHARGED]) is not None for one in known) else ALONE

    def place(name: str) -> tuple[bool, bool, float, str]:
        value = _value(headlines[name][by])
        return value is None, name in unfinished, value if value is not None else 0.0, name

    hops = {
        name: [judged_hop(hop, entry) for hop, entry in one['hops'].items() if is_judged(entry)]
        for name, one in benchmarks.items()
    }
    settings = {name: read_settings(one['settings']) for name, one in benchmarks.items()}
    ratios = {
        name: {other: paired(hops[name], hops[other], settings[name].bootstrap) for other in headlines if other != name}
        for name in headlines
    }
    return {
        'schema_version': 1,
        'definition': PUBLISHED,
        'by': by,
        'by_words': _WORDS[by] + (_LAST if unfinished else ''),
        'ranking': (ranking := sorted(headlines, key=place)),
        'unfinished': [name for name in ranking if name in unfinished],
        'potentials': headlines,
        'mae_ratios': ratios,
    }


def headline(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a potential that it is ranked and told by; each is an estimate with its interval."""
    facts = {key: benchmark[key] for key in ('n_paths', 'n_converged', 'n_unfinished', 'n_materials')}
    names = (
        'convergence_rate', CHARGED, 'median_error_ev_failed_as_infinite', 'path_error_ang_failed_as_initial', ALONE,
        'rmse_ev_converged_only', 'pearson_r_converged_only', 'path_error_ang_converged_only', 'balanced_accuracy',
    )  # fmt: skip
    if benchmark['errors'] is None:
        return {**facts, **dict.fromkeys(names)}
    errors = benchmark['errors'][PUBLISHED]
    charged, good = errors['charged'] or {}, errors['converged_only']
    calls = benchmark['classification']['failed_called_wrongly']['calls']
    estimates = (
        errors['convergence_rate'], *(charged.get(name) for name in names[1:4]), good['mae_ev'], good['rmse_ev'],
        good['pearson_r'], errors['path_error_ang_converged_only'], calls['balanced_accuracy'],
    )  # fmt: skip
    return {**facts, **dict(zip(names, estimates, strict=True))}


def _value(estimate: Mapping[str, Any] | None) -> float | None:
    return None if estimate is None else estimate['value']

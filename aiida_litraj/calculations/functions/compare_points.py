"""From the errors and the costs of potentials that differ in their options to those that are worth it."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict
from pydantic import Field, JsonValue

from ...analysis.pareto import pareto_front
from ...analysis.stage_errors import spread
from ...contract.base import Model
from ..validation import check_names, validated
from .compare_finetuned import spreads
from .compare_sizes import RMSE, judged_on_fewer, numbers

ERRORS, TRAINED, EVALUATED, PARAMETERS = 'errors_', 'trained_', 'evaluated_', 'parameters_'
"""Before the names of trainings, of parameters before those of points: what of them an input is."""
COSTS = ('seconds_per_step', 'seconds_per_evaluation')


class Points(Model):
    """Choices of options by name: what each changes, by dotted names of training parameters."""

    points: dict[str, dict[str, JsonValue]] = Field(min_length=1)


@calcfunction
def compare_points(settings: Dict, **found: Dict) -> Dict:
    """Return errors and costs of each point, their spread over repeats, and the Pareto fronts.

    :param settings: the points, as :class:`Points`.
    :param found: of each training, ``<point>_<repeat>``, its errors (``errors_...``), how it ended (``trained_...``)
        and how its evaluation did (``evaluated_...``); of each point its training parameters (``parameters_...``).
    """
    points = read_points(settings.get_dict()).points
    return Dict(describe(points, {name: one.get_dict() for name, one in found.items()}))


def read_points(values: Mapping[str, Any]) -> Points:
    """Return the points.

    :raises ValueError: naming what is missing, not known or out of range.
    """
    points = validated(values, Points, 'settings')
    check_names(points.points, 'settings.points', 'point')
    return points


def describe(points: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a row for each point, and which of them are on the front of error and each cost."""
    rows = {name: row(name, changes, found) for name, changes in points.items()}
    means = {name: {key: _mean(one[key]) for key in (RMSE, *COSTS)} for name, one in rows.items()}
    names = list(rows)
    fewer = judged_on_fewer({name: one for name, one in found.items() if name.startswith(ERRORS)})
    said = {name.removeprefix(ERRORS): text for name, text in fewer.items()}
    for name, one in rows.items():
        if any(f'{name}_{repeat}' in said for repeat in one['trainings']):
            means[name][RMSE] = None
    fronts = {
        cost: [names[place] for place in pareto_front(*([means[name][key] for name in names] for key in (cost, RMSE)))]
        for cost in COSTS
    }
    return {
        'points': rows,
        'fronts': fronts,
        'warnings': [
            *(f'{name}: none of its trainings came to its end' for name in names if not rows[name]['trainings']),
            *(f'{name}: {text}, and its point is on no front' for name, text in said.items()),
        ],
    }


def row(point: str, changes: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is said of one point: errors and costs, each with mean and spread over its repeats."""
    trainings: dict[str, Any] = {}
    prefix = f'{ERRORS}{point}_'
    for key, errors in found.items():
        if not key.startswith(prefix):
            continue
        repeat = key.removeprefix(prefix)
        item = next(iter(found[f'{TRAINED}{point}_{repeat}']['items'].values()))
        batch = int(found[f'{PARAMETERS}{point}']['batch_size'])
        evaluated = found.get(f'{EVALUATED}{point}_{repeat}') or {}
        trainings[repeat] = {
            **numbers(errors),
            'seconds_per_step': per_step(item, batch),
            'seconds_per_evaluation': per_evaluation(evaluated),
            'n_parameters': item.get('n_parameters'),
            'n_epochs': item.get('n_epochs'),
        }
    costs = {key: _spread([one[key] for one in trainings.values()]) for key in COSTS}
    return {'changes': dict(changes), **spreads(list(trainings.values())), **costs, 'trainings': trainings}


def per_step(item: Mapping[str, Any], batch: int) -> float | None:
    """Return how long a step takes, by the median epoch of the learning curve."""
    seconds, n_train = item.get('seconds_per_epoch'), item.get('n_train')
    return None if not seconds or not n_train else float(seconds) / ceil(n_train / batch)


def per_evaluation(results: Mapping[str, Any]) -> float | None:
    """Return how long the model takes for a configuration, by the audit of the evaluation."""
    audit = results.get('audit') or {}
    calls = audit.get('model_calls', 0) - audit.get('resumed_calls', 0)
    return float(audit['model_seconds']) / calls if calls > 0 else None


def _spread(values: list[float | None]) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    said = spread(known) if known else None
    return None if said is None else {'mean': said.mean, 'std': said.std, 'n': said.n}


def _mean(one: Mapping[str, Any] | None) -> float | None:
    return None if one is None else float(one['mean'])

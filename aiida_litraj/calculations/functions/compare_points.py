"""From the errors and the costs of potentials that differ in their options to those that are worth it."""

from __future__ import annotations

from collections.abc import Mapping
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

ERRORS, TRAINED, EVALUATED = 'errors_', 'trained_', 'evaluated_'
"""Before the names of trainings: what of them an input is."""
COSTS = ('seconds_per_evaluation', 'seconds_of_training')
"""What it costs to use a potential, and to make it."""


class Points(Model):
    """Choices of options by name: what each changes, by dotted names of training parameters."""

    points: dict[str, dict[str, JsonValue]] = Field(min_length=1)


@calcfunction
def compare_points(settings: Dict, **found: Dict) -> Dict:
    """Return errors and costs of each point, their spread over repeats, and the Pareto fronts.

    :param settings: the points, as :class:`Points`.
    :param found: of each training, ``<point>_<repeat>``, its errors (``errors_...``), how it ended (``trained_...``)
        and how its evaluation did (``evaluated_...``).
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
    trainings = repeats(found)
    rows = {name: row(name, changes, found, trainings) for name, changes in points.items()}
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


def row(
    point: str, changes: Mapping[str, Any], found: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return what is said of one point: errors and costs, each with mean and spread over its repeats.

    :param names: of the repeats by those of their trainings.
    """
    trainings: dict[str, Any] = {}
    for training, repeat in names.items():
        if training != f'{point}_{repeat}':
            continue
        item = found[f'{TRAINED}{training}']['items'][repeat]
        trainings[repeat] = {
            **numbers(found[f'{ERRORS}{training}']),
            'seconds_per_evaluation': per_evaluation(found.get(f'{EVALUATED}{training}') or {}),
            'seconds_of_training': of_training(item),
            'n_parameters': item.get('n_parameters'),
            'n_epochs': item.get('n_epochs'),
        }
    costs = {key: _spread([one[key] for one in trainings.values()]) for key in COSTS}
    return {'changes': dict(changes), **spreads(list(trainings.values())), **costs, 'trainings': trainings}


def repeats(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the name of the repeat of each training that has errors: that of the one item of its job."""
    names = [name.removeprefix(ERRORS) for name in found if name.startswith(ERRORS)]
    return {name: next(iter(found[f'{TRAINED}{name}']['items'])) for name in names}


def of_training(item: Mapping[str, Any]) -> float | None:
    """Return how long all epochs took that were made, by the median epoch of the learning curve."""
    seconds, epochs = item.get('seconds_per_epoch'), item.get('n_epochs')
    return None if not seconds or not epochs else float(seconds) * int(epochs)


def per_evaluation(results: Mapping[str, Any]) -> float | None:
    """Return how long the model takes for a configuration, by the audit of the evaluation."""
    seconds = (results.get('audit') or {}).get('seconds_per_call')
    return None if seconds is None else float(seconds)


def _spread(values: list[float | None]) -> dict[str, Any] | None:
    known = [value for value in values if value is not None]
    said = spread(known) if known else None
    return None if said is None else {'mean': said.mean, 'std': said.std, 'n': said.n}


def _mean(one: Mapping[str, Any] | None) -> float | None:
    return None if one is None else float(one['mean'])

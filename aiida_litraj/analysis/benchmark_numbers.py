"""All numbers of a benchmark of barriers as plain values, such as a database keeps: no arrays, nothing infinite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from ..contract.base import Model
from ..contract.verdict import is_end
from .benchmark_errors import DEFINITIONS, TOLERANCES_EV, Definition, Fallback, Outcomes, benchmark_errors, mae_ratio
from .benchmark_groups import BARRIER_EDGES_EV, benchmark_groups
from .bootstrap import Bootstrap
from .classification import GOOD_UP_TO_EV, classify
from .estimates import Estimate, missing
from .floors import (
    ConstantFloor,
    constant_floor,
    initial_floor,
    mae_over_constant,
    share_closer_than_initial,
)
from .protocol_error import protocol_error
from .roc import Roc

COVERS_NOT, UNFINISHED, FINISHED = 'not covered', 'unfinished', 'finished'
"""What can have become of a hop."""
PUBLISHED: Definition = 'range'
"""The definition of the barrier by which hops are classified, grouped and potentials ranked: that of LiTraj."""
FAILED_PATH = 'an end of the interval is a failed path, which is further off than any number'
NOTHING_CALLED = 'null is a threshold below or above all predictions'


class BenchmarkSettings(Model):
    """How hops are judged; nothing of it changes what is computed, but for ``tight_sample``."""

    threshold_ev: PositiveFloat = GOOD_UP_TO_EV
    """A hop is good up to this barrier."""
    barrier_edges_ev: list[float] = Field(default=list(BARRIER_EDGES_EV[:-1]), min_length=1)
    """Between the ranges of the reference's barrier, rising; the last range has no upper end."""
    tolerances_ev: list[PositiveFloat] = list(TOLERANCES_EV)
    tight_sample: NonNegativeInt = 10
    """Hops that are converged tightly as well, for the protocol's own error; spread over the materials."""
    seed: int = 0
    """Of that sample and of the intervals."""
    samples: PositiveInt = 1000
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0)

    @field_validator('barrier_edges_ev')
    @classmethod
    def _rising(cls, edges: list[float]) -> list[float]:
        if any(low >= high for low, high in pairwise(edges)):
            raise ValueError('the edges have to rise')
        return edges

    @property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(self.samples, self.seed, self.confidence)


@dataclass(frozen=True)
class JudgedHop:
    """A hop that a potential has brought to its end; energies in eV, by definition of the barrier.

    :ivar numbers: atomic numbers of the supercell.
    :ivar predicted_ev: ``None`` where the potential has no path.
    :ivar path_error_ang: beside the reference, ``None`` without a path; ``initial_path_error_ang`` of the guess.
    :ivar initial_ev: barriers by the energies that the guess came with, where it has any.
    """

    id: str
    material: str
    numbers: Sequence[int]
    reference_ev: Mapping[str, float]
    predicted_ev: Mapping[str, float] | None
    converged: bool
    path_error_ang: float | None
    initial_path_error_ang: float
    initial_ev: Mapping[str, float] | None = None


def is_judged(hop: Mapping[str, Any]) -> bool:
    """Return whether a hop was brought to its end, be it that the potential cannot be asked about it.

    One that was given up is, where that is a verdict on the potential, such as a force that explodes; where it is a
    fault of the engine or of where it ran, another run may do better, and nothing is said.

    :param hop: of ``compare_benchmark``, or its entry in an account.
    """
    return hop.get('status') in (FINISHED, COVERS_NOT) or is_end(hop)


def outcomes_of(hops: Sequence[JudgedHop], definition: Definition) -> Outcomes:
    """Return what became of hops, by one definition of the barrier."""
    nothing = float('nan')
    return Outcomes(
        definition,
        tuple(hop.material for hop in hops),
        np.array([hop.reference_ev[definition] for hop in hops], dtype=float),
        np.array([nothing if h.predicted_ev is None else h.predicted_ev[definition] for h in hops], dtype=float),
        np.array([hop.converged for hop in hops], dtype=bool),
        np.array([nothing if h.path_error_ang is None else h.path_error_ang for h in hops], dtype=float),
    )


def benchmark_numbers(hops: Sequence[JudgedHop], settings: BenchmarkSettings) -> dict[str, Any]:
    """Return ``errors`` by definition of the barrier, ``classification``, ``floors`` and ``groups`` of a potential.

    :param hops: that it has brought to their end, one at least.
    """
    bootstrap = settings.bootstrap
    initial = np.array([hop.initial_path_error_ang for hop in hops], dtype=float)
    errors, by_definition = {}, {}
    for definition in DEFINITIONS:
        outcomes = outcomes_of(hops, definition)
        constant = _constant(outcomes, bootstrap)
        fallback = None if isinstance(constant, Estimate) else Fallback(constant.barriers_ev, initial)
        errors[definition] = benchmark_errors(outcomes, fallback, bootstrap, settings.tolerances_ev)
        by_definition[definition] = (outcomes, constant, fallback)
    outcomes, constant, fallback = by_definition[PUBLISHED]
    groups = benchmark_groups(
        outcomes, [hop.numbers for hop in hops], fallback, bootstrap, [*settings.barrier_edges_ev, np.inf]
    )
    numbers = {
        'errors': errors,
        'classification': classify(outcomes, settings.threshold_ev, bootstrap),
        'floors': _floors(hops, outcomes, constant, initial, bootstrap),
        'groups': {'elements': groups.by_element, 'anions': groups.by_anion, 'barriers': groups.by_barrier},
    }
    found: dict[str, Any] = plain(numbers)
    for section in ('classification', 'floors', 'groups'):
        found[section]['definition'] = PUBLISHED
    return found


def _constant(outcomes: Outcomes, bootstrap: Bootstrap) -> ConstantFloor | Estimate:
    """Return what a constant scores, or why there is none to be had."""
    try:
        return constant_floor(outcomes.reference_ev, outcomes.materials, None, bootstrap)
    except ValueError as error:
        return missing(str(error), len(set(outcomes.materials)))


def _floors(
    hops: Sequence[JudgedHop],
    outcomes: Outcomes,
    constant: ConstantFloor | Estimate,
    initial: Any,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    guesses = [hop.initial_ev for hop in hops]
    known = [guess[PUBLISHED] for guess in guesses if guess is not None and PUBLISHED in guess]
    energies = np.array(known, dtype=float) if len(known) == len(hops) else None
    none = constant if isinstance(constant, Estimate) else None
    return {
        'constant': {
            'source': None if isinstance(constant, Estimate) else constant.source,
            'mae_ev': none or constant.mae_ev,  # type: ignore[union-attr]
            'rmse_ev': none or constant.rmse_ev,  # type: ignore[union-attr]
        },
        'initial': initial_floor(outcomes.reference_ev, energies, initial, outcomes.materials, bootstrap),
        'mae_over_constant': none or mae_over_constant(outcomes, constant.barriers_ev, bootstrap),  # type: ignore[union-attr]
        'share_closer_than_initial': share_closer_than_initial(outcomes, initial, bootstrap),
    }


def own_error(
    hops: Sequence[JudgedHop], tight_ev: Mapping[str, float | None], settings: BenchmarkSettings
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the protocol's own error on the hops of a sample, or why there is none.

    :param tight_ev: by hop of the sample its barrier by ``PUBLISHED`` converged tightly, ``None`` if it did not.
    """
    sample = [hop for hop in hops if hop.id in tight_ev]
    if not sample:
        return None, 'no hop was converged tightly as well'
    nothing = float('nan')
    own = [h.predicted_ev[PUBLISHED] if h.converged and h.predicted_ev is not None else nothing for h in sample]
    tight = [nothing if tight_ev[hop.id] is None else tight_ev[hop.id] for hop in sample]
    names, materials = [hop.id for hop in sample], [hop.material for hop in sample]
    try:
        found = protocol_error(names, materials, np.array(own), np.array(tight), len(hops), settings.bootstrap)
    except ValueError as error:
        return None, str(error)
    return {**plain(found), 'definition': PUBLISHED}, None


def paired(one: Sequence[JudgedHop], other: Sequence[JudgedHop], bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the MAE of a potential over that of another on the hops that both converged, and how many these are."""
    shared = {hop.id for hop in one} & {hop.id for hop in other}
    first, second = (
        outcomes_of(sorted((h for h in hops if h.id in shared), key=lambda h: h.id), PUBLISHED) for hops in (one, other)
    )
    both = int((first.converged & second.converged).sum())
    return {**plain(mae_ratio(first, second, bootstrap)), 'n_paths': both, 'definition': PUBLISHED}


def plain(value: Any) -> Any:
    """Return dataclasses, arrays and tuples as what JSON can hold; what is not finite is ``None``, with its reason."""
    if isinstance(value, Estimate):
        ends = plain(value.interval)
        lost = ends is not None and any(end is None for end in ends)
        return {
            'value': plain(value.value),
            'interval': ends,
            'n_materials': value.n_materials,
            'reason': FAILED_PATH if lost and value.reason is None else value.reason,
        }
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        return {**content, 'thresholds_reason': NOTHING_CALLED} if isinstance(value, Roc) else content
    if isinstance(value, Mapping):
        return {f'{key:g}' if isinstance(key, float) else str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value

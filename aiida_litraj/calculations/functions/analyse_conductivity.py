"""From trajectories at several temperatures to the ionic conductivity at room temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida.engine import ExitCode, calcfunction
from aiida.orm import Dict
from ase.data import atomic_masses, atomic_numbers

from ...analysis.arrhenius import ROOM_TEMPERATURE_K, Arrhenius, Conductivity
from ...analysis.conductivity import ConductivitySettings, Measured, measure, name_of
from ...analysis.diffusion import Estimate
from ...analysis.transport import Run, Transport
from ...contract.errors import BY_LABEL
from ...data.trajectory import MdTrajectoryData
from .plan_equilibration import read_settings

REPEATS_NEEDED = 2
"""Of numbers that have a mean and a scatter."""


@calcfunction
def analyse_conductivity(
    settings: Dict, results: Dict, cells: Dict, **trajectories: MdTrajectoryData
) -> Dict | ExitCode:
    """Return conductivity at 298 K, activation energy, and what each temperature says, all with 68 % intervals.

    ``sigma_298_s_per_cm`` is that of Nernst and Einstein with the tracer diffusivity, extrapolated along an Arrhenius
    line of sigma T. What cannot be said is ``None``, and a warning says why.

    :param settings: the fields of ``analysis.conductivity.ConductivitySettings``.
    :param results: how the runs at constant volume ended. Those that did not reach their end are left out.
    :param cells: the report of ``litraj.mean_cells``.
    :param trajectories: of the runs, by their names.
    """
    choices = read_settings(settings.get_dict())
    lost = lost_replicas(results.get_dict(), cells.get_dict())
    kept = {name: node for name, node in trajectories.items() if name not in lost}
    try:
        measured = measure_trajectories(choices, kept)
    except ValueError as error:
        return ExitCode(BY_LABEL['ERROR_UNSTABLE'].status, f'there is no conductivity: {error}')
    warnings = [*cells['warnings'], *(f'{name}: left out: {reason}' for name, reason in lost.items())]
    some = next(iter(kept.values()))
    audit = results['audit'] or {}
    return Dict(
        {
            **describe(measured, warnings),
            'cells': cells['temperatures'],
            'mobile_element': choices.mobile_element,
            'natoms': some.n_atoms,
            'formula': some.base.attributes.get('formula'),
            'n_runs': len(kept),
            'lost': [{'replica': name, 'reason': reason} for name, reason in lost.items()],
            'potential_sha256': audit.get('potential', {}).get('sha256'),
            'engine_version': audit.get('engine_version'),
        }
    )


def lost_replicas(results: Mapping[str, Any], cells: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the runs in mean cells that did not reach their end, with the reason of each."""
    lost = {}
    for entry in cells['temperatures']:
        for repeat in entry['repeats']:
            name = name_of(entry['temperature_k'], repeat)
            item = results['items'].get(name, {'status': 'missing', 'reason': 'it did not run'})
            if item['status'] != 'finished':
                lost[name] = str(item['reason'])
    return lost


def measure_trajectories(settings: ConductivitySettings, trajectories: Mapping[str, MdTrajectoryData]) -> Measured:
    """Return what trajectories, by name of the run, say; also what the figure is drawn from.

    :raises ValueError: if there are none, or they cannot be analysed.
    """
    runs: dict[float, dict[int, Run]] = {}
    numbers = np.zeros(0, dtype=int)
    for temperature in settings.temperatures_k:
        for repeat in range(1, settings.repeats + 1):
            node = trajectories.get(name_of(temperature, repeat))
            if node is None:
                continue
            numbers = np.asarray(node.numbers, dtype=int)
            volume = float(abs(np.linalg.det(node.cells)).mean())
            runs.setdefault(temperature, {})[repeat] = Run(node.positions, node.times_ps, volume)
    if not runs:
        raise ValueError('no run has reached its end')
    mobile = np.flatnonzero(numbers == atomic_numbers[settings.mobile_element])
    return measure(runs, mobile, atomic_masses[numbers], settings)


def describe(measured: Measured, warnings: Sequence[str]) -> dict[str, Any]:
    """Return the content of the output ``conductivity``; ``warnings`` are those of before."""
    together = measured.together
    tracer, collective, diffusivity = together.tracer, together.collective, together.diffusivity
    repeats = _repeats(measured.repeats)
    return {
        'temperature_k': ROOM_TEMPERATURE_K,
        **_at_room('sigma_298', 's_per_cm', tracer),
        **_energy('activation_energy', tracer),
        **_at_room('sigma_298_collective', 's_per_cm', collective),
        **_energy('activation_energy_collective', collective),
        **_at_room('diffusivity_298', 'cm2_per_s', diffusivity),
        'repeats': repeats,
        'sigma_298_mean_of_repeats_s_per_cm': _mean([one['sigma_298_s_per_cm'] for one in repeats]),
        'temperatures': [_temperature(transport) for transport in together.transports],
        'warnings': _texts(together, warnings),
        'caveats': sorted({caveat.kind for caveat in together.caveats}),
    }


def _texts(conductivity: Conductivity, before: Sequence[str]) -> list[str]:
    """Return the warnings of before and the caveats, each once; first of all that there is no number, if so."""
    caveats = [caveat.text for caveat in conductivity.caveats]
    first = caveats[:1] if conductivity.tracer is None else []
    return list(dict.fromkeys([*first, *before, *caveats]))


def _at_room(name: str, unit: str, line: Arrhenius | None) -> dict[str, float | None]:
    one = None if line is None else line.extrapolated
    return {
        f'{name}_{unit}': None if one is None else one.value,
        f'{name}_low': None if one is None else one.low,
        f'{name}_high': None if one is None else one.high,
    }


def _energy(name: str, line: Arrhenius | None) -> dict[str, float | None]:
    return {
        f'{name}_ev': None if line is None else line.activation_energy_ev,
        f'{name}_low_ev': None if line is None else line.activation_energy_low_ev,
        f'{name}_high_ev': None if line is None else line.activation_energy_high_ev,
    }


def _repeats(repeats: Mapping[int, Conductivity]) -> list[dict[str, Any]]:
    """Return what each repeat says alone."""
    return [
        {
            'repeat': number,
            'sigma_298_s_per_cm': None if one.tracer is None else one.tracer.extrapolated.value,
            'activation_energy_ev': None if one.tracer is None else one.tracer.activation_energy_ev,
        }
        for number, one in repeats.items()
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean, if every repeat has a number."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if len(there) == len(values) >= REPEATS_NEEDED else None


def _temperature(transport: Transport) -> dict[str, Any]:
    estimates = (
        'tracer_cm2_per_s', 'collective_cm2_per_s', 'haven_ratio', 'sigma_tracer_s_per_cm', 'sigma_s_per_cm',
    )  # fmt: skip
    return {
        'temperature_k': transport.temperature_k,
        'volume_ang3': transport.volume_ang3,
        'n_mobile': transport.n_mobile,
        'durations_ps': list(transport.durations_ps),
        'diffused': transport.diffused,
        **{name: _estimate(getattr(transport, name)) for name in estimates},
        'tracer_below_cm2_per_s': transport.tracer_below_cm2_per_s,
        'fit_ps': None if transport.fit_ps is None else list(transport.fit_ps),
        'n_windows': transport.n_windows,
        'framework_msd_ang2': transport.framework_msd_ang2,
        'warnings': [caveat.text for caveat in transport.caveats],
    }


def _estimate(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else {'value': estimate.value, 'low': estimate.low, 'high': estimate.high}

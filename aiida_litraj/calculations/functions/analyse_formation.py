"""From relaxed crystals to formation energies, hulls, and the errors of potentials beside a reference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Data, Dict, Str
from pydantic import Field, FiniteFloat

from ...analysis.formation import Line, compare, formation_energies, hull_of, polymorphs
from ...contract.base import Model
from ...data.potential import PotentialData
from ..validation import validated
from .place_on_line import FormationSettings, line_from, read_settings

RESULTS, POTENTIAL = 'results_', 'potential_'
"""In front of a potential's name: what its relaxations came to, and its node."""
HELD_TOGETHER = re.compile(r'vdw|d2|d3|d4|ts09|mbd|rvv10|beef', re.IGNORECASE)
"""In the name of a functional that has dispersion forces."""
NOTHING_LEFT = 'no crystal was relaxed'


class ReferenceEnergies(Model):
    """Formation energies that somebody has published: in eV per atom, by the names of the crystals, and where from."""

    formation_energies_ev_per_atom: dict[str, FiniteFloat] = Field(min_length=1)
    source: str = Field(min_length=1)


@calcfunction
def analyse_formation(
    line: Dict, settings: Dict, reference: Str | None = None, reference_energies: Dict | None = None, **given: Data
) -> Dict:
    """Return formation energies, hull, polymorphs and volumes of each potential, and its errors beside the reference.

    :param line: as ``litraj.place_on_line`` gives it.
    :param settings: the fields of ``FormationSettings``.
    :param reference: name of the potential that the others are compared with.
    :param reference_energies: the fields of :class:`ReferenceEnergies`, instead.
    :param given: for each potential NAME the output ``results`` of its relaxations as ``results_NAME``, and its node
        as ``potential_NAME``.
    """
    results = {name.removeprefix(RESULTS): node for name, node in given.items() if name.startswith(RESULTS)}
    potentials = {name.removeprefix(POTENTIAL): node for name, node in given.items() if name.startswith(POTENTIAL)}
    numbers = None if reference_energies is None else read_reference(reference_energies.get_dict())
    return Dict(
        describe_formation(
            line.get_dict(),
            read_settings(settings.get_dict()),
            {name: node['items'] for name, node in sorted(results.items())},
            potentials,
            None if reference is None else reference.value,
            numbers,
        )
    )


def read_reference(values: Mapping[str, Any]) -> ReferenceEnergies:
    """Return values as published formation energies.

    :raises ValueError: naming each field that is missing, not known or out of range.
    """
    return validated(values, ReferenceEnergies, 'reference_energies')


def describe_formation(
    stored: Mapping[str, Any],
    settings: FormationSettings,
    results: Mapping[str, Mapping[str, Any]],
    potentials: Mapping[str, PotentialData],
    reference: str | None,
    numbers: ReferenceEnergies | None,
) -> dict[str, Any]:
    """Return the content of the output ``formation``.

    :param results: the items of the relaxations of each potential.
    """
    line = line_from(stored)
    found = {name: _of_potential(line, items) for name, items in results.items()}
    for one in found.values():
        ratios, most = one['volume_ratios'], settings.volume_change_warned
        one['volume_warned'] = {name: ratio for name, ratio in ratios.items() if abs(ratio - 1.0) > most}
    beside: dict[str, Any] | None = None
    if numbers is not None:
        formed = {**dict.fromkeys(line.end_members, 0.0), **numbers.formation_energies_ev_per_atom}
        beside = {'name': None, 'source': numbers.source, **_of_energies(line, formed), 'volumes_ang3_per_atom': {}}
    elif reference is not None and reference in found:
        beside = {'name': reference, 'source': _functional(potentials.get(reference)), **found[reference]}
    if beside is not None and beside['formation_energies_ev_per_atom']:
        for name, one in found.items():
            if name != reference:
                one.update(_beside(line, one, beside))
    return {
        **stored,
        'potentials': found,
        'reference': beside,
        'warnings': _warnings(line, settings, found, potentials, reference),
    }


def _of_potential(line: Line, items: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a potential says: only of crystals that converged, the others are left out with the reason."""
    there = {name: items[name] for name in line.places if name in items}
    good = {name: one for name, one in there.items() if one['converged'] and one.get('energy_ev') is not None}
    left_out = {
        name: {'label': one.get('label'), 'reason': one.get('reason') or 'it did not converge'}
        for name, one in there.items()
        if name not in good
    }
    left_out |= {name: {'label': None, 'reason': NOTHING_LEFT} for name in line.places if name not in items}
    energies = {name: one['energy_ev'] for name, one in good.items()}
    size = {name: line.places[name].n_atoms for name in good}
    content: dict[str, Any] = {
        'energies_ev_per_atom': {name: energy / size[name] for name, energy in energies.items()},
        'volumes_ang3_per_atom': {name: one['volume_ang3'] / size[name] for name, one in good.items()},
        'volume_ratios': {name: one['volume_ratio'] for name, one in good.items()},
        'left_out': left_out,
        'reason': None,
    }
    try:
        return {**content, **_of_energies(line, formation_energies(line, energies))}
    except ValueError as error:
        return {**content, **_of_energies(line, {}), 'reason': str(error)}


def _of_energies(line: Line, formed: Mapping[str, float]) -> dict[str, Any]:
    """Return formation energies with what follows from them; nothing follows from none."""
    if not formed:
        return {
            'formation_energies_ev_per_atom': {}, 'above_hull_ev_per_atom': {}, 'stable': [], 'polymorphs': []
        }  # fmt: skip
    hull = hull_of(line, formed)
    return {
        'formation_energies_ev_per_atom': dict(formed),
        'above_hull_ev_per_atom': hull.above_ev_per_atom,
        'stable': list(hull.vertices),
        'polymorphs': polymorphs(line, formed),
    }


def _beside(line: Line, one: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """Return the errors of a potential beside the reference."""
    compared = compare(line, one['formation_energies_ev_per_atom'], reference['formation_energies_ev_per_atom'])
    if compared is None:
        return {}
    volumes, known = one['volumes_ang3_per_atom'], reference['volumes_ang3_per_atom']
    return {
        'n_compared': len(compared.differences_mev_per_atom),
        'rmse_formation_mev_per_atom': compared.rmse_mev_per_atom,
        'mae_formation_mev_per_atom': compared.mae_mev_per_atom,
        'differences_mev_per_atom': compared.differences_mev_per_atom,
        'same_stable': set(one['stable']) == set(reference['stable']),
        'same_order_of_polymorphs': _same_order(one['polymorphs'], reference['polymorphs']),
        'volumes_of_reference': {name: volumes[name] / known[name] for name in volumes if name in known},
    }


def _same_order(groups: Sequence[Sequence[str]], reference: Sequence[Sequence[str]]) -> bool | None:
    """Return whether polymorphs that both have are in one order in both; ``None`` if there are no such."""
    pairs = [(group, other) for group in groups for other in reference if len(set(group) & set(other)) > 1]
    kept = [([name for name in a if name in b], [name for name in b if name in a]) for a, b in pairs]
    return all(a == b for a, b in kept) if kept else None


def _functional(potential: PotentialData | None) -> str | None:
    """Return the functional that a potential of a DFT code computes with, ``None`` for any other."""
    named = None if potential is None else potential.options.get('functional')
    return None if named is None else str(named)


def _warnings(
    line: Line,
    settings: FormationSettings,
    found: Mapping[str, Mapping[str, Any]],
    potentials: Mapping[str, PotentialData],
    reference: str | None,
) -> list[str]:
    """Return what a person has to know before the numbers are quoted."""
    said = []
    for name, one in found.items():
        functional = _functional(potentials.get(name))
        wanted = settings.reference_functional
        if name == reference and functional and wanted and functional.lower() != wanted.lower():
            said.append(f'{name}: the reference is of {functional}, the protocol wants {wanted}')
        options = {} if name not in potentials else potentials[name].options
        if 'kpoint_mesh' in options and len(line.places) > 1:
            said.append(
                f'{name}: its mesh of k-points, {options["kpoint_mesh"]}, is the same in cells of any size: crystals '
                'are not sampled alike; give kpoint_spacing_per_ang instead'
            )
        grown = one['volume_warned']
        if grown:
            listed = ', '.join(f'{key} {100.0 * (ratio - 1.0):+.1f} %' for key, ratio in grown.items())
            cause = 'a phase held together by dispersion forces, or one that the potential does not know'
            if functional and not HELD_TOGETHER.search(functional):
                cause = f'{functional} has no dispersion forces, which hold molecular and layered crystals together'
            ends = [key for key in line.end_members if key in grown]
            rest = (
                f'; on {" and ".join(ends)} all formation energies rest: look at other end_members too' if ends else ''
            )
            said.append(f'{name}: the volume changed by a lot in the relaxation ({listed}): {cause}{rest}')
        if one['reason']:
            said.append(f'{name}: no formation energies: {one["reason"]}')
    return said

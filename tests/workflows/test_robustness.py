"""Grids before anything runs: numbers of the protocols, seeds, the random start, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict, StructureData

from aiida_litraj.calculations.functions.plan_robustness import derived_seed, read_grid, replicas_of
from aiida_litraj.calculations.functions.random_hard_spheres import packed, random_hard_spheres
from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.robustness import RobustnessWorkChain
from tests.fixtures.nodes import fcc, of_lithium_6, potential

DENSITY_G_PER_CM3 = 1.88
LI3PS4_U = 3 * 6.94 + 30.973762 + 4 * 32.06
AVOGADRO = 0.602214076
"""Of the constant times 1e-24: atomic mass units per cubic Angstrom are 1/0.602 g/cm^3."""


@pytest.fixture
def build(launcher_code: Any, computer: Any) -> Any:
    """``build(overrides, **changes)`` is the builder of the quick protocol with the Morse potential."""

    def make(overrides: Any = None, **changes: Any) -> Any:
        given = {'potentials': {'morse': {'code': launcher_code, 'potential': potential('morse')}}, 'protocol': 'quick'}
        return RobustnessWorkChain.get_builder_from_protocol(**given | changes, overrides=overrides, computer=computer)

    return make


@pytest.mark.parametrize('protocol', RobustnessWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, build: Any, data_regression: Any) -> None:
    builder = build(protocol=protocol)
    names = ('packing', 'grid', 'relaxation', 'dynamics')
    assert {builder[name].label for name in names} == {protocol}
    data_regression.check({name: builder[name].get_dict() for name in names})


def test_published_numbers_of_the_grid(build: Any) -> None:
    """What LiPS-25 tells: 1,000-16,000 K, 1e6-1e12 Pa, three repeats of 100 ps, a frame each ps, contacts of 1 Ang."""
    builder = build(protocol='lips25-2025')
    grid, dynamics = builder.grid.get_dict(), builder.dynamics.get_dict()
    assert (min(grid['temperatures_k']), max(grid['temperatures_k'])) == (1000.0, 16000.0)
    assert (min(grid['pressures_pa']), max(grid['pressures_pa'])) == (1e6, 1e12)
    assert (grid['repeats'], grid['duration_ps']) == (3, 100.0)
    assert (dynamics['ensemble'], dynamics['frame_interval_fs'], dynamics['contact_distance_ang']) == (
        'npt',
        1000.0,
        1.0,
    )


def test_quick_grid_is_of_half_an_hour(build: Any) -> None:
    """At 1.5 s a call on two cores, the relaxation included."""
    builder = build()
    steps = builder.grid['duration_ps'] * 1000.0 / builder.dynamics['timestep_fs']
    replicas = replicas_of(read_grid(builder.grid.get_dict()))
    assert len(replicas) == 27
    assert 1.5 * (len(replicas) * (steps + 1) + builder.relaxation['max_steps'] + 1) <= 1800.0


def test_start_has_density_and_distances(build: Any) -> None:
    values = build().packing.get_dict()
    start = random_hard_spheres(Dict(values))
    assert isinstance(start, StructureData)
    assert start.get_formula() == 'Li36P12S48'
    volume = 12 * LI3PS4_U / AVOGADRO / DENSITY_G_PER_CM3
    assert start.get_cell_volume() == pytest.approx(volume, rel=1e-3)
    atoms = start.get_ase()
    distances, symbols = atoms.get_all_distances(mic=True), np.array(atoms.get_chemical_symbols())
    np.fill_diagonal(distances, np.inf)
    for pair, least in values['min_distances_ang'].items():
        one, other = pair.split('-')
        assert distances[np.ix_(symbols == one, symbols == other)].min() >= least
    assert packed({**values, 'seed': 1}).sites[0].position != packed(values).sites[0].position


def test_seed_of_a_replica_is_its_own() -> None:
    """It depends on temperature, pressure, repeat and the seed of the grid, not on what else is asked for."""
    values = {
        'temperatures_k': [1000.0, 2000.0],
        'pressures_pa': [1e6, 1e9],
        'repeats': 3,
        'duration_ps': 1.0,
        'seed': 4,
    }
    large, small = (
        {
            (one['schedule'][0]['temperature_k'], one['schedule'][0]['pressure_gpa'], name[-1]): one['seed']
            for name, one in replicas_of(read_grid({**values, **changes})).items()
        }
        for changes in ({}, {'temperatures_k': [2000.0], 'repeats': 2})
    )
    assert len(set(large.values())) == len(large) == 12
    assert small.items() <= large.items()
    assert derived_seed(5, 1000.0, 1e6, 1) != derived_seed(4, 1000.0, 1e6, 1)


def test_grid_without_pressure_is_one() -> None:
    values = {'temperatures_k': [1000.0], 'repeats': 1, 'duration_ps': 1.0, 'seed': 4}
    assert read_grid({**values, 'pressures_pa': [0.0, -1e9, 1e12]}).pressures_pa == [0.0, -1e9, 1e12]


SULFIDE = {'composition': 'Li2S', 'n_atoms': 12}
NEAR = {'Li-Li': 0.5, 'Li-S': 0.5, 'S-S': 0.5}
DENSE = {'composition': 'Li2S', 'n_atoms': 3, 'density_g_per_cm3': 12.0, 'min_distances_ang': NEAR}


@pytest.mark.parametrize(
    ('overrides', 'words'),
    [
        ({'grid': {'temperatures_k': []}}, ['grid.temperatures_k = [] is empty; give at least one']),
        ({'grid': {'pressures_pa': []}}, ['grid.pressures_pa = []']),
        ({'grid': {'pressures_pa': [1.0]}}, ['grid.pressures_pa = [1.0]: 1 Pa', '1 GPa is 1e9; for none give 0']),
        ({'grid': {'pressures_pa': [1e18]}}, ['grid.pressures_pa = [1e+18]: 1e+18 Pa', '1 GPa is 1e9']),
        ({'grid': {'repeats': 0}}, ['grid.repeats = 0', 'greater than 0']),
        ({'grid': {'temperatures_k': [-300.0]}}, ['grid.temperatures_k.0 = -300.0', 'greater than 0']),
        ({'grid': {'temperatures_k': [300.0, 300.0]}}, ['300 is given twice', 'repeats']),
        ({'grid': {'duration_ps': 0.0405}}, ['grid.duration_fs is 40.5 fs', 'no multiple', 'duration_ps = 0.0405']),
        ({'grid': {'preasures_pa': [1e6]}}, ['grid.preasures_pa = [1000000.0] is not known', 'pressures_pa']),
        ({'packing': {'composition': 'Xx3PS4'}}, ['Xx', 'not an element']),
        ({'packing': {'composition': '3(S'}}, ["packing.composition = '3(S' is no formula"]),
        ({'packing': {'n_atoms': 97}}, ['packing.n_atoms = 97', '96 or 104']),
        ({'packing': {'density_g_per_cm3': 19.0}}, ['packing: ', 'density_g_per_cm3 = 19', 'lower the density']),
        ({'packing': {'min_distances_ang': {'S-S': 5.0}}}, ['packing: ', 'S-S 5', 'the distances']),
        ({'packing': {**SULFIDE, 'composition': 'Na2S'}}, ['packing: min_distances_ang has no', 'Na']),
        ({'packing': DENSE}, ['packing: the cell is 1.8', 'less than twice contact_distance']),
        ({'dynamics': {'timestep_fs': 0.0}}, ['parameters.timestep_fs = 0.0', 'greater than 0']),
        ({'dynamics': {'protocol': 'nvt'}}, ["dynamics.ensemble = 'nvt'", 'npt-isotropic']),
        ({'dynamics': {'protocol': 'nothing'}}, ["protocol 'nothing' is not known"]),
        ({'dynamics': {'initial_velocities': 'given'}}, ["dynamics.initial_velocities = 'given'", 'maxwell-boltzmann']),
        ({'relaxation': {'fmax': 0.1}}, ['parameters.fmax', 'is not known']),
        ({'grids': {}}, ["override 'grids'"]),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_stored(
    overrides: dict[str, Any], words: list[str], build: Any, count_processes: Any
) -> None:
    before = count_processes()
    with pytest.raises(ValueError) as refused:
        build(overrides)
    for word in words:
        assert word in str(refused.value)
    assert count_processes() == before


def test_potentials_that_cannot_be_used_are_refused(build: Any, launcher_code: Any) -> None:
    chosen = {'code': launcher_code, 'potential': PotentialData.packaged('toy', 'morse', elements=['Li', 'S'])}
    with pytest.raises(ValueError, match='does not cover P, only Li, S'):
        build(potentials={'a': chosen})
    with pytest.raises(ValueError, match='potentials: none given'):
        build(potentials={})
    with pytest.raises(ValueError, match=r'potentials\.a\.code is missing'):
        build(potentials={'a': {'potential': potential('morse')}})
    with pytest.raises(ValueError, match=r'potentials\.a b: the name may have'):
        build(potentials={'a b': chosen})


def test_cell_in_which_atoms_feel_their_images_is_refused(build: Any, launcher_code: Any) -> None:
    far = PotentialData.packaged('toy', 'morse', cutoff_ang=6.0)
    with pytest.raises(ValueError, match=r'structure: the cell is 3\.77 Ang thin, .*\(6 Ang\).*give a supercell'):
        build(potentials={'a': {'code': launcher_code, 'potential': far}}, structure=fcc())


def test_start_is_given_or_packed(launcher_code: Any, computer: Any, instantiate: Any, build: Any) -> None:
    builder = build(structure=fcc())
    assert 'packing' not in builder
    inputs = builder._inputs(prune=True)
    with pytest.raises(ValueError, match='structure and packing: both are given'):
        instantiate(RobustnessWorkChain, {**inputs, 'packing': build().packing})
    with pytest.raises(ValueError, match='structure and packing: none is given'):
        instantiate(RobustnessWorkChain, {key: value for key, value in inputs.items() if key != 'structure'})


def test_isotopes_are_refused_before_the_relaxation(build: Any) -> None:
    with pytest.raises(ValueError, match=r'^structure: the kind Li has a mass of 6\.015 u'):
        build(structure=of_lithium_6())


JOBS: dict[str, tuple[Any, str]] = {
    'unknown potential': ({'mace': {}}, r"jobs\.mace: no potential is called 'mace'; there are: morse"),
    'no dictionary': ({'morse': 'cuda'}, r"jobs\.morse = 'cuda'; give a dictionary"),
    'unknown key': ({'morse': {'device': 'cuda'}}, r'jobs\.morse\.device is not known; there are: computer, disable_c'),
    'unknown computer': ({'morse': {'computer': 'nowhere'}}, r"jobs\.morse\.computer = 'nowhere': there is none"),
    'unknown option': (
        {'morse': {'options': {'devise': 'cuda'}}},
        r"jobs\.morse\.options\.devise = 'cuda' is not known, but device is",
    ),
    'option of one of its jobs alone': (
        {'morse': {'options': {'keep_unfinished': True}}}, r'jobs\.morse\.options\.keep_unfinished = True is not known',
    ),
    'malformed device': ({'morse': {'options': {'device': 'gpu'}}}, r"morse: metadata\.options\.device = 'gpu'"),
    'malformed option': ({'morse': {'options': {'processes': 'two'}}}, r'morse: .*processes'),
}  # fmt: skip


@pytest.mark.parametrize('case', JOBS)
def test_settings_of_jobs_are_refused(case: str, build: Any, instantiate: Any, count_processes: Any) -> None:
    jobs, message = JOBS[case]
    inputs, before = build()._inputs(prune=True), count_processes()
    with pytest.raises(ValueError, match=message):
        instantiate(RobustnessWorkChain, {**inputs, 'jobs': jobs})
    with pytest.raises(ValueError, match=message):
        build(jobs=jobs)
    assert count_processes() == before


def test_code_without_a_computer_is_refused(launcher_code: Any, build: Any, instantiate: Any) -> None:
    inputs = {key: value for key, value in build()._inputs(prune=True).items() if key != 'jobs'}
    with pytest.raises(ValueError, match=r'potentials\.morse: no computer has been specified'):
        instantiate(RobustnessWorkChain, inputs)

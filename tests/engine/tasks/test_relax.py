"""Relaxation of atoms and cells: against ASE on the same potential, against its own gradient, with a symmetry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk, make_supercell
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.optimize import LBFGS
from ase.units import GPa

from aiida_litraj.contract import PotentialSpec, Runtime, files, pack_arrays
from aiida_litraj.contract.arrays import unpack_arrays
from aiida_litraj.contract.relax import RelaxationParameters, RelaxItem, RelaxJob, RelaxResult
from aiida_litraj.engine.core.hessian import System
from aiida_litraj.engine.core.relaxation import Crystal, Symmetry, relax_crystal
from aiida_litraj.engine.core.stages import Evaluated
from aiida_litraj.engine.models import Configuration, load

SAME_MINIMUM_EV = 1e-7
"""Per atom: two optimisers that stop at forces of 1e-4 eV/Ang in a potential of 1 eV/Ang^2."""
SAME_VOLUME = 1e-5
GRADIENT_TOLERANCE = 1e-6
STEP = 1e-5
PARAMETERS = {
    'optimizer': 'lbfgs_model_hessian',
    'fmax_ev_per_ang': 1e-4,
    'criterion': 'norm',
    'max_steps': 300,
    'cell': 'full',
    'pressure_gpa': 0.0,
    'stress_gpa': 1e-3,
    'symmetry_tolerance_ang': None,
    'max_force_ev_per_ang': 1e4,
    'volume_ratio_min': 0.1,
    'volume_ratio_max': 8.0,
    'dtype': 'native',
}


class Morse(Calculator):
    implemented_properties = ('energy', 'forces', 'stress')

    def __init__(self) -> None:
        super().__init__()
        self.evaluator = load(PotentialSpec(family='toy', name='morse'), Path.cwd(), device='cpu')

    def calculate(self, atoms: Any = None, properties: Any = ('energy',), system_changes: Any = ()) -> None:
        super().calculate(atoms, properties, system_changes)
        asked = Configuration(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, stress=True)
        (found,) = self.evaluator.evaluate([asked])
        stress = found.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        self.results = {'energy': found.energy, 'forces': found.forces, 'stress': stress}


@pytest.fixture(scope='module')
def morse() -> Any:
    return load(PotentialSpec(family='toy', name='morse'), Path.cwd(), device='cpu')


def crystal(noise: float = 0.1, strain: float = 0.08) -> ase.Atoms:
    """A crystal of Morse atoms off its sites, in a cell that is too large and sheared."""
    atoms = make_supercell(bulk('Ar', 'fcc', a=4.0), 2 * np.eye(3))
    rng = np.random.default_rng(5)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain * rng.uniform(-1, 1, (3, 3)) + 0.04), scale_atoms=True)
    atoms.positions += rng.uniform(-noise, noise, atoms.positions.shape)
    return atoms


def arrays_of(atoms: ase.Atoms) -> dict[str, Any]:
    return {
        'positions': atoms.positions, 'cell': atoms.cell.array, 'pbc': np.array(atoms.pbc),
        'numbers': atoms.numbers.astype(np.int64),
    }  # fmt: skip


def write(folder: Path, items: dict[str, dict[str, Any]], potential: str = 'morse', **changes: Any) -> Path:
    job = RelaxJob(
        potential=PotentialSpec(family='toy', name=potential),
        parameters=RelaxationParameters(**PARAMETERS | changes),
        runtime=Runtime(),
        items=[RelaxItem(id=name) for name in items],
    )
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f'{name}/{key}': value for name, own in items.items() for key, value in own.items()}
    (folder / files.JOB).write_text(job.model_dump_json())
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return folder


@pytest.fixture
def relaxed(rerun: Any, tmp_path: Path) -> Any:
    def run(items: dict[str, dict[str, Any]], potential: str = 'morse', **changes: Any) -> Any:
        folder = write(tmp_path / f'job_{len(list(tmp_path.iterdir()))}', items, potential, **changes)
        rerun.engine(folder)
        result = RelaxResult.model_validate_json((folder / files.RESULT).read_bytes())
        return result, unpack_arrays(folder / files.RESULT_ARRAYS)

    return run


@pytest.mark.parametrize('pressure', [0.0, 20.0])
@pytest.mark.parametrize('optimizer', ['fire', 'lbfgs', 'lbfgs_model_hessian'])
def test_same_minimum_as_ase(optimizer: str, pressure: float, relaxed: Any) -> None:
    """Energy and volume at the minimum of the enthalpy, with atoms and all six strains free."""
    atoms = crystal()
    theirs = atoms.copy()
    theirs.calc = Morse()
    LBFGS(FrechetCellFilter(theirs, scalar_pressure=pressure * GPa), logfile=None).run(fmax=1e-4, steps=500)
    result, arrays = relaxed(
        {'a': arrays_of(atoms)},
        optimizer=optimizer,
        pressure_gpa=pressure,
        max_steps=3000 if optimizer == 'fire' else 300,
    )
    (item,) = result.items
    assert item.converged, item.reason
    assert abs(item.volume_ang3 / theirs.get_volume() - 1.0) < SAME_VOLUME
    expected = theirs.get_potential_energy() + pressure * GPa * theirs.get_volume()
    assert abs(item.enthalpy_ev - expected) / len(atoms) < SAME_MINIMUM_EV
    assert abs(np.trace(arrays['a/stress']) / 3.0 / GPa + pressure) < 1e-3
    assert item.model_calls == item.n_steps + 1


def test_isotropic_keeps_the_shape(relaxed: Any) -> None:
    atoms = crystal()
    result, arrays = relaxed({'a': arrays_of(atoms)}, cell='isotropic', pressure_gpa=5.0)
    assert result.items[0].converged
    ratio = arrays['a/cell'] / atoms.cell.array
    np.testing.assert_allclose(ratio, np.full((3, 3), np.cbrt(result.items[0].volume_ratio)), rtol=1e-12)
    assert abs(np.trace(arrays['a/stress']) / 3.0 / GPa + 5.0) < 1e-3


def test_fixed_cell_is_left_alone_and_no_stress_is_asked_for(relaxed: Any) -> None:
    atoms = crystal()
    result, arrays = relaxed({'a': arrays_of(atoms)}, cell='fixed')
    assert result.items[0].converged and 'a/stress' not in arrays
    np.testing.assert_array_equal(arrays['a/cell'], atoms.cell.array)


def test_what_the_optimiser_feels_is_the_gradient_of_the_enthalpy(morse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In positions and strain, far from the reference cell: differences of E + P V along random directions."""
    from aiida_litraj.engine.core import relaxation

    atoms, pressure, felt = crystal(), 30.0, []
    system = System(atoms.numbers, atoms.cell.array, np.array(atoms.pbc))
    scale = relaxation._scale(atoms.get_volume())
    rng = np.random.default_rng(1)
    strain = rng.uniform(-0.1, 0.1, (3, 3))
    there = np.concatenate(
        [atoms.positions + rng.uniform(-0.1, 0.1, atoms.positions.shape), scale * (strain + strain.T)]
    )

    def descent(*_: Any) -> Any:
        def descend(coordinates: Any, value: float, forces: Any) -> Any:
            felt.append(forces)
            return there

        return descend

    monkeypatch.setattr(relaxation, '_Descent', descent)
    parameters = RelaxationParameters(**PARAMETERS | {'pressure_gpa': pressure})
    stage = relax_crystal(Crystal(system, atoms.positions), parameters)

    def answer(demand: Any) -> Evaluated:
        asked = Configuration(atoms.numbers, demand.positions[0], demand.cells[0], np.array(atoms.pbc), stress=True)
        (found,) = morse.evaluate([asked])
        return Evaluated(np.array([found.energy]), found.forces[None], found.stress[None])

    stage.send(answer(stage.send(answer(next(stage)))))

    def enthalpy(coordinates: Any) -> float:
        turn = np.eye(3) + coordinates[-3:] / scale
        cell = atoms.cell.array @ turn
        asked = Configuration(atoms.numbers, coordinates[:-3] @ turn, cell, np.array(atoms.pbc))
        return float(morse.evaluate([asked])[0].energy + pressure * GPa * abs(np.linalg.det(cell)))

    for _ in range(5):
        direction = rng.normal(size=there.shape)
        direction[-3:] += direction[-3:].T
        slope = (enthalpy(there + STEP * direction) - enthalpy(there - STEP * direction)) / (2.0 * STEP)
        assert abs((felt[1] * direction).sum() + slope) < GRADIENT_TOLERANCE * np.abs(felt[1]).max()


def cubic() -> tuple[ase.Atoms, Symmetry]:
    """A cubic crystal with two kinds of sites, and its operations: all signed permutations of the axes."""
    sites = [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    atoms = ase.Atoms('ArNe3', scaled_positions=sites, cell=4.3 * np.eye(3), pbc=True)
    scaled = atoms.get_scaled_positions()
    rotations, permutations = [], []
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [2, 1, 0], [1, 0, 2]):
        for signs in np.ndindex(2, 2, 2):
            turn = (np.eye(3, dtype=int) * (1 - 2 * np.array(signs)))[order]
            away = (scaled @ turn.T)[:, None] - scaled[None]
            away -= np.rint(away)
            rotations.append(turn)
            permutations.append(np.abs(away).sum(axis=2).argmin(axis=1))
    return atoms, Symmetry(np.array(rotations), np.array(permutations))


def test_symmetry_that_is_kept_stays_where_it_would_break(relaxed: Any) -> None:
    """Cell and sites of a cubic crystal stay cubic to the last digits, although the optimiser knows nothing of it."""
    atoms, symmetry = cubic()
    own = arrays_of(atoms) | {'rotations': symmetry.rotations, 'permutations': symmetry.permutations}
    result, arrays = relaxed({'a': own}, symmetry_tolerance_ang=0.01, pressure_gpa=3.0)
    assert result.items[0].converged
    cell = arrays['a/cell']
    np.testing.assert_allclose(cell, cell[0, 0] * np.eye(3), atol=1e-12)
    np.testing.assert_allclose(arrays['a/positions'] @ np.linalg.inv(cell), atoms.get_scaled_positions(), atol=1e-12)


def test_averages_over_the_operations() -> None:
    """A vector field averaged twice is averaged once; of a cubic crystal it vanishes at a site of full symmetry."""
    atoms, symmetry = cubic()
    cell = atoms.cell.array
    vectors = np.random.default_rng(3).normal(size=(4, 3))
    once = symmetry.of_vectors(vectors, cell)
    np.testing.assert_allclose(symmetry.of_vectors(once, cell), once, atol=1e-12)
    np.testing.assert_allclose(once[0], 0.0, atol=1e-12)
    tensor = np.random.default_rng(4).normal(size=(3, 3))
    tensor += tensor.T
    np.testing.assert_allclose(symmetry.of_tensor(tensor, cell), np.trace(tensor) / 3.0 * np.eye(3), atol=1e-12)


def test_averages_in_a_cell_that_is_not_orthogonal() -> None:
    """The inversion alone, in a skewed cell: pairs of atoms get opposite vectors, tensors stay."""
    cell = np.array([[3.0, 0.2, 0.1], [0.5, 2.0, 0.3], [0.1, 0.9, 4.0]])
    symmetry = Symmetry(np.array([np.eye(3, dtype=int), -np.eye(3, dtype=int)]), np.array([[0, 1], [1, 0]]))
    averaged = symmetry.of_vectors(np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]]), cell)
    np.testing.assert_allclose(averaged, [[0.5, 1.0, 1.0], [-0.5, -1.0, -1.0]], atol=1e-12)


def test_each_ends_alone(relaxed: Any) -> None:
    """One that is malformed, one that collapses, one that has no steps left, one that no cell can be relaxed of."""
    good, apart = arrays_of(crystal()), crystal()
    apart.set_cell(1.8 * apart.cell.array, scale_atoms=True)
    flat = arrays_of(crystal()) | {'pbc': np.array([True, True, False])}
    items = {
        'good': good,
        'apart': arrays_of(apart),
        'flat': flat,
        'short': {**good, 'positions': good['positions'][:-1]},
    }
    result, arrays = relaxed(items, pressure_gpa=400.0)
    ended = {item.id: item for item in result.items}
    assert ended['good'].converged
    assert ended['apart'].label == 'ERROR_VOLUME' and 'outside 0.1 to 8' in ended['apart'].reason
    assert ended['flat'].label == 'ERROR_ITEM_INVALID' and 'periodic in 2 directions' in ended['flat'].reason
    assert ended['short'].label == 'ERROR_ITEM_INVALID' and 'positions of shape (7, 3)' in ended['short'].reason
    assert result.exit.message == '1 of 4 structures converged'
    assert {name.partition('/')[0] for name in arrays} == {'good'}


def test_out_of_steps_keeps_the_structure_and_says_what_is_left(relaxed: Any) -> None:
    result, arrays = relaxed({'a': arrays_of(crystal())}, max_steps=1)
    assert (result.exit.label, result.items[0].status) == ('ERROR_NOT_CONVERGED', 'finished')
    assert arrays['a/positions'].shape == (8, 3)
    atoms, _ = cubic()  # its atoms feel nothing, its cell does
    result, _ = relaxed({'a': arrays_of(atoms)}, max_steps=1)
    assert result.exit.label == 'ERROR_STRESS_LEFT'
    assert 'GPa is left after 1 steps' in result.exit.message


def test_molecule_without_a_cell_is_relaxed_where_it_is(relaxed: Any) -> None:
    """Two Morse atoms end at the distance of the minimum of their potential (which the cut-off shifts a little)."""
    pair = ase.Atoms('Ar2', positions=[[0.0, 0, 0], [2.4, 0.3, 0]], pbc=False)
    result, arrays = relaxed({'a': arrays_of(pair)}, cell='fixed')
    assert result.items[0].converged, result.items[0].reason
    calculator = Morse()
    pair.positions = arrays['a/positions']
    distance = pair.get_distance(0, 1)
    energies = []
    for scale in (0.999, 1.0, 1.001):
        pair.set_distance(0, 1, scale * distance)
        found = calculator.evaluator.evaluate(
            [Configuration(pair.numbers, pair.positions, pair.cell.array, np.array(pair.pbc))]
        )
        energies.append(found[0].energy)
    assert energies[1] == min(energies)


def test_potential_without_stress_is_refused_for_a_cell(relaxed: Any) -> None:
    result, _ = relaxed({'a': arrays_of(crystal())}, potential='double_well')
    assert result.exit.label == 'ERROR_NO_STRESS'


def test_parameters_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match='pressure_gpa = 2 with a fixed cell'):
        RelaxationParameters(**PARAMETERS | {'cell': 'fixed', 'pressure_gpa': 2.0})
    with pytest.raises(ValueError, match=r'volume_ratio_min = 1\.5 must be below 1'):
        RelaxationParameters(**PARAMETERS | {'volume_ratio_min': 1.5})


def test_stopped_and_resumed_it_gives_the_same_bits(rerun: Any, tmp_path: Path) -> None:
    """The checkpoint holds stresses and knows questions by their cells."""
    items = {'a': arrays_of(crystal()), 'b': arrays_of(crystal(0.05))}
    whole = write(tmp_path / 'whole', items)
    rerun.engine(whole)
    parts = write(tmp_path / 'parts', items)
    expected = (whole / files.RESULT_ARRAYS).read_bytes()
    runs = 0
    job = RelaxJob.model_validate_json((parts / files.JOB).read_bytes())
    while True:
        runs += 1  # a slow machine is given more time, or it would never get beyond loading
        short = job.model_copy(update={'runtime': Runtime(max_seconds=0.02 * runs)})
        (parts / files.JOB).write_text(short.model_dump_json())
        result = rerun.engine(parts)
        if result.exit.label != 'ERROR_OUT_OF_TIME':
            break
        assert runs < 100
    assert runs > 1 and result.audit.resumed_calls > 0
    assert (parts / files.RESULT_ARRAYS).read_bytes() == expected

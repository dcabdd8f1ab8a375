"""The way of one replica through molecular dynamics as a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from aiida.common.exceptions import ValidationError
from aiida.orm import ArrayData, StructureData
from aiida.orm.pydantic import OrmMetadataField
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols

from ..analysis.frames import composition, finite
from ..contract.arrays import AnyArray, Array
from ..contract.frames import Frames
from ..contract.trajectory import Header, Records, read_records
from ..contract.units import FEMTOSECONDS_OF_PS
from .fields import attribute

VOIGT = (0, 4, 8, 5, 2, 1)
"""Where xx yy zz yz xz xy are in a flattened (3, 3) stress."""
END_ARRAYS = ('positions', 'velocities', 'cell')
_LAST = 'last/'


class MdTrajectoryData(ArrayData):
    """Frames of one replica, and its thermodynamic quantities, which are recorded on a clock of their own.

    Positions (n_frames, n_atoms, 3) in Ang are continuous: an atom that crosses the boundary of the cell is not
    wrapped back, so that displacements are ways. They are what the engine recorded, float32 by most protocols; all
    else is float64. Arrays of the node, each one file of the repository:

    - ``positions``; ``numbers`` (n_atoms,);
    - ``frames`` (n_frames,), records of ``step``, ``time_fs``, ``energy_ev`` (potential), ``kinetic_ev``,
      ``closest_ang`` (shortest distance of two atoms), ``stress`` (3, 3) in eV/Ang^3 (positive under tension) and
      ``cell`` (3, 3) in Ang;
    - ``thermo`` (n_records,), records as ``contract.trajectory`` has them: instantaneous temperature and pressure
      beside their targets, energies, the conserved quantity, volume;
    - ``end``, one record of ``positions``, ``velocities`` (Ang/fs) and ``cell`` at the last step, to go on from; not
      there for a replica that was cut off;
    - ``last`` (k,), records of ``steps``, ``positions``, ``velocities``, ``forces``, ``cells``, ``energies``: the last
      steps of a replica that died.

    What there is not, is not a number.
    """

    class AttributesModel(ArrayData.AttributesModel):
        """Attributes for queries, ``MdTrajectoryData.fields.duration_ps`` and the like."""

        n_frames: int = OrmMetadataField(description='Number of frames', orm_to_model=attribute('n_frames'))
        n_atoms: int = OrmMetadataField(description='Number of atoms', orm_to_model=attribute('n_atoms'))
        elements: list[str] = OrmMetadataField(
            description='Elements that occur, sorted', orm_to_model=attribute('elements')
        )
        formula: str = OrmMetadataField(
            description='Reduced formula in the order of Hill', orm_to_model=attribute('formula')
        )
        pbc: list[bool] = OrmMetadataField(description='Which directions are periodic', orm_to_model=attribute('pbc'))
        duration_ps: float = OrmMetadataField(
            description='Time that was reached', orm_to_model=attribute('duration_ps')
        )
        ensemble: str | None = OrmMetadataField(None, description='nve, nvt or npt', orm_to_model=attribute('ensemble'))
        status: str | None = OrmMetadataField(
            None, description='finished, failed or unfinished', orm_to_model=attribute('status')
        )
        death: str | None = OrmMetadataField(
            None, description='What the replica died of', orm_to_model=attribute('death')
        )
        mean_temperature_k: float | None = OrmMetadataField(
            None, description='Mean of all records', orm_to_model=attribute('mean_temperature_k')
        )
        mean_pressure_gpa: float | None = OrmMetadataField(
            None, description='Mean of all records', orm_to_model=attribute('mean_pressure_gpa')
        )

    @classmethod
    def from_records(
        cls,
        frames: Path | bytes,
        thermo: Path | bytes | None = None,
        arrays: Mapping[str, AnyArray] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> MdTrajectoryData:
        """Return an unstored trajectory of the files of records of a replica, or of their contents.

        :param arrays: of the replica in the result, by their names without its id: where it ended, and its last steps.
        :param facts: further attributes: ``ensemble``, ``status``, ``death``.
        :raises ValueError: if a file is damaged, there are no frames, or frames and arrays are of different atoms.
        """
        header, records = read_records(frames)
        if not len(records):
            raise ValueError('there are no frames')
        series = None if thermo is None else read_records(thermo)[1]
        node = cls()
        node.set_array('numbers', np.array(header.numbers, dtype=np.uint8))
        node.set_array('positions', np.ascontiguousarray(records['positions']))
        node.set_array('frames', _without(records, 'positions'))
        if series is not None:
            node.set_array('thermo', series)
        ends = _ends(arrays or {}, len(header.numbers))
        for name, values in ends.items():
            node.set_array(name, values)
        node.base.attributes.set_many({**_facts(header, records, series), **(facts or {})})
        return node

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.get_shape('positions')[0]

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.get_shape('positions')[1]

    @property
    def numbers(self) -> npt.NDArray[np.uint8]:
        """Atomic numbers (n_atoms,)."""
        return self.get_array('numbers')

    @property
    def symbols(self) -> list[str]:
        """Elements of the atoms."""
        return [chemical_symbols[number] for number in self.numbers]

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Which directions are periodic."""
        a, b, c = self.base.attributes.get('pbc')
        return a, b, c

    @property
    def positions(self) -> AnyArray:
        """Continuous positions (n_frames, n_atoms, 3) in Ang."""
        return self.get_array('positions')

    @property
    def cells(self) -> Array:
        """Cells (n_frames, 3, 3) in Ang."""
        return self._of_frames('cell')

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Steps (n_frames,) at which the frames were taken; the start is 0."""
        return self._of_frames('step')

    @property
    def times_ps(self) -> Array:
        """Times (n_frames,) in ps."""
        return self._of_frames('time_fs') / FEMTOSECONDS_OF_PS

    @property
    def energies(self) -> Array:
        """Potential energies (n_frames,) in eV."""
        return self._of_frames('energy_ev')

    @property
    def kinetic_energies(self) -> Array:
        """Kinetic energies (n_frames,) in eV."""
        return self._of_frames('kinetic_ev')

    @property
    def stresses(self) -> Array:
        """Stresses of the potential (n_frames, 3, 3) in eV/Ang^3, positive under tension."""
        return self._of_frames('stress')

    @property
    def closest(self) -> Array:
        """Shortest distance (n_frames,) of two atoms in Ang."""
        return self._of_frames('closest_ang')

    @property
    def thermo(self) -> Records:
        """Records of the thermodynamic quantities, as the class says; none if there is no such file."""
        if 'thermo' in self.get_arraynames():
            return self.get_array('thermo')
        return np.zeros(0, dtype=Header('thermo', (), (False, False, False)).dtype)

    @property
    def ended(self) -> bool:
        """Whether the replica came to an end, of its schedule or of itself, and is not to be gone on with."""
        return 'end' in self.get_arraynames()

    @property
    def end_velocities(self) -> Array:
        """Velocities (n_atoms, 3) in Ang/fs at the last step.

        :raises ValueError: if the replica was cut off.
        """
        return self._end()['velocities']

    def end_structure(self) -> StructureData:
        """Return the structure at the last step, exact, wrapped into the cell, for looking at.

        Stored, it would come from nowhere: what is computed with is made by ``litraj.extract_frame``.

        :raises ValueError: if the replica was cut off.
        """
        end = self._end()
        return _structure(Atoms(self.numbers, positions=end['positions'], cell=end['cell'], pbc=self.pbc))

    def step_structure(self, index: int) -> StructureData:
        """Return a frame as a structure, wrapped into the cell, for looking at; see ``end_structure``.

        :raises IndexError: if there is no such frame.
        """
        return _structure(self.to_ase(index))

    def to_ase(self, index: int | slice = slice(None), wrapped: bool = False) -> Any:
        """Return one frame as ASE atoms, with energy and stress, or for a slice a list of them.

        :param wrapped: bring the atoms into the cell.
        :raises IndexError: if there is no such frame.
        """
        images = self._images(self._chosen(index), wrapped)
        return images if isinstance(index, slice) else images[0]

    def frames(self, indices: int | slice | Iterable[int] = slice(None), wrapped: bool = True) -> Frames:
        """Return frames as configurations labelled by the potential: energy and stress; forces are not recorded.

        The info of each has its ``step`` and ``time_fs``. ``FramesData.from_frames`` makes a node of them, in a
        calculation function of yours if the graph is to know where they are from.

        :param wrapped: bring the atoms into the cell.
        :raises IndexError: if there is no such frame.
        """
        chosen = self._chosen(indices)
        records = self.get_array('frames')[chosen]
        images = [image.positions for image in self._images(chosen, wrapped)]
        n_frames, n_atoms = len(chosen), self.n_atoms
        stresses = records['stress'].reshape(n_frames, 9)[:, VOIGT]
        return Frames(
            offsets=np.arange(n_frames + 1, dtype=np.int64) * n_atoms,
            numbers=np.tile(self.numbers, n_frames),
            positions=np.concatenate(images) if images else np.zeros((0, 3)),
            cells=np.array(records['cell']),
            pbc=np.tile(np.array(self.pbc, dtype=bool), (n_frames, 1)),
            energies=np.array(records['energy_ev']),
            stresses=None if np.isnan(stresses).all() else stresses,
            info=[{'step': int(record['step']), 'time_fs': float(record['time_fs'])} for record in records],
        )

    def _of_frames(self, name: str) -> Any:
        return self.get_array('frames')[name]

    def _end(self) -> Any:
        if not self.ended:
            raise ValueError('the replica was cut off and is not at its end: there is nothing to go on from')
        return self.get_array('end')

    def _chosen(self, indices: int | slice | Iterable[int]) -> list[int]:
        """Return numbers of frames from 0."""
        if isinstance(indices, slice):
            return list(range(self.n_frames))[indices]
        wanted = [indices] if isinstance(indices, int | np.integer) else list(indices)
        for index in wanted:
            if not -self.n_frames <= index < self.n_frames:
                raise IndexError(f'there is no frame {index}, only {self.n_frames}')
        return [int(index) % self.n_frames for index in wanted]

    def _images(self, chosen: list[int], wrapped: bool) -> list[Atoms]:
        numbers, positions, records = self.numbers, self.positions, self.get_array('frames')
        images = []
        for frame in chosen:
            record = records[frame]
            atoms = Atoms(numbers, positions=positions[frame].astype(float), cell=record['cell'], pbc=self.pbc)
            if wrapped:
                atoms.wrap()
            results = {'energy': float(record['energy_ev'])}
            if np.isfinite(record['stress']).all():
                results['stress'] = record['stress'].reshape(9)[list(VOIGT)]
            atoms.calc = SinglePointCalculator(atoms, **results)
            images.append(atoms)
        return images

    def _validate(self) -> bool:
        super()._validate()
        lacking = {'positions', 'frames', 'numbers'} - set(self.get_arraynames())
        if lacking:
            raise ValidationError(f'a trajectory has no {", ".join(sorted(lacking))}; build it with from_records')
        shape = self.get_shape('positions')
        if shape != (*self.get_shape('frames'), *self.get_shape('numbers'), 3):
            raise ValidationError(f'positions of shape {shape} for other numbers of frames and atoms')
        return True


def _without(records: Records, name: str) -> Records:
    """Return records without a field, packed anew."""
    kind = records.dtype
    left = np.zeros(len(records), dtype=[(field, kind[field]) for field in kind.names or () if field != name])
    for field in left.dtype.names or ():
        left[field] = records[field]
    return left


def _ends(arrays: Mapping[str, AnyArray], n_atoms: int) -> dict[str, Records]:
    """Return where a replica ended, ``end``, and its last steps, ``last``, each as records, if they are there.

    :raises ValueError: if shapes do not go together, or there is an array that nobody knows.
    """
    end = {name: value for name, value in arrays.items() if name in END_ARRAYS}
    last = {name.removeprefix(_LAST): value for name, value in arrays.items() if name.startswith(_LAST)}
    unknown = set(arrays) - set(end) - {f'{_LAST}{name}' for name in last}
    if unknown or (end and len(end) < len(END_ARRAYS)):
        raise ValueError(f'of a replica there are the arrays {", ".join(sorted(arrays))}')
    for name, value in end.items():
        if value.shape != ((3, 3) if name == 'cell' else (n_atoms, 3)):
            raise ValueError(f'{name} at the end of shape {value.shape} for {n_atoms} atoms')
    made: dict[str, Records] = {}
    if end:
        made['end'] = np.zeros((), dtype=[(name, '<f8', end[name].shape) for name in END_ARRAYS])
        for name in END_ARRAYS:
            made['end'][name] = end[name]
    if last:
        lengths = {len(value) for value in last.values()}
        if len(lengths) > 1:
            raise ValueError(f'last steps of different numbers: {", ".join(map(str, sorted(lengths)))}')
        fields = [(name, value.dtype.newbyteorder('<').str, value.shape[1:]) for name, value in sorted(last.items())]
        made['last'] = np.zeros(lengths.pop(), dtype=fields)
        for name, value in last.items():
            made['last'][name] = value
    return made


def _facts(header: Header, records: Records, series: Records | None) -> dict[str, Any]:
    """Return what queries ask of a trajectory."""
    formula, elements = composition(np.bincount(header.numbers, minlength=1).tobytes())
    times = [float(each['time_fs'][-1]) for each in (records, series) if each is not None and len(each)]
    return {
        'n_frames': len(records),
        'n_atoms': len(header.numbers),
        'elements': list(elements),
        'formula': formula,
        'pbc': list(header.pbc),
        'duration_ps': max(times) / FEMTOSECONDS_OF_PS,
        'mean_temperature_k': _mean(series, 'temperature_k'),
        'mean_pressure_gpa': _mean(series, 'pressure_gpa'),
    }


def _mean(series: Records | None, name: str) -> float | None:
    return finite(float(series[name].mean())) if series is not None and len(series) else None


def _structure(atoms: Atoms) -> StructureData:
    atoms.wrap()
    return StructureData(ase=atoms)

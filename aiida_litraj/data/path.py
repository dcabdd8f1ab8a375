"""A path of an ion through a crystal as a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from aiida.common.exceptions import ValidationError
from aiida.orm import TrajectoryData
from aiida.orm.pydantic import OrmMetadataField
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from ase.geometry import find_mic

from ..analysis.hops import check_same_atoms
from ..contract.arrays import Array

CELL_TOLERANCE_ANG = 1e-4


class PathData(TrajectoryData):
    """Images of a path, in order, with energies and forces once they are known.

    Positions (n_images, n_atoms, 3) in Ang are continuous: an atom that crosses the cell boundary is not wrapped
    back, so the hop is a vector. All images share cell, atoms and their order. Beyond ``TrajectoryData`` the node
    has: ``mobile``, index of the ion that hops; ``fixed``, which atoms are frozen; ``labels``, what a person or a
    query wants to know of the hop; energies (n_images,) in eV; forces of the potential (n_images, n_atoms, 3) in
    eV/Ang, without springs, and those the band felt; curvatures (n_modes,) in eV/Ang^2 and modes
    (n_modes, n_atoms, 3) of the highest image.
    """

    class AttributesModel(TrajectoryData.AttributesModel):
        """Attributes for queries, ``PathData.fields.mobile`` and the like."""

        mobile: int | None = OrmMetadataField(None, description='Index of the ion that hops')
        labels: dict = OrmMetadataField({}, description='What is known of the hop')
        fixed: list[bool] | None = OrmMetadataField(None, description='Which atoms are frozen')

    # name of the array -> its shape, 'i' for images, 'm' for modes and 'n' for atoms
    OPTIONAL_ARRAYS = {'energies': 'i', 'forces': 'in3', 'neb_forces': 'in3', 'curvatures': 'm', 'modes': 'mn3'}

    @classmethod
    def from_arrays(
        cls,
        symbols: Sequence[str],
        positions: npt.ArrayLike,
        cell: npt.ArrayLike,
        pbc: Sequence[bool],
        mobile: int | None = None,
        energies: npt.ArrayLike | None = None,
        forces: npt.ArrayLike | None = None,
        fixed: Sequence[bool] | None = None,
        labels: Mapping[str, Any] | None = None,
        **arrays: npt.ArrayLike | None,
    ) -> PathData:
        """Return an unstored path; ``arrays`` may hold ``neb_forces``, ``curvatures`` and ``modes``.

        :raises ValueError: if shapes differ, a number is not finite, or the mobile ion does not exist.
        """
        node = cls()
        images = np.array(positions, dtype=float)
        cells = np.repeat(np.array(cell, dtype=float)[None], len(images), axis=0)
        node.set_trajectory(
            list(symbols), images, stepids=np.arange(len(images)), cells=cells, pbc=[bool(flag) for flag in pbc]
        )
        frozen = None if fixed is None or not any(fixed) else [bool(flag) for flag in fixed]
        node.base.attributes.set_many(
            {'mobile': None if mobile is None else int(mobile), 'fixed': frozen, 'labels': dict(labels or {})}
        )
        for name, value in {'energies': energies, 'forces': forces, **arrays}.items():
            if name not in cls.OPTIONAL_ARRAYS:
                raise ValueError(f'a path has no array {name}, only {", ".join(cls.OPTIONAL_ARRAYS)}')
            if value is not None:
                node.set_array(name, np.array(value, dtype=float))
        node._check()
        return node

    @classmethod
    def from_images(
        cls, images: Sequence[Atoms], mobile: int | None = None, labels: Mapping[str, Any] | None = None
    ) -> PathData:
        """Return an unstored path of ASE images, with their energies and forces if all carry them.

        The images define the hop: each atom goes the shortest way from one image to the next, across the boundary of
        the cell if that is shorter, and is not wrapped any more from here on.

        :raises ValueError: if the images differ in composition, order, cell or periodicity, or carry a constraint
            other than ``FixAtoms``.
        """
        if not images:
            raise ValueError('a path needs images, none were given')
        first = images[0]
        positions = [np.array(first.positions, dtype=float)]
        for number, image in enumerate(images[1:], start=1):
            check_same_atoms(list(first.symbols), list(image.symbols), 'image 0', f'image {number}')
            if not np.allclose(image.cell, first.cell, atol=CELL_TOLERANCE_ANG) or any(image.pbc != first.pbc):
                raise ValueError(
                    f'image {number} has another cell or periodicity than image 0; give all images the same'
                )
            way = image.positions - positions[-1]
            positions.append(positions[-1] + (find_mic(way, first.cell, first.pbc)[0] if any(first.pbc) else way))
        known = [_energy_and_forces(image) for image in images]
        complete = [entry for entry in known if entry is not None]
        evaluated = len(complete) == len(images)
        return cls.from_arrays(
            symbols=list(first.symbols),
            positions=np.array(positions),
            cell=np.asarray(first.cell),
            pbc=first.pbc,
            mobile=mobile,
            energies=[energy for energy, _ in complete] if evaluated else None,
            forces=[forces for _, forces in complete] if evaluated else None,
            fixed=_frozen(first),
            labels=labels,
        )

    def to_images(self) -> list[Atoms]:
        """Return the images as ASE atoms, with energy and forces where the path has them, and ``FixAtoms``."""
        energies, forces = self.energies, self.image_forces
        # Constraints of ASE bring large parts of scipy, which nothing else at the start of a command needs.
        from ase.constraints import FixAtoms

        images = []
        for number, positions in enumerate(self.get_positions()):
            image = Atoms(self.symbols, positions=positions, cell=self.cell, pbc=self.pbc)
            if self.fixed is not None:
                image.set_constraint(FixAtoms(mask=self.fixed))
            if energies is not None:
                results = {'energy': float(energies[number])}
                if forces is not None:
                    results['forces'] = forces[number]
                image.calc = SinglePointCalculator(image, **results)
            images.append(image)
        return images

    @property
    def n_images(self) -> int:
        """Number of images, both ends included."""
        return self.numsteps

    @property
    def natoms(self) -> int:
        """Number of atoms in each image."""
        return self.numsites

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Atomic numbers (n_atoms,), 0 for a symbol which is not an element."""
        return np.array([atomic_numbers.get(symbol, 0) for symbol in self.symbols], dtype=np.int64)

    @property
    def cell(self) -> Array:
        """The cell (3, 3) in Ang that all images share."""
        cells = self.get_cells()
        assert cells is not None  # from_arrays always sets it
        return cells[0]

    @property
    def mobile(self) -> int | None:
        """Index of the ion that hops, ``None`` if the path has no single one."""
        return self.base.attributes.get('mobile', None)

    @property
    def fixed(self) -> npt.NDArray[np.bool_] | None:
        """Which atoms are frozen (n_atoms,), ``None`` if none is."""
        fixed = self.base.attributes.get('fixed', None)
        return None if fixed is None else np.array(fixed, dtype=bool)

    @property
    def labels(self) -> dict[str, Any]:
        """What is known of the hop: sites, offset, mechanism and the like."""
        return self.base.attributes.get('labels', {})

    @property
    def hop_displacement(self) -> Array | None:
        """Way of the mobile ion from the first to the last image (3,) in Ang; ``None`` without a mobile ion."""
        if self.mobile is None:
            return None
        positions = self.get_positions()
        return positions[-1, self.mobile] - positions[0, self.mobile]

    @property
    def energies(self) -> Array | None:
        """Energies (n_images,) in eV, ``None`` before they are known."""
        return self._optional('energies')

    @property
    def image_forces(self) -> Array | None:
        """Forces of the potential (n_images, n_atoms, 3) in eV/Ang, ``None`` before they are known."""
        return self._optional('forces')

    @property
    def neb_forces(self) -> Array | None:
        """Forces as the band felt them (n_images, n_atoms, 3) in eV/Ang, zero at the ends; ``None`` if not known."""
        return self._optional('neb_forces')

    @property
    def curvatures(self) -> Array | None:
        """Lowest curvatures (n_modes,) in eV/Ang^2 at the highest image, ``None`` if not computed."""
        return self._optional('curvatures')

    def _optional(self, name: str) -> Array | None:
        return self.get_array(name) if name in self.get_arraynames() else None

    def _check(self) -> None:
        sizes = {'i': self.numsteps, 'n': self.numsites, '3': 3}
        if 'curvatures' in self.get_arraynames():
            sizes['m'] = self.get_shape('curvatures')[0]
        for name in ('positions', 'cells', *self.OPTIONAL_ARRAYS):
            if name not in self.get_arraynames():
                continue
            shape = tuple(sizes.get(axis, -1) for axis in self.OPTIONAL_ARRAYS.get(name, ''))
            if shape and self.get_shape(name) != shape:
                raise ValueError(f'the array {name} of the path has shape {self.get_shape(name)}, not {shape}')
            if not np.isfinite(self.get_array(name)).all():
                raise ValueError(f'the array {name} of the path holds numbers that are not finite')
        if self.mobile is not None and not 0 <= self.mobile < self.natoms:
            raise ValueError(f'mobile = {self.mobile}: the path has {self.natoms} atoms, from 0')
        if self.fixed is not None and len(self.fixed) != self.natoms:
            raise ValueError(f'fixed has {len(self.fixed)} entries for {self.natoms} atoms')

    def _validate(self) -> bool:
        super()._validate()
        if self.get_cells() is None:
            raise ValidationError('a path needs a cell; build it with from_arrays or from_images')
        try:
            self._check()
        except ValueError as error:
            raise ValidationError(str(error)) from error
        return True


def _energy_and_forces(image: Atoms) -> tuple[float, Array] | None:
    """Return what the calculator of an image already knows; nothing is computed."""
    if image.calc is None:
        return None
    try:
        energy = image.calc.get_property('energy', image, allow_calculation=False)
        forces = image.calc.get_property('forces', image, allow_calculation=False)
    except PropertyNotImplementedError:
        return None
    return None if energy is None or forces is None else (float(energy), forces)


def _frozen(image: Atoms) -> list[bool] | None:
    frozen = np.zeros(len(image), dtype=bool)
    if not image.constraints:
        return None
    from ase.constraints import FixAtoms

    for constraint in image.constraints:
        if not isinstance(constraint, FixAtoms):
            raise ValueError(
                f'image 0 has the constraint {type(constraint).__name__}; a path knows only frozen atoms (FixAtoms)'
            )
        frozen[constraint.get_indices()] = True
    return frozen.tolist() if frozen.any() else None

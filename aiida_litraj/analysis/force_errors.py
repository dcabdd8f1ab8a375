"""How far predicted energies, forces and stresses are from reference labels, and how sure that is.

Conventions, as they are usual in the field: errors of forces and stresses are over single components (three of each
atom, six of each configuration), those of energies per atom. The slope is that of the straight line through the origin
which fits predicted against reference components best: below one the potential is softer than the reference, as
universal ones are (B. Deng et al., npj Comput. Mater. 11, 9 (2025)).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from ..contract.arrays import Array
from ..contract.frames import Frames
from .bootstrap import FEW_GROUPS, FEWEST_GROUPS, Bootstrap
from .deviations import Deviation, Integers, Mask, Sums
from .energy_offsets import Method, OffsetFit, fit_offsets
from .frames import composition

NO_FAMILY = 'other'
"""Family of the configurations that name none."""


@dataclass(frozen=True)
class Family:
    """The deviations of some configurations; of energies after the offsets that were fitted to all."""

    n_frames: int
    force: Deviation
    energy: Deviation
    stress: Deviation


@dataclass(frozen=True)
class Errors:
    """The deviations of all configurations, in eV/Ang, eV per atom and eV/Ang^3, and of some of them.

    :ivar missing: configurations without a reference, by quantity; these are in no deviation.
    :ivar n_failed: configurations of which the potential said nothing; nor are these.
    :ivar raw_energy: before the offsets of the elements; ``whole.energy`` is after.
    :ivar warnings: what a person should know before believing the numbers.
    """

    n_atoms: int
    n_groups: int
    n_failed: int
    missing: dict[str, int]
    whole: Family
    raw_energy: Deviation
    offsets: OffsetFit
    per_element: dict[str, Deviation]
    per_family: dict[str, Family]
    warnings: list[str]

    @property
    def n_frames(self) -> int:
        """Number of configurations that were compared, those without labels included."""
        return self.whole.n_frames


def energy_forces_errors(
    reference: Frames,
    predicted: Frames,
    offsets: Method = 'least_squares',
    ridge_alpha: float = 1e-5,
    groups: Sequence[str] | None = None,
    families: Sequence[str | None] | None = None,
    bootstrap: Bootstrap | None = None,
    n_materials: int | None = None,
) -> Errors:
    """Return the errors of predictions on labelled configurations, with intervals and warnings.

    Labels that are not there, or not finite, are no errors; what was not predicted is none either, and is counted.

    :param offsets: how energies of the elements are fitted before those of configurations are compared. They stay as
        they are where groups are drawn again.
    :param groups: of each configuration to what it belongs, a material or a trajectory. These are drawn, whole, for the
        intervals; without them single configurations are, with a warning.
    :param families: of each configuration its family.
    :param n_materials: how many there are, if it is known of all configurations; for the warning.
    :raises ValueError: if the two are not of the same atoms, or groups or families are of another number.
    """
    _check_alike(reference, predicted, groups, families)
    compared = _Comparison(reference, predicted, offsets, ridge_alpha, groups, bootstrap or Bootstrap(), n_materials)
    return compared.errors(families)


def over_single(n_frames: int, n_materials: int | None) -> str:
    """Return what intervals over single configurations leave out, as far as their materials are known."""
    if n_materials is None:
        return (
            'the intervals are over single configurations: if some are of one trajectory or material, the truth is '
            'less sure than they say'
        )
    if n_materials == 1:
        return f'all {n_frames} configurations are of one material: the intervals say nothing of others'
    return (
        f'the intervals are over {n_frames} single configurations of {n_materials} materials: for others the truth is '
        'less sure than they say'
    )


class _Comparison:
    """Reference and prediction side by side, as sums over each configuration."""

    def __init__(
        self, reference: Frames, predicted: Frames, method: Method, alpha: float, groups: Sequence[str] | None,
        bootstrap: Bootstrap, n_materials: int | None,
    ) -> None:  # fmt: skip
        self.reference, self.predicted, self.bootstrap = reference, predicted, bootstrap
        self.n_frames, self.n_materials = reference.n_frames, n_materials
        self.by_frame = groups is None
        self.groups: Integers = np.arange(self.n_frames)
        if groups is not None:
            self.groups = np.unique(np.array(groups), return_inverse=True)[1].reshape(-1)
        self.frame_of_atom = np.repeat(np.arange(self.n_frames), np.diff(reference.offsets))
        self._forces()
        self._stresses()
        self._energies(method, alpha)

    def _forces(self) -> None:
        shape = self.reference.positions.shape
        own, theirs = _filled(self.reference.forces, shape), _filled(self.predicted.forces, shape)
        # A configuration of which one force is unknown is left out whole, so that its elements stay comparable.
        self.force_labels = self._whole(np.isfinite(own))
        usable = (self.force_labels & self._whole(np.isfinite(theirs)))[self.frame_of_atom]
        self.own_forces, self.their_forces = own[usable], theirs[usable]
        self.force_numbers, self.force_frames = self.reference.numbers[usable], self.frame_of_atom[usable]
        self.forces = Sums.of(self.own_forces, self.their_forces, self.force_frames, self.n_frames)

    def _whole(self, known: Mask) -> Mask:
        """Return of which configurations all of (n_atoms, 3) is known."""
        unknown = np.bincount(self.frame_of_atom, weights=(~known).sum(axis=1), minlength=self.n_frames)
        return np.asarray(unknown == 0)

    def _stresses(self) -> None:
        shape = (self.n_frames, 6)
        own, theirs = _filled(self.reference.stresses, shape), _filled(self.predicted.stresses, shape)
        self.stress_labels = np.isfinite(own).all(axis=1)
        both = np.flatnonzero(self.stress_labels & np.isfinite(theirs).all(axis=1))
        self.stresses = Sums.of(own[both], theirs[both], both, self.n_frames)

    def _energies(self, method: Method, alpha: float) -> None:
        shape = (self.n_frames,)
        own, theirs = _filled(self.reference.energies, shape), _filled(self.predicted.energies, shape)
        self.energy_labels, self.failed = np.isfinite(own), ~np.isfinite(theirs)
        both = np.flatnonzero(self.energy_labels & ~self.failed)
        kinds, which = np.unique(self.reference.numbers, return_inverse=True)
        counts = np.zeros((self.n_frames, len(kinds)))
        np.add.at(counts, (self.frame_of_atom, which.reshape(-1)), 1.0)
        self.elements = {chemical_symbols[number]: int(number) for number in kinds}
        sizes = np.diff(self.reference.offsets)[both]
        short = (own - theirs)[both]
        self.fit = fit_offsets(counts[both], short, list(self.elements), method, alpha)
        left = (counts[both] @ self.fit.offsets_ev - short) / sizes
        zeros = np.zeros((len(both), 1))
        self.raw_energies = Sums.of(zeros, (-short / sizes)[:, None], both, self.n_frames)
        # What as many offsets as configurations leave of the error is nothing, whatever the potential.
        self.fit_has_spare = method == 'none' or len(both) > self.fit.rank
        spared = slice(None) if self.fit_has_spare else slice(0)
        self.energies = Sums.of(zeros[spared], left[spared, None], both[spared], self.n_frames)

    def errors(self, families: Sequence[str | None] | None) -> Errors:
        """Return all deviations."""
        names = np.array([NO_FAMILY if one is None else str(one) for one in families or ()])
        labels = {'energy': self.energy_labels, 'forces': self.force_labels, 'stress': self.stress_labels}
        whole = self._family(None)
        return Errors(
            n_atoms=len(self.reference.numbers),
            n_groups=len(np.unique(self.groups)),
            n_failed=int(self.failed.sum()),
            missing={name: int((~known).sum()) for name, known in labels.items()},
            whole=whole,
            raw_energy=self.raw_energies.deviation(self.groups, self.bootstrap, slope=False),
            offsets=self.fit,
            per_element={symbol: self._element(number) for symbol, number in self.elements.items()},
            per_family={str(name): self._family(names == name) for name in np.unique(names)},
            warnings=list(self._warnings(whole)),
        )

    def _family(self, here: Mask | None) -> Family:
        return Family(
            self.n_frames if here is None else int(here.sum()),
            self.forces.deviation(self.groups, self.bootstrap, here),
            self.energies.deviation(self.groups, self.bootstrap, here, slope=False),
            self.stresses.deviation(self.groups, self.bootstrap, here),
        )

    def _element(self, number: int) -> Deviation:
        own = self.force_numbers == number
        sums = Sums.of(self.own_forces[own], self.their_forces[own], self.force_frames[own], self.n_frames)
        return sums.deviation(self.groups, self.bootstrap)

    def _warnings(self, whole: Family) -> Iterator[str]:
        failed = int(self.failed.sum())
        if failed:
            were, are = ('was', 'is') if failed == 1 else ('were', 'are')
            yield f'{failed} of {self.n_frames} configurations {were} not evaluated and {are} in no error'
        for name, known in (
            ('forces', self.force_labels),
            ('energy', self.energy_labels),
            ('stress', self.stress_labels),
        ):
            lacking = int((~known).sum())
            if 0 < lacking < self.n_frames:
                have = 'has' if lacking == 1 else 'have'
                yield f'{lacking} of {self.n_frames} configurations {have} no reference {name}'
        yield from self._offset_warnings()
        n_groups = max(whole.force.n_groups, whole.energy.n_groups)
        if n_groups < FEWEST_GROUPS:
            yield f'no intervals: {n_groups} group(s) are labelled, at least {FEWEST_GROUPS} are needed'
            return
        if self.by_frame and self.n_materials != self.n_frames:
            yield over_single(self.n_frames, self.n_materials)
        if n_groups < FEW_GROUPS:
            yield f'the intervals are of {n_groups} groups only, and rather too narrow'

    def _offset_warnings(self) -> Iterator[str]:
        fit, n_elements = self.fit, len(self.elements)
        if fit.method == 'none' or not fit.rank:
            return
        if not self.fit_has_spare:
            yield (
                f'no energy error after offsets: {fit.rank} offsets fit {fit.rank} energies exactly; label more '
                'configurations, or compare raw energies'
            )
        if not fit.unique:
            some = ', '.join(_formula(row, list(self.elements.values())) for row in fit.basis)
            yield (
                f'the compositions determine {fit.rank} of {n_elements} offsets: energies are comparable among '
                f'{some}{" and what is mixed of them" if fit.rank > 1 else ""}, not with other compositions'
            )


def _formula(counts: Array, numbers: Sequence[int]) -> str:
    every = np.zeros(max(numbers) + 1, dtype=np.int64)
    every[list(numbers)] = counts
    return composition(every.tobytes())[0]


def _filled(values: Array | None, shape: tuple[int, ...]) -> Array:
    return np.full(shape, np.nan) if values is None else np.asarray(values, dtype=float)


def _check_alike(
    reference: Frames, predicted: Frames, groups: Sequence[str] | None, families: Sequence[str | None] | None
) -> None:
    if not np.array_equal(reference.offsets, predicted.offsets) or not np.array_equal(
        reference.numbers, predicted.numbers
    ):
        raise ValueError(
            f'{predicted.n_frames} predicted configurations are not the {reference.n_frames} of the reference: other '
            'atoms, or another order'
        )
    for name, values in (('groups', groups), ('families', families)):
        if values is not None and len(values) != reference.n_frames:
            raise ValueError(f'{len(values)} {name} for {reference.n_frames} configurations')

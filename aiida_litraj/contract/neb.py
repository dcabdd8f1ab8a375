"""Job and result of the ``neb`` task.

Arrays of a job, in ``arrays.npz``, per item ``<id>``: ``<id>/positions`` (n_images, n_atoms, 3) in Ang,
*continuous* along the path (an atom which crosses the cell boundary is not wrapped back: the hop is a vector);
``<id>/cell`` (3, 3) in Ang; ``<id>/pbc`` (3,) bool; ``<id>/numbers`` (n_atoms,) atomic numbers;
``<id>/fixed`` (n_atoms,) bool.

Arrays of a result, in ``result.npz``, per item that has any: ``<id>/positions`` (n_images, n_atoms, 3) in Ang;
``<id>/energies`` (n_images,) in eV; ``<id>/forces`` (n_images, n_atoms, 3) in eV/Ang, of the potential, without
springs; ``<id>/neb_forces`` the same with the projection and springs the band felt (zero at the ends); with
``verify_saddle`` also ``<id>/curvatures`` (n_modes,) in eV/Ang^2 and ``<id>/modes`` (n_modes, n_atoms, 3).

With ``keep_configurations`` there is also every configuration that was evaluated on the way, of failed items too, under
``<id>/configurations/``: ``positions`` (n, n_atoms, 3) in Ang; ``energies`` (n,) in eV; ``forces`` (n, n_atoms, 3);
``stages`` (n,), the index in ``STAGES``; ``steps`` (n,) of the optimiser; ``images`` (n,), of the path from 0, or in
the stage ``saddle`` the number among those asked for together. An end that several paths share is among those of the
path that had it relaxed.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from .arrays import Array
from .base import Model
from .job import Item, Job, Parameters
from .result import ItemResult, JobResult

Criterion = Literal['norm', 'component']
Optimizer = Literal['fire', 'lbfgs', 'lbfgs_model_hessian']
"""FIRE and L-BFGS as in ASE; L-BFGS that starts from a model of the Hessian instead of a multiple of one."""
STAGES = ('source', 'target', 'band', 'saddle')
"""What a configuration was evaluated for: the ends, the band between them, the curvature at its highest image."""
CONFIGURATIONS = 'configurations'
"""Name of these arrays' folder, and of the nodes that are made of them."""
FROZEN_TOLERANCE_ANG = 1e-3
"""How far a frozen atom may seem to move along a path: the rounding of structure files."""


class RelaxParameters(Model):
    """Relaxation of one end of a path. ``max_steps=None`` means no limit.

    ``energy_tolerance_ev``: besides the force, the energy still to be gained must be below this, as the optimiser
    estimates it (half the force times the full quasi-Newton step); ``None`` leaves it to the force alone. A force
    alone does not fix the energy of a soft crystal: 0.1 eV/Ang against a curvature of 1 eV/Ang^2 is 5 meV an atom.
    """

    optimizer: Optimizer
    fmax_ev_per_ang: PositiveFloat
    criterion: Criterion
    max_steps: NonNegativeInt | None
    energy_tolerance_ev: PositiveFloat | None = None


class BandParameters(Model):
    """Optimisation of the band. ``climb_below_ev_per_ang=None`` with ``climb`` means climbing from step 0.

    ``energy_tolerance_ev`` as for the ends, of the highest image.
    """

    optimizer: Optimizer
    fmax_ev_per_ang: PositiveFloat
    criterion: Criterion
    max_steps: NonNegativeInt
    spring_constant_ev_per_ang2: PositiveFloat
    climb: bool
    climb_below_ev_per_ang: PositiveFloat | None
    energy_tolerance_ev: PositiveFloat | None = None


class AcceptanceParameters(Model):
    """When an optimised path counts as converged: the residual force over band, source and target."""

    fmax_ev_per_ang: PositiveFloat
    criterion: Criterion


class SaddleParameters(Model):
    """Lanczos search for the lowest curvature modes of the highest image."""

    n_modes: PositiveInt
    displacement_ang: PositiveFloat
    max_iterations: PositiveInt
    tolerance_ev_per_ang2: PositiveFloat


class NebParameters(Parameters):
    """Every number of the science, without defaults: a protocol fills them.

    ``initial_path``: what happens to the inner images once the ends have relaxed. ``keep``: nothing, they start as
    given; ``shift``: they move along with the ends; ``linear``: drawn anew between the relaxed ends along the
    hop's own displacement (never the minimum image); ``idpp``: the same, then relaxed on the image dependent pair
    potential (Smidstrup et al., J. Chem. Phys. 140, 214106 (2014)).

    ``hop_tolerance_ang``: how far the displacement of the mobile ion between the relaxed ends may differ from the
    hop that was asked for, before the path is refused as another hop; ``None`` refuses only another periodic image.

    ``end_tolerance_ang``: how far any atom of an end may move while the end relaxes, before it counts as having gone to
    another site (a neighbour that falls into the vacancy) and the path is refused; ``None`` does not look.
    """

    source: RelaxParameters
    target: RelaxParameters
    initial_path: Literal['keep', 'shift', 'linear', 'idpp']
    band: BandParameters
    acceptance: AcceptanceParameters
    hop_tolerance_ang: PositiveFloat | None
    end_tolerance_ang: PositiveFloat | None
    max_force_ev_per_ang: PositiveFloat
    """A path with a larger force has exploded and is given up."""
    verify_saddle: SaddleParameters | None
    seed: NonNegativeInt


def check_frozen(positions: Array, fixed: npt.NDArray[np.bool_]) -> None:
    """Refuse a path (n_images, n_atoms, 3) in Ang whose frozen atoms are not in one place in all its images.

    Which of the places was meant cannot be told, and no relaxation would bring them together.

    :raises ValueError: naming atom, image and distance of the worst.
    """
    away = np.where(fixed, np.linalg.norm(positions - positions[0], axis=2), 0.0)
    image, atom = (int(index) for index in np.unravel_index(int(away.argmax()), away.shape))
    if away[image, atom] > FROZEN_TOLERANCE_ANG:
        raise ValueError(
            f'the frozen atom {atom} is {away[image, atom]:.3f} Ang away in image {image} from where it is in image 0; '
            'give it one position in all images, or do not freeze it'
        )


class NebItem(Item):
    """One path of a job."""

    mobile: NonNegativeInt | None
    """Index of the ion that hops; ``None`` if the path has no single mobile ion."""


class NebJob(Job[NebParameters, NebItem]):
    """Content of ``job.json`` of a ``neb`` job."""

    task: Literal['neb'] = 'neb'
    keep_configurations: bool = False
    """Whether every configuration that is evaluated comes back with its energy and forces. Changes no other number."""

    @model_serializer(mode='wrap')
    def _only_what_is_kept(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the field out where nothing is kept: an engine from before it refuses what it does not know."""
        values: dict[str, Any] = dump(self)
        if not self.keep_configurations:
            values.pop('keep_configurations', None)
        return values


class NebItemResult(ItemResult):
    """How one path ended. The fields that are ``None`` the path did not get to."""

    source_steps: NonNegativeInt = 0
    target_steps: NonNegativeInt = 0
    source_shared_with: str | None = None
    """Id of the path whose relaxed end this source is (the same configuration, relaxed once)."""
    target_shared_with: str | None = None
    fmax_ev_per_ang: NonNegativeFloat | None = None
    """Largest residual force norm over all inner images, the climbing one included, and both ends."""
    fmax_component_ev_per_ang: NonNegativeFloat | None = None
    band_calls: NonNegativeInt = 0
    endpoint_calls: NonNegativeInt = 0
    """Zero where both ends were shared with an earlier path."""
    saddle_calls: NonNegativeInt = 0
    climbing_image: NonNegativeInt | None = None
    hop_displacement_ang: tuple[float, float, float] | None = None
    """Displacement of the mobile ion from the first to the last image, a vector."""
    energy_settled: bool = True
    """Whether the energy tolerances of the protocol were reached by both ends and the highest image; a path that fell
    back to FIRE, or ran out of steps with small forces, cannot say so."""
    saddle_check_converged: bool | None = None
    negative_modes: NonNegativeInt | None = None
    """Of those searched for, so with ``n_modes`` 2 a two means at least two; ``None`` where the search did not
    converge: curvatures above the true ones could hide a negative one."""
    lowest_curvatures_ev_per_ang2: list[float] | None = None


class NebResult(JobResult[NebItemResult]):
    """Content of ``result.json`` of a ``neb`` job."""

    task: Literal['neb'] = 'neb'

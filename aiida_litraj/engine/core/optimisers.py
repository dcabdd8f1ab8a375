"""Optimisers as pure functions on flat vectors: a state and a force in, a new state and a step out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...contract.arrays import Array

# FIRE: E. Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with the numbers and the order of operations of ASE's
# implementation, because the published protocols were run with it and a step count is part of a protocol.
_FIRE_DT_MAX = 1.0
_FIRE_N_MIN = 5
_FIRE_F_INC = 1.1
_FIRE_F_DEC = 0.5
_FIRE_A_START = 0.1
_FIRE_F_A = 0.99
LBFGS_CURVATURE = 70.0
"""eV/Ang^2: initial Hessian, the stiffness of a covalent bond seen by one atom; the value ASE uses."""
_MAX_STEP = 0.2
"""Ang: longest step, of the whole vector in FIRE (as in ASE) and of the atom that moves most in L-BFGS."""


@dataclass(frozen=True)
class FireState:
    """Velocity (n_dof,), time step, mixing and number of steps downhill since the last stop."""

    velocity: Array | None = None
    dt: float = 0.1
    mixing: float = _FIRE_A_START
    n_downhill: int = 0


def fire_step(state: FireState, force: Array) -> tuple[FireState, Array]:
    """Return the next state and the step (n_dof,) in Ang for a force (n_dof,) in eV/Ang."""
    dt, mixing, n_downhill = state.dt, state.mixing, state.n_downhill
    if state.velocity is None:
        velocity = np.zeros_like(force)
    else:
        velocity = state.velocity
        if np.vdot(force, velocity) > 0.0:
            speed = np.sqrt(np.vdot(velocity, velocity))
            velocity = (1.0 - mixing) * velocity + mixing * force / np.sqrt(np.vdot(force, force)) * speed
            if n_downhill > _FIRE_N_MIN:
                dt = min(dt * _FIRE_F_INC, _FIRE_DT_MAX)
                mixing *= _FIRE_F_A
            n_downhill += 1
        else:
            velocity = np.zeros_like(force)
            mixing = _FIRE_A_START
            dt *= _FIRE_F_DEC
            n_downhill = 0
    velocity = velocity + dt * force
    step = dt * velocity
    length = np.sqrt(np.vdot(step, step))
    if length > _MAX_STEP:
        step = _MAX_STEP * step / length
    return FireState(velocity, dt, mixing, n_downhill), step


@dataclass(frozen=True)
class LbfgsState:
    """Curvature pairs: ``steps`` s and ``changes`` y = g' - g of at most ``memory`` steps, newest last.

    ``inverse`` (n_blocks, n, n) in Ang^2/eV is the inverse of the initial Hessian by blocks (one an image), or a
    number where it is a multiple of one. The last force and step are ``None`` before the first step.
    """

    inverse: Array | float
    memory: int
    last_force: Array | None = None
    last_step: Array | None = None
    steps: tuple[Array, ...] = field(default=())
    changes: tuple[Array, ...] = field(default=())


def _initial_step(inverse: Array | float, force: Array) -> Array:
    if isinstance(inverse, float):
        return inverse * force
    blocks = force.reshape(len(inverse), -1)
    step: Array = np.einsum('bij,bj->bi', inverse, blocks).ravel()
    return step


def lbfgs_step(state: LbfgsState, force: Array) -> tuple[LbfgsState, Array, Array]:
    """Return the next state, the step (n_dof,) in Ang and the full quasi-Newton step before it was shortened.

    Two-loop recursion, J. Nocedal, Math. Comput. 35, 773 (1980), without line search; as a global optimiser of the
    whole band: D. Sheppard et al., J. Chem. Phys. 128, 134106 (2008). A pair whose curvature is not positive is
    dropped: the band's force is not the gradient of a function, and such a pair would turn the step uphill.
    """
    steps, changes = state.steps, state.changes
    if state.last_force is not None and state.last_step is not None:
        change = state.last_force - force
        if np.vdot(state.last_step, change) > 1e-10 * np.vdot(change, change):
            steps = (*steps, state.last_step)[-state.memory :]
            changes = (*changes, change)[-state.memory :]
    direction = force.copy()
    coefficients = []
    for s, y in zip(reversed(steps), reversed(changes)):
        a = np.vdot(s, direction) / np.vdot(s, y)
        coefficients.append(a)
        direction -= a * y
    direction = _initial_step(state.inverse, direction)
    if steps and not isinstance(state.inverse, float):
        newest = changes[-1]
        # where the model is too soft for what the last step has shown, it would overshoot for ever: stiffen it
        direction *= min(1.0, np.vdot(steps[-1], newest) / np.vdot(newest, _initial_step(state.inverse, newest)))
    for s, y, a in zip(steps, changes, reversed(coefficients)):
        direction += (a - np.vdot(y, direction) / np.vdot(s, y)) * s
    longest = np.sqrt((direction.reshape(-1, 3) ** 2).sum(axis=1).max())
    step = direction * min(1.0, _MAX_STEP / longest) if longest > 0.0 else direction
    return replace(state, last_force=force, last_step=step, steps=steps, changes=changes), step, direction

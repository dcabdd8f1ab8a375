"""The program of the toy trainer: fits the depth and the range of a Morse potential by steps down the gradient."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...contract.arrays import Array, unpack_arrays
from ..models.interface import Configuration
from ..models.toy import morse
from .epochs import seed_of, tell

_STEP = 1e-5
"""Of the differences that give the gradient, in the logarithms of the parameters."""
_BETAS = (0.9, 0.999)
_EPSILON = 1e-12


@dataclass
class State:
    """Logarithms of depth (eV) and range (1/Ang), and all that the optimiser remembers."""

    logs: Array
    first: Array
    second: Array
    n_steps: int
    rate: float
    best: float
    bad_epochs: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it, to the last digit."""
        plain = {name: values.tolist() for name, values in self.__dict__.items() if isinstance(values, np.ndarray)}
        return self.__dict__ | plain

    @classmethod
    def of(cls, content: dict[str, Any]) -> State:
        """Return what ``to_json`` gave."""
        known: dict[str, Any] = {
            name: np.array(values) if isinstance(values, list) else values for name, values in content.items()
        }
        return cls(**known)


class Frames:
    """The configurations of a set with their labels."""

    def __init__(self, path: Path) -> None:
        arrays: dict[str, Any] = unpack_arrays(path)
        offsets = arrays['offsets']
        atoms = [slice(start, stop) for start, stop in pairwise(offsets)]
        self.energies: Array = arrays['energies']
        self.forces: list[Array] = [arrays['forces'][these] for these in atoms]
        self.configurations = [
            Configuration(arrays['numbers'][these], arrays['positions'][these], cell, pbc)
            for these, cell, pbc in zip(atoms, arrays['cells'], arrays['pbc'])
        ]

    def errors(self, logs: Array, constants: dict[str, float], which: npt.NDArray[np.int64]) -> tuple[float, float]:
        """Return the mean squares of the errors of energies in (eV/atom)^2 and of forces in (eV/Ang)^2."""
        depth, alpha = np.exp(logs)
        energy_errors, force_errors = [], []
        for frame in which:
            found = morse(self.configurations[frame], depth=depth, alpha=alpha, **constants)
            energy_errors.append((found.energy - self.energies[frame]) / len(self.forces[frame]))
            force_errors.append((found.forces - self.forces[frame]).ravel())
        return float(np.mean(np.square(energy_errors))), float(np.mean(np.concatenate(force_errors) ** 2))


class Fit:
    """The fit that ``toy.json`` asks for."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked, self.constants, self.weights = asked, asked['constants'], np.array(asked['weights'])
        self.train, self.valid = Frames(Path(asked['train'])), Frames(Path(asked['valid']))
        known = asked['resume']
        if known is not None:
            self.state = State.of(json.loads(Path(known).read_text()))
        else:
            zero = np.zeros(2)
            self.state = State(np.log(asked['start']), zero, zero, 0, asked['learning_rate'], float('inf'), 0)

    def loss(self, logs: Array, which: npt.NDArray[np.int64]) -> float:
        """Return the loss of some frames of the training set."""
        return float(self.weights @ self.train.errors(logs, self.constants, which))

    def step(self, which: npt.NDArray[np.int64]) -> None:
        """Go one step down the gradient of the loss of a batch (D. P. Kingma and J. Ba, arXiv:1412.6980)."""
        state = self.state
        gradient = np.array(
            [
                (self.loss(state.logs + shift, which) - self.loss(state.logs - shift, which)) / (2.0 * _STEP)
                for shift in _STEP * np.eye(2)
            ]
        )
        gradient += self.asked['weight_decay'] * state.logs
        state.n_steps += 1
        state.first = _BETAS[0] * state.first + (1.0 - _BETAS[0]) * gradient
        state.second = _BETAS[1] * state.second + (1.0 - _BETAS[1]) * gradient**2
        mean = state.first / (1.0 - _BETAS[0] ** state.n_steps)
        spread = np.sqrt(state.second / (1.0 - _BETAS[1] ** state.n_steps))
        state.logs = state.logs - state.rate * mean / (spread + _EPSILON)

    def epoch(self, number: int) -> dict[str, float]:
        """Go once through the training set; return what is known of the epoch."""
        since, rate = time.monotonic(), self.state.rate
        if number == self.asked['throw_in_epoch']:
            self.state.rate *= 1e3
        order = np.random.default_rng(seed_of(self.asked['seed'], number)).permutation(len(self.train.forces))
        for start in range(0, len(order), self.asked['batch_size']):
            self.step(order[start : start + self.asked['batch_size']])
        values = {'learning_rate': rate}
        for name, frames in (('train', self.train), ('valid', self.valid)):
            squares = frames.errors(self.state.logs, self.constants, np.arange(len(frames.forces)))
            values[f'{name}_loss'] = float(self.weights @ squares)
            values[f'{name}_energy_mev_per_atom'] = 1e3 * squares[0] ** 0.5
            values[f'{name}_force_mev_per_ang'] = 1e3 * squares[1] ** 0.5
        self._schedule(values['valid_loss'])
        time.sleep(self.asked['seconds_per_epoch'])
        return values | {'seconds': time.monotonic() - since}

    def _schedule(self, loss: float) -> None:
        state, schedule = self.state, self.asked['schedule']
        state.bad_epochs = 0 if loss < state.best else state.bad_epochs + 1
        state.best = min(state.best, loss)
        if schedule['kind'] == 'exponential':
            state.rate *= schedule['factor']
        elif schedule['kind'] == 'plateau' and state.bad_epochs > schedule['patience_epochs']:
            state.rate *= schedule['factor']
            state.bad_epochs = 0


def main() -> int:
    """Run the fit that ``toy.json`` in this folder asks for."""
    work = Path.cwd()
    asked = json.loads((work / 'toy.json').read_text())
    np.seterr(all='ignore')
    fit = Fit(asked)
    for number in range(asked['epochs_done'] + 1, asked['epochs'] + 1):
        if number == asked['fail_in_epoch']:
            raise RuntimeError(f'told to fail in epoch {number}')
        values = fit.epoch(number)
        content = json.dumps(fit.state.to_json()).encode()
        tell(work, number, values, f'epoch_{number}.json', partial(_write, content))
    return 0


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


if __name__ == '__main__':
    sys.exit(main())

"""Trains a small MACE on ``li3po4_frames.npz``, on the spot, in the environment of mace.

``python tests/engine/models/make_small_mace.py small.model`` takes about half a minute on one core and prints the
file's sha256. It stands in for a foundation model, whose weights are a download: bound, with a Ziegler-Biersack-
Littmark core, good enough for paths of lithium in one cell of Li3PO4 and for nothing else. The seed is fixed, so
that one machine makes the same model each time.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

# e3nn 0.4.4, which mace pins, reads a pickle of its own on import; importing mace first would set the same.
os.environ.setdefault('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')

FRAMES = Path(__file__).with_name('li3po4_frames.npz')
SPECIES = (3, 8, 15)
CUTOFF_ANG = 4.0
EPOCHS = 18
BATCH = 4
LEARNING_RATE = 0.02
SEED = 3


def untrained(dtype: str = 'float64') -> Any:
    """Return a MACE of Li, O and P with random weights."""
    import torch
    from e3nn import o3
    from mace import modules
    from mace.tools import torch_tools

    torch.manual_seed(SEED)
    with torch_tools.default_dtype(dtype):
        return modules.ScaleShiftMACE(
            r_max=CUTOFF_ANG,
            num_bessel=8,
            num_polynomial_cutoff=5,
            max_ell=1,
            interaction_cls=modules.interaction_classes['RealAgnosticResidualInteractionBlock'],
            interaction_cls_first=modules.interaction_classes['RealAgnosticInteractionBlock'],
            num_interactions=2,
            num_elements=len(SPECIES),
            hidden_irreps=o3.Irreps('16x0e'),
            MLP_irreps=o3.Irreps('16x0e'),
            atomic_energies=np.zeros((1, len(SPECIES))),
            avg_num_neighbors=24.0,
            atomic_numbers=list(SPECIES),
            correlation=2,
            gate=torch.nn.functional.silu,
            radial_MLP=[32, 32],
            pair_repulsion=True,
            atomic_inter_scale=1.0,
            atomic_inter_shift=[0.0],
            heads=['Default'],
        )


def train(model: Any) -> float:
    """Fit ``model`` to the frames; return the root mean square error of the forces in eV/Ang over them."""
    import torch

    from aiida_litraj.contract import PotentialReport
    from aiida_litraj.engine.models import Configuration
    from aiida_litraj.engine.models.mace import MaceEvaluator

    data = np.load(FRAMES)
    frames = [Configuration(data['numbers'], p, data['cell'], np.ones(3, dtype=bool)) for p in data['positions']]
    energies = torch.tensor(data['energies'] - data['energies'].mean())
    forces = torch.tensor(data['forces'])
    graphs = MaceEvaluator(model, 0, PotentialReport(family='mace', name='x'), 'cpu', 'float64', batched=True)
    batches = [
        (graphs._batch(frames[start::stride]), energies[start::stride], forces[start::stride].reshape(-1, 3))
        for stride in [len(frames) // BATCH]
        for start in range(stride)
    ]
    for parameter in model.parameters():
        parameter.requires_grad = True
    model.train()
    steps = EPOCHS * len(batches)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    rng = np.random.default_rng(SEED)
    error = 0.0
    for _ in range(EPOCHS):
        errors = []
        for index in rng.permutation(len(batches)):
            batch, energy, force = batches[index]
            output = model(dict(batch), training=True, compute_force=True)
            force_error = torch.nn.functional.huber_loss(output['forces'], force, delta=1.0)
            energy_error = ((output['energy'] - energy) / 31).square().mean()
            optimizer.zero_grad()
            (force_error + 10.0 * energy_error).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            schedule.step()
            errors.append((output['forces'].detach() - force).square().mean().item())
        error = float(np.sqrt(np.mean(errors)))
    model.eval()
    return error


def make(path: Path) -> float:
    """Write a trained model to ``path``; return its force error in eV/Ang."""
    import torch

    torch.set_num_threads(1)
    model = untrained()
    error = train(model)
    torch.save(model, path)
    return error


if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).parents[3]))  # the engine need not be installed beside mace
    target = Path(sys.argv[1])
    rmse = make(target)
    print(f'{hashlib.sha256(target.read_bytes()).hexdigest()}  {target}  force error {rmse:.3f} eV/Ang')

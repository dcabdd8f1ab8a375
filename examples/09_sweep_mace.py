"""Options of a MACE from scratch side by side: the error against what it costs, as Figure 3 of LiPS-25 has it.

    verdi run examples/09_sweep_mace.py
    verdi run -- examples/09_sweep_mace.py --channels 8 16 32 --cutoffs 4 5 6 --epochs 100 --seeds 0 1 2

It wants a code with MACE: "examples/environment.sh mace", "aiida-litraj setup --name mace --engine-python
.venv-mace/bin/python"; no potential, for each is trained from scratch. Two numbers of channels with two cutoffs make
four points. The labels are those of example 08, and so is what is held out. Some minutes of two cores; run it again and
all comes from the cache.

26 configurations of three crystals make NO usable potential. What comes out shows how options are compared, and not
which are good: with as few data and one seed, chance and the length of the training weigh as much as the options do.
For a real one: "aiida-litraj launch sweep LiPS-25/train --trainer mace --vary architecture.cutoff_ang=4,5,6 --daemon".
The last line is one JSON object: error and costs of each point, and which are on the Pareto front.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import ase.io
from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.cli.sweep import plan_text, print_sweep, save_picture, sweep_of
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.data.frames import FramesData

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
LABELS = HERE / 'data' / 'lips_pbe_gpaw.extxyz'
TOO_FEW = 1000
"""Configurations below which nobody should compute with a potential from scratch."""


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Error against cost of a MACE from scratch, by channels and cutoff.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--labels', type=Path, default=LABELS, help='energies, forces and material_id, extended xyz')
    parser.add_argument('--test', nargs='+', default=['Li7PS6'], metavar='MATERIAL', help='held out, to judge by')
    parser.add_argument('--valid', nargs='+', default=['Li4P2S6'], metavar='MATERIAL', help='tell the best epoch')
    parser.add_argument('--channels', type=int, nargs='+', default=[4, 16], help='values to compare')
    parser.add_argument('--cutoffs', type=float, nargs='+', default=[4.0, 5.0], help='values to compare, in Ang')
    parser.add_argument('--epochs', type=int, default=30, help='times that each configuration is seen')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='a training of each point for each')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'sweep.png', help='file to draw')
    return parser.parse_args()


def read_sets(arguments: argparse.Namespace) -> dict[str, FramesData]:
    """Return what is learnt, what tells the best epoch, and what is held out.

    :raises ValueError: if the file has no configuration of one of them.
    """
    images = ase.io.read(arguments.labels, ':')
    parts: dict[str, list[Any]] = {'train': [], 'valid': [], 'test': []}
    for atoms in images:
        where = [name for name in ('valid', 'test') if str(atoms.info.get('material_id')) in getattr(arguments, name)]
        parts[where[0] if where else 'train'].append(atoms)
    sets = {}
    for name, chosen in parts.items():
        if not chosen:
            known = ', '.join(sorted({str(atoms.info.get('material_id')) for atoms in images}))
            raise ValueError(f'{arguments.labels} has nothing for the set {name}; its materials (material_id): {known}')
        ids = {
            'entry_ids': [str(atoms.info['entry_id']) for atoms in chosen if 'entry_id' in atoms.info],
            'material_ids': [str(atoms.info.get('material_id')) for atoms in chosen],
        }
        sets[name] = FramesData.from_frames(from_ase(chosen), ids)
        sets[name].label = f'{arguments.labels.stem}: {name}'
    return sets


def build(arguments: argparse.Namespace) -> Any:
    """Return the builder of the chain."""
    code = choose_code(None, 'mace')
    overrides = {
        # The protocol fast is something tiny; beside its epochs the size of the model is what is varied.
        'train': {'epochs': arguments.epochs, 'batch_size': 4},
        'evaluate': {'settings': {'unit': 'frame'}},
    }
    return WorkflowFactory('litraj.sweep').get_builder_from_protocol(
        code, **read_sets(arguments), trainer='mace', protocol='fast', overrides=overrides,
        grid={'architecture.channels': arguments.channels, 'architecture.cutoff_ang': arguments.cutoffs},
        seeds=arguments.seeds, held_out='materials', computer=computer_of(code),
    )  # fmt: skip


def main() -> None:
    """Train all points, compare, and print error and cost of each."""
    arguments = read_arguments()
    builder = build(arguments)
    print(plan_text(builder))
    with enable_caching(identifier='aiida.calculations:*'):
        chain = run_with_progress(instantiate(builder), 'Sweep')
    result = result_of(chain)
    if result is None or sweep_of(chain) is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print_sweep(result)
    print(f'Picture {save_picture(chain, arguments.picture)}')
    warnings = list(dict.fromkeys(result['warnings']))  # those of the chain have been printed
    if result['n_train'] < TOO_FEW:
        warnings.insert(
            0,
            f'{result["n_train"]} configurations make no usable potential: compute nothing with these; this shows how '
            'options are compared',
        )
        print(f'Warning: {warnings[0]}')
    print(f'Next: aiida-litraj show {chain.pk}; its picture: aiida-litraj plot {chain.pk} -o sweep.svg')
    print(
        json.dumps(
            {
                'uuid': chain.uuid,
                'pk': chain.pk,
                'n_train': result['n_train'],
                'n_test': result['n_test'],
                'held_out': result['held_out'],
                'held_out_materials': arguments.test,
                'points': result['points'],
                'fronts': result['fronts'],
                'failed': result['failed'],
                'warnings': warnings,
            }
        )
    )


if __name__ == '__main__':
    try:
        main()
    except (Refusal, SetupProblem) as refusal:
        print(f'{getattr(refusal, "title", "Error")}: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(1)
    except (OSError, ValueError) as refusal:
        print(f'Error: {refusal}', file=sys.stderr)
        sys.exit(1)

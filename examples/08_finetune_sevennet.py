"""Fine-tuning of a potential on 26 labelled configurations, and what it is worth on a crystal that it has not seen.

    verdi run examples/08_finetune_sevennet.py
    verdi run -- examples/08_finetune_sevennet.py --help
    verdi run -- examples/08_finetune_sevennet.py --labels mine.extxyz --test LiCl --valid LiBr --seeds 0 1 2

It wants an imported SevenNet, by default 7net-0: "aiida-litraj setup", "aiida-litraj potential import --family sevennet
--name 7net-0". The labels are rattled crystals of Li-P-S by GPAW, PBE, in examples/data. Three crystals are learnt, one
tells which epoch was best, and one is held out: a material that neither knows. A few minutes of two cores. Run it again
and the training comes from the cache.

What is small here: one held-out crystal of five configurations and one seed. It shows that the forces of the parent are
too small there (slope below one) and that a few configurations of other crystals mend most of it; for a potential to
compute with take more data, epochs and seeds: "aiida-litraj launch finetune --help".
The last line is one JSON object: RMSE of the forces on the held-out configurations before and after, and the slopes.
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
from aiida_litraj.cli.finetune import finetune_of, plan_text, print_finetune, save_picture
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.potentials import load_potential
from aiida_litraj.data.frames import FramesData

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
LABELS = HERE / 'data' / 'lips_pbe_gpaw.extxyz'


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='A potential before and after training, on a material that it has not seen.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--labels', type=Path, default=LABELS, help='energies, forces and material_id, extended xyz')
    parser.add_argument('--test', nargs='+', default=['Li7PS6'], metavar='MATERIAL', help='held out, to judge by')
    parser.add_argument('--valid', nargs='+', default=['Li4P2S6'], metavar='MATERIAL', help='tell the best epoch')
    parser.add_argument('--learn', type=int, default=None, metavar='N', help='configurations; None: all others')
    parser.add_argument('--potential', default='7net-0', help='what is gone on from')
    parser.add_argument('--epochs', type=int, default=3, help='times that each configuration is seen')
    parser.add_argument('--learning-rate', type=float, default=0.0003, help='in the first epoch')
    parser.add_argument('--batch-size', type=int, default=4, help='configurations of a step')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='a training for each')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'finetune.png', help='file to draw')
    return parser.parse_args()


def read_sets(arguments: argparse.Namespace) -> dict[str, FramesData]:
    """Return what is learnt, what tells the best epoch, and what is held out.

    :raises ValueError: if the file has no configuration of one of them.
    """
    images = ase.io.read(arguments.labels, ':')
    materials = [str(atoms.info.get('material_id')) for atoms in images]
    chosen: dict[str, list[int]] = {'train': [], 'valid': [], 'test': []}
    for index, material in enumerate(materials):
        where = [name for name in ('valid', 'test') if material in getattr(arguments, name)]
        chosen[where[0] if where else 'train'].append(index)
    if arguments.learn is not None:  # spread over what there is, crystal after crystal
        every = max(1.0, len(chosen['train']) / max(1, arguments.learn))
        chosen['train'] = [chosen['train'][int(every * n)] for n in range(min(arguments.learn, len(chosen['train'])))]
    for name, indices in chosen.items():
        if not indices:
            raise ValueError(
                f'{arguments.labels} has no configuration to be the set {name}; its materials (material_id): '
                f'{", ".join(sorted(set(materials)))}'
            )
    sets = {}
    for name, indices in chosen.items():
        ids = {
            'entry_ids': [str(images[index].info.get('entry_id', index)) for index in indices],
            'material_ids': [materials[index] for index in indices],
        }
        sets[name] = FramesData.from_frames(from_ase([images[index] for index in indices]), ids)
        sets[name].label = f'{arguments.labels.stem}: {name}'
    return sets


def build(arguments: argparse.Namespace) -> Any:
    """Return the builder of the chain."""
    potential = load_potential(arguments.potential)
    code = choose_code(None, potential.family)
    overrides = {
        'train': {
            'epochs': arguments.epochs,
            'learning_rate': arguments.learning_rate,
            'batch_size': arguments.batch_size,
        },
        'evaluate': {'settings': {'unit': 'frame'}},  # one held-out crystal: intervals by its configurations
    }
    return WorkflowFactory('litraj.finetune').get_builder_from_protocol(
        code, potential, **read_sets(arguments), overrides=overrides, seeds=arguments.seeds, held_out='materials',
        computer=computer_of(code),
    )  # fmt: skip


def main() -> None:
    """Train, compare, and print the errors before and after."""
    arguments = read_arguments()
    builder = build(arguments)
    print(plan_text(builder))
    with enable_caching(identifier='aiida.calculations:*'):
        chain = run_with_progress(instantiate(builder), 'Fine-tuning')
    result = result_of(chain)
    if result is None or finetune_of(chain) is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print_finetune(result)
    print(f'Picture {save_picture(chain, arguments.picture)}')
    test = result['test']
    before, after = test['potentials']['zero_shot'], test['repeats']['fine_tuned']
    ratio = test['improvement']['fine_tuned']['force']
    label = next(iter(result['potentials'].values()))['label']
    print(f'Next: aiida-litraj show {chain.pk}; what it has learnt from: aiida-litraj potential lineage {label}')
    print(f'As a file, for ASE: aiida-litraj potential export {label}')
    print(
        json.dumps(
            {
                'uuid': chain.uuid,
                'pk': chain.pk,
                'rmse_force_before_mev_per_ang': before['rmse_force_mev_per_ang'],
                'rmse_force_after_mev_per_ang': after['rmse_force_mev_per_ang']['mean'],
                'slope_force_before': before['slope_force'],
                'slope_force_after': after['slope_force']['mean'],
                'ratio_force': ratio['ratio'],
                'ratio_force_interval': ratio['ratio_interval'],
                'n_train': result['n_train'],
                'n_valid': result['n_valid'],
                'n_test': result['n_test'],
                'held_out': result['held_out'],
                'held_out_materials': arguments.test,
                'potentials': {name: one['label'] for name, one in result['potentials'].items()},
                'warnings': list(dict.fromkeys(result['warnings'])),
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

"""The chains that a person launches, and where the command line keeps what it says of each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chain:
    """A kind of chain; what stands as ``module:function`` is in this package and imported when it is needed.

    :ivar noun: what the chain gives.
    :ivar result: of a chain, its result as ``--json`` prints it, or ``None``.
    :ivar show: prints a result.
    :ivar picture: draws the result of a chain into a file and returns its path.
    :ivar line: a result in one line.
    :ivar part: of a chain that has no result, what of it there is already or still, or ``None``; like a result.
    """

    noun: str
    result: str
    show: str
    picture: str
    line: str
    part: str | None = None

    def call(self, what: str, *arguments: Any) -> Any:
        """Return what the function ``result``, ``show``, ``picture`` or ``line`` returns."""
        module, _, name = str(getattr(self, what)).partition(':')
        return getattr(importlib.import_module(f'.{module}', __package__), name)(*arguments)


CHAINS = {
    'litraj.barrier': Chain(
        noun='barrier',
        result='processes:barrier_of',
        show='show:print_barrier',
        picture='plot:save_energy_profile',
        line='show:barrier_line',
    ),
    'litraj.conductivity': Chain(
        noun='conductivity',
        result='conductivity:conductivity_of',
        show='conductivity:print_conductivity',
        picture='conductivity:save_picture',
        line='conductivity:conductivity_line',
    ),
    'litraj.robustness': Chain(
        noun='robustness grid',
        result='robustness:robustness_of',
        show='robustness:print_robustness',
        picture='robustness:save_picture',
        line='robustness:robustness_line',
    ),
    'litraj.melt_quench': Chain(
        noun='melt-quench',
        result='melt_quench:melt_quench_of',
        show='melt_quench:print_melt_quench',
        picture='melt_quench:save_picture',
        line='melt_quench:melt_quench_line',
    ),
    'litraj.formation_energy': Chain(
        noun='set of formation energies',
        result='formation_energy:formation_of',
        show='formation_energy:print_formation',
        picture='formation_energy:save_picture',
        line='formation_energy:formation_line',
    ),
    'litraj.label': Chain(
        noun='set of labels',
        result='label:labels_of',
        show='label:print_labels',
        picture='label:save_picture',
        line='label:label_line',
        part='label_parts:labels_made',
    ),
    'litraj.evaluate': Chain(
        noun='comparison with labels',
        result='evaluate:errors_of',
        show='evaluate:print_errors',
        picture='evaluate:save_picture',
        line='evaluate:errors_line',
    ),
    'litraj.train.base': Chain(
        noun='training',
        result='train:training_of',
        show='train:print_training',
        picture='train:save_picture',
        line='train:training_line',
    ),
    'litraj.finetune': Chain(
        noun='fine-tuning',
        result='finetune:finetune_of',
        show='finetune:print_finetune',
        picture='finetune:save_picture',
        line='finetune:finetune_line',
    ),
    'litraj.learning_curve': Chain(
        noun='learning curve',
        result='learning_curve:curve_of',
        show='learning_curve:print_curve',
        picture='learning_curve:save_picture',
        line='learning_curve:curve_line',
    ),
    'litraj.sweep': Chain(
        noun='sweep',
        result='sweep:sweep_of',
        show='sweep:print_sweep',
        picture='sweep:save_picture',
        line='sweep:sweep_line',
    ),
    'litraj.force_accuracy': Chain(
        noun='set of force errors',
        result='force_accuracy:force_accuracy_of',
        show='force_accuracy:print_force_accuracy',
        picture='force_accuracy:save_picture',
        line='force_accuracy:force_accuracy_line',
    ),
    'litraj.barrier_check': Chain(
        noun='check of a barrier',
        result='barrier_check:barrier_check_of',
        show='barrier_check:print_barrier_check',
        picture='barrier_check:save_picture',
        line='barrier_check:barrier_check_line',
    ),
    'litraj.convergence': Chain(
        noun='table of convergence',
        result='convergence:convergence_of',
        show='convergence:print_convergence',
        picture='convergence:save_picture',
        line='convergence:convergence_line',
    ),
    'litraj.dft_neb': Chain(
        noun='DFT-NEB',
        result='dft_neb:dft_neb_of',
        show='dft_neb:print_dft_neb',
        picture='dft_neb:save_picture',
        line='dft_neb:dft_neb_line',
    ),
    'litraj.neb.packed': Chain(
        noun='set of paths',
        result='neb:paths_of',
        show='neb:print_paths',
        picture='neb:save_picture',
        line='neb:paths_line',
        part='neb:paths_so_far',
    ),
    'litraj.neb_benchmark': Chain(
        noun='benchmark of barriers',
        result='neb_benchmark:benchmark_of',
        show='neb_benchmark:print_benchmark',
        picture='neb_benchmark:save_picture',
        line='neb_benchmark:benchmark_line',
        part='neb_benchmark:benchmark_so_far',
    ),
}
"""By the entry point of the chain."""

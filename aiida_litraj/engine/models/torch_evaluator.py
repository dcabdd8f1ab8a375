"""What the evaluators of torch models have in common: elements checked, memory watched, a batch or one by one."""

from __future__ import annotations

from collections.abc import Sequence

from ...contract.potential import PotentialReport
from .elements import check_covered, covered_numbers
from .interface import Configuration, Evaluation
from .memory import torch_memory


class TorchEvaluator:
    """Base of an evaluator, which gives :meth:`_evaluate_together`, and its own ``dtype``.

    :param batched: whether several configurations share a call: faster on a GPU, slower on a CPU.
    """

    dtype: str

    def __init__(self, report: PotentialReport, device: str, batched: bool) -> None:
        self.report = report
        self.device = device
        self._batched = batched
        self._covered = covered_numbers(report)

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return an evaluation for each configuration.

        :raises DeviceOutOfMemory: if the batch does not fit.
        :raises LitrajError: ``ERROR_ELEMENTS_NOT_COVERED``.
        """
        for configuration in configurations:
            check_covered(self.report, self._covered, configuration.numbers.tolist())
        with torch_memory():
            if self._batched and configurations:
                return self._evaluate_together(configurations)
            return [self._evaluate_one(configuration) for configuration in configurations]

    def _evaluate_one(self, configuration: Configuration) -> Evaluation:
        return self._evaluate_together([configuration])[0]

    def _evaluate_together(self, configurations: Sequence[Configuration]) -> list[Evaluation]:
        """Return the evaluations of at least one configuration, in one call of the model."""
        raise NotImplementedError

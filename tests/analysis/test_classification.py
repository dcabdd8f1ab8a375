"""Good and bad hops called by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aiida_litraj.analysis.benchmark_errors import Outcomes
from aiida_litraj.analysis.classification import classify

from .campaigns import campaign

OUTCOMES = Outcomes(
    'range',
    tuple('abcdefgh'),
    np.array([0.2, 0.5, 0.3, 0.4, 0.6, 0.7, 0.9, 0.8]),
    np.array([0.1, 0.6, 0.5, np.nan, 0.4, 0.8, 0.7, 0.2]),
    np.array([True, True, True, False, True, True, True, False]),
)
"""Four good hops (half an eV is still good), four bad ones; one of each failed."""


def test_calls_of_converged_hops() -> None:
    """Good: called good, bad, good; bad: called good, bad, bad."""
    calls = classify(OUTCOMES).converged_only.calls
    assert (calls.good_called_good, calls.good_called_bad, calls.bad_called_good, calls.bad_called_bad) == (2, 1, 1, 2)
    for name in ('accuracy', 'sensitivity', 'specificity', 'precision'):
        assert getattr(calls, name).value == pytest.approx(2 / 3), name
    assert calls.balanced_accuracy == pytest.approx(2 / 3)
    assert calls.majority == pytest.approx(1 / 2)


def test_a_failed_hop_is_called_wrongly_whichever_it_is() -> None:
    """Two more mistakes, one of each kind; in the area a good one behind all others and a bad one before them.

    Good at 0.1, 0.6, 0.5, inf; bad at 0.4, 0.8, 0.7, -inf: 3 + 2 + 2 + 0 pairs of 16. Converged only: 3 + 2 + 2 of 9.
    """
    found = classify(OUTCOMES)
    calls = found.failed_called_wrongly.calls
    assert (calls.good_called_good, calls.good_called_bad, calls.bad_called_good, calls.bad_called_bad) == (2, 2, 2, 2)
    assert calls.accuracy.value == 0.5
    assert found.failed_called_wrongly.roc is not None and found.converged_only.roc is not None
    assert found.failed_called_wrongly.roc.auc.value == pytest.approx(7 / 16)
    assert found.converged_only.roc.auc.value == pytest.approx(7 / 9)


def test_no_failure_is_ever_rewarded() -> None:
    one = campaign(np.random.default_rng(3), 20)
    n = len(one.reference)
    whole = Outcomes('forward', one.materials, one.reference, one.predicted, np.ones(n, dtype=bool))
    before = classify(whole).failed_called_wrongly
    assert before.roc is not None
    for hop in range(n):
        after = classify(replace(whole, converged=np.arange(n) != hop)).failed_called_wrongly
        assert after.roc is not None
        assert after.calls.accuracy.value <= before.calls.accuracy.value  # type: ignore[operator]
        assert after.roc.auc.value <= before.roc.auc.value + 1e-12  # type: ignore[operator]


def test_one_sided_sets_have_no_curve_and_say_what_lacks() -> None:
    found = classify(OUTCOMES, threshold_ev=2.0).converged_only
    assert found.roc is None
    assert found.calls.specificity.reason == 'no hop is bad'
    assert found.calls.balanced_accuracy is None
    assert found.calls.majority == 1.0
    none = classify(replace(OUTCOMES, converged=np.zeros(8, dtype=bool))).converged_only
    assert none.n_paths == 0 and none.calls.accuracy.reason == 'there is no path' and none.calls.majority is None


def test_a_threshold_that_is_none_is_refused() -> None:
    for wrong in (0.0, -0.5, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='has to be positive'):
            classify(OUTCOMES, threshold_ev=wrong)

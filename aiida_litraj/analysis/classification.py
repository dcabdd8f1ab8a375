"""Good hops told from bad ones by their barriers, as in a screening: what is called good, and whether it is.

A hop is good if its barrier is at most a threshold. LiTraj's paper tells fast from poor conductors, but what we know of
it states no threshold for barriers of DFT; ``GOOD_UP_TO_EV`` is that of A. K. Bheemaguli, P. Xiao and G. Sai Gautam,
Digital Discovery (2026), doi:10.1039/d5dd00534e.

Over all hops a failed one is called wrongly, whichever it is: a good one ranks behind, a bad one before all others. To
call each failure bad would pay a potential for failing on bad hops. Accuracy and area are then the least that any
treatment of the failures could give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .benchmark_errors import Outcomes
from .bootstrap import Bootstrap
from .estimates import Estimate, Mask, missing, share
from .roc import Roc, roc

GOOD_UP_TO_EV = 0.5


@dataclass(frozen=True)
class Calls:
    """Hops called good, with a predicted barrier of at most the threshold, or bad.

    :ivar accuracy: share of right calls; to call all alike would have ``majority``.
    :ivar balanced_accuracy: mean of sensitivity and specificity; 0.5 for calls at random.
    :ivar sensitivity: share of the good hops that are called good.
    :ivar specificity: share of the bad hops that are called bad.
    :ivar precision: share of good ones among those called good.
    """

    good_called_good: int
    good_called_bad: int
    bad_called_good: int
    bad_called_bad: int
    accuracy: Estimate
    balanced_accuracy: float | None
    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate
    majority: float | None


@dataclass(frozen=True)
class Classification:
    """How well a potential tells good hops from bad ones.

    :ivar roc: ``None`` unless there are both.
    """

    threshold_ev: float
    n_paths: int
    calls: Calls
    roc: Roc | None


@dataclass(frozen=True)
class Classifications:
    """Over the hops that converged, and over all with failed ones called wrongly."""

    converged_only: Classification
    failed_called_wrongly: Classification


def classify(
    outcomes: Outcomes, threshold_ev: float = GOOD_UP_TO_EV, bootstrap: Bootstrap | None = None
) -> Classifications:
    """Return how well a potential tells hops with a barrier of at most ``threshold_ev`` from others.

    :raises ValueError: if the threshold is not a positive number.
    """
    if not (np.isfinite(threshold_ev) and threshold_ev > 0.0):
        raise ValueError(f'a threshold of {threshold_ev} eV tells no barriers apart: it has to be positive')
    bootstrap = bootstrap or Bootstrap()
    good = outcomes.reference_ev <= threshold_ev
    wrong = np.where(good, np.inf, -np.inf)
    charged = Outcomes(
        outcomes.definition,
        outcomes.materials,
        outcomes.reference_ev,
        np.where(outcomes.converged, outcomes.predicted_ev, wrong),
        np.zeros_like(outcomes.converged),
    )
    return Classifications(
        _classification(outcomes.of(outcomes.converged), threshold_ev, bootstrap),
        _classification(charged, threshold_ev, bootstrap),
    )


def _classification(outcomes: Outcomes, threshold_ev: float, bootstrap: Bootstrap) -> Classification:
    good, called = outcomes.reference_ev <= threshold_ev, outcomes.predicted_ev <= threshold_ev
    names = np.asarray(outcomes.materials, dtype=str)

    def among(here: Mask, right: Mask, what: str) -> Estimate:
        return share(right[here], tuple(names[here]), bootstrap) if here.any() else missing(f'no hop is {what}')

    sensitivity, specificity = among(good, called, 'good'), among(~good, ~called, 'bad')
    both = None
    if sensitivity.value is not None and specificity.value is not None:
        both = 0.5 * (sensitivity.value + specificity.value)
    calls = Calls(
        good_called_good=int((good & called).sum()),
        good_called_bad=int((good & ~called).sum()),
        bad_called_good=int((~good & called).sum()),
        bad_called_bad=int((~good & ~called).sum()),
        accuracy=share(good == called, outcomes.materials, bootstrap),
        balanced_accuracy=both,
        sensitivity=sensitivity,
        specificity=specificity,
        precision=among(called, good, 'called good'),
        majority=max(float(good.mean()), float((~good).mean())) if len(good) else None,
    )
    curve = roc(outcomes.predicted_ev, good, outcomes.materials, bootstrap)
    return Classification(threshold_ev, outcomes.n_paths, calls, curve)

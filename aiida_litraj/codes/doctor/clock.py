"""Do the clocks here and there agree."""

from __future__ import annotations

import time

from .case import Case
from .finding import Answer, broken, ok, warning

LATE_S, WRONG_S = 10.0, 300.0
"""Beyond the first, times in logs and in the accounting mislead; beyond the second, munge and Kerberos refuse."""


def now() -> float:
    """Return the time here, in seconds since the epoch."""
    return time.time()


def check(case: Case) -> Answer:
    """Ask for the time there, and compare with that here halfway between question and answer."""
    before = now()
    status, stdout, stderr = case.login.run('date +%s.%N')
    after = now()
    try:
        there = float(stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return warning(f'date there said {(stdout or stderr).strip()[:60]!r} ({status})', 'See what date does there')
    skew = there - (before + after) / 2
    # What the answer took may have gone all one way.
    surely = max(abs(skew) - (after - before) / 2, 0.0)
    text = f'the clock of {case.there.label} is {abs(skew):.1f} s {"ahead" if skew > 0 else "behind"}'
    if surely > WRONG_S:
        return broken(
            text, 'Set the clock that is wrong (timedatectl; chronyc makestep), here or by the site', skew=skew
        )
    if surely > LATE_S:
        return warning(text, 'Set the clock that is wrong: timedatectl set-ntp true', skew=skew)
    return ok(text if surely else f'agree, as far as {after - before:.1f} s for an answer tell', skew=round(skew, 3))

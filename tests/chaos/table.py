"""The summary of a campaign: a row for each fault, a column for each kind of chain.

``python -m tests.chaos.table campaign.json`` prints that of a campaign that was run with ``--json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.campaign import Campaign
    from tests.chaos.flights import Flight

LEGEND = (
    'Cells: chains that met the fault = went on by themselves + paused and played + launched again after an exit code; '
    'then work beyond that of the undisturbed chain, median and most. A chain that met several faults is in each row.'
)


@dataclass(frozen=True)
class Row:
    """What chains of one kind that met a fault did. A chain that met several is in the row of each.

    :ivar went_on: ended well at the first launch, and no process of theirs was paused.
    :ivar more: median and largest number of model calls, epochs or labels beyond those of the undisturbed chain.
    """

    fault: str
    kind: str
    met: int
    went_on: int
    played: int
    coded: int
    more: tuple[float, int]
    violations: int


def rows(campaign: Campaign) -> list[Row]:
    """Return the rows, in the order of the faults."""
    made = []
    for fault in campaign.faults:
        for kind in campaign.kinds:
            met = [
                flight
                for flight in campaign.ended
                if flight.kind.name == kind and any(hit.fault is fault for hit in flight.hits)
            ]
            if met:
                made.append(row_of(fault.name, kind, met, campaign.references[kind][1]))
    return made


def row_of(fault: str, kind: str, met: Sequence[Flight], reference: int) -> Row:
    more = [max(0, flight.work - reference) for flight in met]
    return Row(
        fault=fault,
        kind=kind,
        met=len(met),
        went_on=sum(not flight.codes and not flight.paused for flight in met),
        played=sum(bool(flight.paused) and not flight.codes for flight in met),
        coded=sum(bool(flight.codes) for flight in met),
        more=(median(more), max(more)),
        violations=sum(bool(flight.violations) for flight in met),
    )


def markdown(result: Mapping[str, Any]) -> str:
    """Return the table of a result as Markdown."""
    kinds = list(result['undisturbed'])
    lines = [['fault', 'injected', *kinds, 'violations'], ['---'] * (len(kinds) + 3)]
    for fault, injected in result['by_fault'].items():
        met = {row['kind']: row for row in result['rows'] if row['fault'] == fault}
        violations = sum(row['violations'] for row in met.values())
        lines.append([fault, str(injected), *(cell(met.get(kind)) for kind in kinds), str(violations)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def cell(row: Mapping[str, Any] | None) -> str:
    """Return what chains of one kind did that met a fault."""
    if row is None:
        return '–'
    # a chain that was paused and launched again is counted with those
    played = row['met'] - row['went_on'] - row['coded']
    return f'{row["met"]} = {row["went_on"]} + {played} + {row["coded"]}; {row["more"][0]:g}, {row["more"][1]}'


def as_dict(campaign: Campaign, seed: int, seconds: float) -> dict[str, object]:
    """Return everything as JSON can hold it."""
    return {
        'seed': seed,
        'seconds': round(seconds),
        'injected': len(campaign.injections),
        'by_fault': by_fault(campaign),
        'chains': len(campaign.ended),
        'unfinished': {flight.label: flight.evidence() for flight in campaign.flights},
        'undisturbed': {name: work for name, (_, work) in campaign.references.items()},
        'rows': [asdict(row) for row in rows(campaign)],
        'injections': [asdict(injection) for injection in campaign.injections],
        'paused': sorted({said for flight in campaign.ended for said in flight.paused}),
        'codes': {flight.label: flight.codes for flight in campaign.ended if flight.codes},
        'remedies': {flight.label: flight.remedies for flight in campaign.ended if flight.remedies},
        'violations': {flight.label: flight.violations for flight in campaign.ended if flight.violations},
    }


def by_fault(campaign: Campaign) -> dict[str, int]:
    """Return how often each fault was injected."""
    names = [injection.name for injection in campaign.injections]
    return {fault.name: names.count(fault.name) for fault in campaign.faults}


if __name__ == '__main__':
    print(f'{markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))}\n\n{LEGEND}')

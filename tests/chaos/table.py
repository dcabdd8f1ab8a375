"""The summary of a campaign: a row for each fault and kind of chain that it met."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from tests.chaos.campaign import Campaign
from tests.chaos.flights import Flight

COLUMNS = ('fault', 'chain', 'met', 'went on', 'paused, played', 'code, launched again', 'more work', 'violations')


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

    def cells(self) -> tuple[str, ...]:
        more = f'{self.more[0]:g} / {self.more[1]}'
        numbers = (self.met, self.went_on, self.played, self.coded, more, self.violations)
        return (self.fault, self.kind, *map(str, numbers))


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
        played=sum(bool(flight.paused) for flight in met),
        coded=sum(bool(flight.codes) for flight in met),
        more=(median(more), max(more)),
        violations=sum(bool(flight.violations) for flight in met),
    )


def markdown(lines: Iterable[Row]) -> str:
    """Return the table as Markdown."""
    cells = [COLUMNS, tuple('---' for _ in COLUMNS), *(row.cells() for row in lines)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in cells)


def as_dict(campaign: Campaign, seed: int, seconds: float) -> dict[str, object]:
    """Return everything as JSON can hold it."""
    return {
        'seed': seed,
        'seconds': round(seconds),
        'injected': len(campaign.injections),
        'by_fault': by_fault(campaign),
        'chains': len(campaign.ended),
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

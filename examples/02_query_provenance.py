"""Where did that barrier come from? Questions to the graph that the first example made, and a drawing of it.

    verdi run examples/02_query_provenance.py

Which potential, which checksum, which crystal and which version of the engine gave the newest barrier; which barriers
are below 0.6 eV. The last line is one JSON object with the main figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from aiida.orm import Dict, QueryBuilder, StructureData, WorkChainNode
from aiida.plugins import CalculationFactory, DataFactory, WorkflowFactory

from aiida_litraj.report.provenance import draw_provenance, save_graph

HERE = Path(sys.argv[0]).resolve().parent
BarrierWorkChain = WorkflowFactory('litraj.barrier')
NebCalculation = CalculationFactory('litraj.neb')
PathData = DataFactory('litraj.path')
PotentialData = DataFactory('litraj.potential')


def newest_barrier(uuid: str | None) -> tuple[WorkChainNode, Dict]:
    """Return chain and barrier: of the chain with this uuid, or of the newest one that has a barrier."""
    query = QueryBuilder()
    query.append(BarrierWorkChain, filters={'uuid': uuid} if uuid else {}, tag='chain', project='*')
    query.append(Dict, with_incoming='chain', edge_filters={'label': 'barrier'}, project='*')
    query.order_by({'chain': {'ctime': 'desc'}}).limit(1)
    found = query.first()
    if found is None:
        sys.exit('There is no barrier yet: verdi run examples/01_barrier_li3po4.py')
    return found[0], found[1]


def ancestor(barrier: Dict, kind: Any, project: list[str], **filters: Any) -> list[Any] | None:
    """Return what is asked of the newest ancestor of a kind, ``None`` if there is none."""
    query = QueryBuilder().append(kind, tag='ancestor', project=project, **filters)
    query.append(Dict, with_ancestors='ancestor', filters={'id': barrier.pk})
    found = query.order_by({'ancestor': {'ctime': 'desc'}}).first()
    return None if found is None else list(found)


def origin_of(barrier: Dict) -> dict[str, Any]:
    """Return potential, checksum, crystal and engine of a barrier, each asked of the graph."""
    potential = ancestor(
        barrier, PotentialData, ['label', 'attributes.family', 'attributes.sha256', 'attributes.licence']
    )
    crystal = ancestor(barrier, StructureData, ['uuid', 'label'])
    # The account of the job says what really ran: the engine reports its own version and the checksum it found.
    query = QueryBuilder().append(NebCalculation, tag='job', project=['uuid'])
    query.append(Dict, with_incoming='job', edge_filters={'label': 'results'}, tag='results')
    query.add_projection(
        'results', ['attributes.audit.engine_version', 'attributes.audit.potential.sha256', 'attributes.audit.device']
    )
    query.append(Dict, with_ancestors='results', filters={'id': barrier.pk})
    job = query.order_by({'job': {'ctime': 'desc'}}).first()
    return {
        'potential': potential[0] if potential else None,
        'family': potential[1] if potential else None,
        'potential_sha256': potential[2] if potential else None,
        'licence': potential[3] if potential else None,
        'structure_uuid': crystal[0] if crystal else None,
        'structure': crystal[1] if crystal else None,
        'job_uuid': job[0] if job else None,
        'engine_version': job[1] if job else None,
        'sha256_in_the_engine': job[2] if job else None,
        'device': job[3] if job else None,
    }


def barriers_below(limit_ev: float) -> list[tuple[str, float, str]]:
    """Return uuid of the chain, barrier in eV and potential of every converged barrier below a limit."""
    query = QueryBuilder().append(BarrierWorkChain, tag='chain', project=['uuid'])
    query.append(PotentialData, with_outgoing='chain', tag='potential', project=['label'])
    query.append(
        Dict,
        with_incoming='chain',
        edge_filters={'label': 'barrier'},
        filters={'attributes.barrier_ev': {'<': limit_ev}, 'attributes.converged': True},
        project=['attributes.barrier_ev'],
    )
    rows = {(uuid, barrier_ev, label) for uuid, label, barrier_ev in query.iterall()}
    return sorted(rows, key=lambda row: row[1])


def main() -> None:
    """Ask, print the answers, and draw the graph."""
    parser = argparse.ArgumentParser(description='Provenance of a barrier.')
    parser.add_argument('--uuid', help='chain of the barrier; by default the newest one')
    parser.add_argument('--below', type=float, default=0.6, metavar='EV', help='list barriers below this')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'provenance_li3po4.png')
    arguments = parser.parse_args()

    chain, barrier = newest_barrier(arguments.uuid)
    origin = origin_of(barrier)
    print(f'Barrier {barrier["barrier_ev"]:.3f} eV of chain {chain.pk} ({chain.uuid}) came from')
    for question in ('potential', 'potential_sha256', 'structure', 'engine_version', 'device'):
        print(f'  {question.replace("_", " "):<17} {origin[question]}')

    low = barriers_below(arguments.below)
    print(f'Barriers below {arguments.below:g} eV:')
    for uuid, barrier_ev, label in low:
        print(f'  {barrier_ev:.3f} eV  {label}  {uuid}')

    picture = save_graph(draw_provenance(barrier), arguments.picture)
    if picture is None:
        print('No picture: the program dot is missing, install graphviz (for example: apt install graphviz)')
    else:
        print(f'Picture {picture}')
    print(
        json.dumps(
            {
                'uuid': chain.uuid,
                'barrier_ev': barrier['barrier_ev'],
                **origin,
                'n_below': len(low),
                'below_ev': arguments.below,
                'picture': None if picture is None else str(picture),
            }
        )
    )


if __name__ == '__main__':
    main()

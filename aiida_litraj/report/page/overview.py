"""The table over all tasks: what each potential scored in each, a column for each task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .tables import column, table


@dataclass
class _Task:
    """A column: the first score of it, the chains it is of, and by potential what it scored."""

    first: Mapping[str, Any]
    chains: list[int] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


def over_all_tasks(sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table of what each potential scored in each task; potentials are the same if their nodes are.

    Scores are of the same task, and so in the same column, if both ``head`` and ``task`` are the same. Without a task
    nothing is known to compare a chain with, and its scores have a column of their own; so has that of a potential
    which was put to the same task before.
    """
    tasks: dict[tuple[Hashable, ...], _Task] = {}
    called: dict[str, str] = {}
    for section in sections:
        for score in section['scores']:
            potential = score['potential'] or score['label']
            key: tuple[Hashable, ...] = (score['head'], score.get('task') or section['pk'])
            if key in tasks and potential in tasks[key].values:
                key = (*key, section['pk'])
            task = tasks.setdefault(key, _Task(score))
            task.values[potential] = score['value']
            task.chains += [] if section['pk'] in task.chains else [section['pk']]
            called.setdefault(potential, score['label'])
    columns = [column('Potential')]
    counts = Counter(one.first['head'] for one in tasks.values())
    for one in tasks.values():
        head, about = one.first['head'], one.first.get('about') or ''
        name = head if counts[head] == 1 else f'{head} (chain {", ".join(map(str, one.chains))})'
        columns.append(column(name, 'estimate', one.first.get('digits'), one.first['unit'], about))
    rows = [[label, *(one.values.get(potential) for one in tasks.values())] for potential, label in called.items()]
    notes = dict.fromkeys(one.first.get('about') for one in tasks.values())
    note = ' '.join(['Numbers in a column are of the same task by the same settings.', *(one for one in notes if one)])
    return table('Potentials over all tasks', columns, rows, note=note)

"""Drawing of the provenance of a node: the data and calculations it came from, back to what a person gave."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calculations.validation import PROBE_EXTRA
from .captions import formula
from .style import BLUE, GREY, INK
from .words import counted

if TYPE_CHECKING:
    from aiida.orm import Node
    from graphviz import Digraph

_FONT = 'Helvetica'
_GIVEN, _MADE, _RESULT, _PROCESS = '#fff4d6', '#ffffff', '#d8e8f8', '#eceff3'
_TITLES = {
    'StructureData': 'Crystal',
    'PotentialData': 'Potential',
    'PathData': 'Path',
    'PortableCode': 'Engine, shipped with the job',
    'InstalledCode': 'Engine, installed',
    'RemoteData': 'Checkpoint',
}


def draw_provenance(node: Node) -> Digraph:
    """Return the graph of a node's ancestors along the links of data: what it was computed from, and by what.

    Yellow is what a person gave, blue the node itself; the chains that called the calculations are left out.
    """
    from graphviz import Digraph

    graph = Digraph(
        graph_attr={'rankdir': 'TB', 'nodesep': '0.25', 'ranksep': '0.45', 'bgcolor': 'white', 'pad': '0.1'},
        node_attr={'fontname': _FONT, 'fontsize': '11', 'fontcolor': INK, 'color': GREY, 'penwidth': '1.0'},
        edge_attr={'fontname': _FONT, 'fontsize': '9', 'fontcolor': GREY, 'color': GREY, 'arrowsize': '0.7'},
    )
    nodes, links = _ancestry(node)
    names = {source: label for source, _, label in links}
    for member in nodes:
        _add(graph, member, names.get(member.pk, ''), is_result=member.pk == node.pk)
    for source, target, label in links:
        graph.edge(str(source), str(target), label=f' {label.replace("__", ".")} ')
    return graph


def save_graph(graph: Digraph, path: Path, dots_per_inch: int = 150) -> Path | None:
    """Write the drawing and return its path; ``None`` if graphviz's program ``dot`` is missing.

    Then the drawing's source lies beside where it would be, under the ending ``.dot``.

    :raises ValueError: if the ending is not ``.png``, ``.svg`` or ``.pdf``.
    """
    from graphviz import ExecutableNotFound

    from .style import check_format

    kind = check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == 'png':
        graph = graph.copy()
        graph.graph_attr['dpi'] = str(dots_per_inch)
    try:
        path.write_bytes(graph.pipe(format=kind))
    except ExecutableNotFound:
        path.with_suffix('.dot').write_text(graph.source, encoding='utf-8')
        return None
    return path


def _ancestry(node: Node) -> tuple[list[Node], list[tuple[int, int, str]]]:
    """Return the node with all its ancestors, and the links among them as source, target and label."""
    from aiida.common.links import LinkType

    found: dict[int, Node] = {node.pk: node}
    links: list[tuple[int, int, str]] = []
    todo = [node]
    while todo:
        member = todo.pop(0)
        for link in member.base.links.get_incoming(link_type=(LinkType.CREATE, LinkType.INPUT_CALC)).all():
            links.append((link.node.pk, member.pk, link.link_label))
            if link.node.pk not in found:
                found[link.node.pk] = link.node
                todo.append(link.node)
    return [found[pk] for pk in sorted(found)], sorted(links)


def _add(graph: Digraph, node: Node, name: str, is_result: bool) -> None:
    from aiida.orm import ProcessNode

    lines = describe(node)
    if isinstance(node, ProcessNode):
        graph.node(
            str(node.pk),
            label=_label(str(node.process_label), lines),
            shape='box',
            style='filled',
            fillcolor=_PROCESS,
            penwidth='0',
        )
        return
    title = _TITLES.get(type(node).__name__, name.rpartition('__')[2].replace('_', ' ').capitalize() or 'Result')
    fill = _RESULT if is_result else _GIVEN if node.creator is None else _MADE
    graph.node(
        str(node.pk),
        label=_label('Barrier' if is_result and 'barrier_ev' in _content(node) else title, lines),
        shape='box',
        style='filled,rounded',
        fillcolor=fill,
        color=BLUE if is_result else GREY,
    )


def _label(title: str, lines: list[str]) -> str:
    """Return an HTML-like label: the title in bold, the lines smaller under it."""
    rows = [f'<tr><td><b>{html.escape(title)}</b></td></tr>']
    rows += [
        f'<tr><td><font point-size="9.5" color="{GREY}">{html.escape(line)}</font></td></tr>' for line in lines if line
    ]
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{"".join(rows)}</table>>'


def _content(node: Any) -> dict[str, Any]:
    return node.get_dict() if type(node).__name__ == 'Dict' else {}


def describe(node: Any) -> list[str]:
    """Return the lines that tell a node from others of its kind; the last is its pk."""
    describer = _DESCRIBERS.get(type(node).__name__)
    lines = [] if describer is None else describer(node)
    return [*lines, f'pk {node.pk}']


def _structure(node: Any) -> list[str]:
    symbols = [node.get_kind(site.kind_name).symbol for site in node.sites]
    return [f'{formula(symbols)}, {counted(len(symbols), "atom")}']


def _potential(node: Any) -> list[str]:
    return [f'{node.label} ({node.family})', f'sha256 {str(node.sha256)[:16]}…' if node.sha256 else '']


def _path(node: Any) -> list[str]:
    return [
        f'{counted(node.n_images, "image")} of {counted(node.natoms, "atom")}',
        '' if node.energies is None else 'with energies and forces',
    ]


def _code(node: Any) -> list[str]:
    report = node.base.extras.get(PROBE_EXTRA, None) or {}
    version = f'version {report["engine_version"]}' if 'engine_version' in report else ''
    return [node.label, version]


def _dict(node: Any) -> list[str]:
    content = node.get_dict()
    if 'barrier_ev' in content:
        return [f'{content["barrier_ev"]:.3f} eV', '' if content['converged'] else 'not converged']
    if 'source' in content and 'target' in content and 'mechanism' in content:
        target = content['target'] if isinstance(content['target'], int) else tuple(content['target'])
        return [f'site {content["source"]} → {target}, cell {tuple(content["offset"])}', content['mechanism']]
    if 'min_image_distance_ang' in content:
        return [f'supercell ≥ {content["min_image_distance_ang"]:g} Å', counted(content['n_images'], 'image')]
    if 'band' in content:
        return [node.label, f'{content["band"]["optimizer"]}, {content["band"]["fmax_ev_per_ang"]:g} eV/Å']
    audit = content.get('audit') or {}
    if audit:
        return [f'engine {audit["engine_version"]}', f'{audit["model_calls"]} model calls on {audit["device"]}']
    return [node.label]


def _job(node: Any) -> list[str]:
    cached = 'from the cache' if node.base.caching.is_created_from_cache else ''
    return [f'on {node.computer.label}' if node.computer is not None else '', cached]


_DESCRIBERS = {
    'StructureData': _structure,
    'PotentialData': _potential,
    'PathData': _path,
    'PortableCode': _code,
    'InstalledCode': _code,
    'Dict': _dict,
    'CalcJobNode': _job,
}

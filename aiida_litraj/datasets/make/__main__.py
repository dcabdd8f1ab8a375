"""``python -m aiida_litraj.datasets.make NAME FOLDER``: made data from the command line."""

from __future__ import annotations

import argparse
import ast
import sys

from .registry import MAKERS, make


def main() -> None:
    """Make a data set and say where it is."""
    parser = argparse.ArgumentParser(
        prog='python -m aiida_litraj.datasets.make',
        description='Made data in the layout of a published set: real crystals, numbers from a toy potential.',
    )
    parser.add_argument('name', choices=MAKERS, metavar='NAME', help=', '.join(MAKERS))
    parser.add_argument('folder', metavar='FOLDER', help='where to put it, under its own name')
    parser.add_argument('-n', type=int, default=10, help='number of entries (10)')
    parser.add_argument('--zip', action='store_true', help='as the zip that one downloads')
    parser.add_argument('--atoms', type=int, help='atoms of each configuration (MPLiTrj and MPLiTrj_subsample)')
    parser.add_argument('--seed', type=int, default=0, help='the same seed gives the same bytes (0)')
    parser.add_argument(
        '--option', action='append', default=[], metavar='NAME=VALUE', help='any other option of the set, repeatable'
    )
    arguments = parser.parse_args()
    options = dict(_option(text, parser) for text in arguments.option)
    if arguments.atoms is not None:
        options['atoms'] = arguments.atoms
    try:
        place = make(
            arguments.name, arguments.folder, n=arguments.n, seed=arguments.seed, zipped=arguments.zip, **options
        )
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(f'{place}\n')


def _option(text: str, parser: argparse.ArgumentParser) -> tuple[str, object]:
    name, equals, value = text.partition('=')
    if not equals:
        parser.error(f'--option {text}: write NAME=VALUE')
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


if __name__ == '__main__':
    main()

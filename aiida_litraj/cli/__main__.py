"""``python -m aiida_litraj.cli``: the command line of this very interpreter."""

from .root import main

main(prog_name='aiida-litraj')

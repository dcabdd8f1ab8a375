"""Parsers of what the engine left: retrieved files in, nodes out; nothing is unpickled."""

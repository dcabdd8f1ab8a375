"""The official trainers of potential families behind one interface: each runs as a program of its own."""

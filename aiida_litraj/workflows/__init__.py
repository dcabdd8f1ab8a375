"""Chains: restarting NEB jobs, and from a crystal to a barrier."""

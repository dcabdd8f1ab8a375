"""Calculation jobs that run the engine, and calculation functions."""

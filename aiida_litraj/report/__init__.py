"""Figures: they draw what the analysis and the graph say and compute nothing."""

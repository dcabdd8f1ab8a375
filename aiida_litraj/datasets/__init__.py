"""Data sets: cards, what they are read from, and importers; all but the storing knows nothing of AiiDA."""

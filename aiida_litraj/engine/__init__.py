"""What runs on the compute node. Knows nothing of AiiDA; torch is imported only by the family that needs it."""

"""What `scripts/faults.py` is made of: inputs to merge, a judge, and ways to break a build."""

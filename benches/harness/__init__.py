"""The harness behind benches/run.py; benches/README.md is the map of these files."""

"""The demo: simulated frames, and their truth."""

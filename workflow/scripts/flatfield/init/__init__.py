"""Proposing a configuration for a folder of frames (`make init`)."""

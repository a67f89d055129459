"""Frames: decoding camera raws and FITS, their metadata and colour filter arrays, writing DNG."""

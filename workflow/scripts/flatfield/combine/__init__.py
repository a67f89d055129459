"""Combining frames per pixel in bounded memory: methods, kernels, scaling, demosaicing."""

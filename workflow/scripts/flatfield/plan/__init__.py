"""Planning a run: the configuration, sets and lights and what is made of them, resources, digests of code."""

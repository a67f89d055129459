"""Reporting: the page and its sentences, figures, what is written for other programs, messages of a run."""

"""Offset and dark frames of a set or light, and how frames are read.

Paths of products begin with ``<results>``, which Snakemake puts in the place of the folder of the results.
"""

from dataclasses import dataclass

from flatfield.plan import selection

RESULTS = "<results>"


@dataclass(frozen=True)
class Offsets:
    """Offset and dark frames of a set or light: paths by kind, ``bias`` or ``dark``, and where their products lie."""

    folder: str
    frames: dict
    root: str
    reading: bool
    combine: dict

    def has(self, kind):
        """Whether there are frames of a kind."""
        return bool(self.frames.get(kind))

    def paths(self, kind):
        """Frames of a kind."""
        return self.frames[kind]

    def master(self, kind):
        """Master of a kind, or nothing."""
        return f"{RESULTS}/{self.folder}/{kind}.fits" if self.has(kind) else []

    def inventory(self, kind):
        """Table of a kind, or nothing."""
        return f"{RESULTS}/{self.folder}/{kind}.tsv" if self.has(kind) else []

    def labels(self, kind):
        """Names of the frames in tables."""
        return list(selection.label_frames(self.frames[kind], self.root).values())

    def inspecting(self, kind):
        """What the inventory of a kind needs."""
        return {"kind": kind, "files": self.labels(kind), "reading": self.reading}

    def combining(self, kind):
        """What the combination of a kind needs."""
        return {"files": self.labels(kind), "reading": self.reading, "combine": self.combine}


def reading_of(options, cfa):
    """What `flatfield.raw.decode.Reading` needs: of the options of a set, and a colour pattern or None."""
    if not cfa and not options["area"]:
        return options["overscan"]
    return {"overscan": options["overscan"], "cfa": cfa, "area": options["area"]}

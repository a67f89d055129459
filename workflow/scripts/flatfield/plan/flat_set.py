"""A set of flat frames: files, products, and what its rules need."""

from dataclasses import dataclass
from itertools import combinations

from flatfield.plan import configuration, handover, selection
from flatfield.plan.offsets import RESULTS, Offsets, reading_of


class Divides:
    """What lights are divided by.

    Attributes
    ----------
    config : dict
        The whole configuration of the lights.
    """

    config: dict

    def path(self, product):
        """Path of a product."""
        raise NotImplementedError

    @property
    def master(self):
        """File that has to be read first, if there is one."""
        return []

    @property
    def applied_flat(self):
        """Mosaic that lights are divided by and that is modelled: with or without its light source."""
        names = {"flat": "flat_cfa.fits", "response": "response.fits"}
        return self.path(names[self.config["apply"]["flat_kind"]])

    @property
    def divisor(self):
        """Mosaic that lights are divided by: all of it, or a part."""
        part = self.config["apply"]["flat_part"]
        return self.applied_flat if part == "whole" else self.path(f"models/{part}.fits")


@dataclass(frozen=True)
class FlatSet(Divides):
    """A set of flat frames.

    Attributes
    ----------
    name : str
    options : dict
        ``sets.<name>`` of the configuration.
    config : dict
        The whole configuration.
    found : flatfield.plan.selection.FrameSet
        Its frames, subsets, and names of frames.
    simulated : bool
        Whether the demo simulates it.
    """

    name: str
    options: dict
    config: dict
    found: selection.FrameSet
    simulated: bool = False

    def path(self, product):
        """Path of a product."""
        return f"{RESULTS}/{self.name}/{product}"

    @property
    def frames(self):
        return self.found.frames

    @property
    def first_frame(self):
        return self.frames[0]

    @property
    def title(self):
        return self.options["title"] or self.name

    @property
    def labels(self):
        """Names of the frames in tables."""
        return [self.found.labels[path] for path in self.frames]

    @property
    def subset_names(self):
        return list(self.found.subsets)

    @property
    def rotations(self):
        """Of the camera in the subsets, degrees."""
        return [subset.rotation for subset in self.found.subsets.values()]

    @property
    def aims(self):
        """Of the camera in the subsets, half diagonals, or ``free``."""
        return [subset.aim for subset in self.found.subsets.values()]

    @property
    def pairs(self):
        """The two subsets of each pair, by its name."""
        return {f"{a}-{b}": (a, b) for a, b in combinations(self.found.subsets, 2)}

    @property
    def offsets(self):
        config = self.config
        return Offsets(self.name, {"bias": self.found.bias}, config["raw_root"], self.reading, config["combine"])

    @property
    def reading(self):
        """How frames are read: whether the overscan is subtracted, or that with the colour pattern and the area."""
        return reading_of(self.options, self.options["cfa"])

    # Files of rules

    @property
    def bias_frames(self):
        return self.found.bias

    @property
    def bias(self):
        return self.offsets.master("bias")

    @property
    def bias_inventory(self):
        return self.offsets.inventory("bias")

    @property
    def subsets(self):
        return [self.path(f"subsets/{name}.fits") for name in self.found.subsets]

    @property
    def unaimed(self):
        """Combined mosaics of the subsets with the aim of the first, where others have another one."""
        aims = dict(zip(self.subset_names, self.aims, strict=True))
        same = [self.path(f"subsets/{name}.fits") for name, aim in aims.items() if aim == self.aims[0]]
        return same if len(same) < len(aims) else []

    @property
    def differences(self):
        return [self.path(f"differences/{pair}.fits") for pair in self.pairs]

    def pair(self, name):
        """Combined mosaics of a pair of subsets."""
        return [self.path(f"subsets/{subset}.fits") for subset in self.pairs[name]]

    @property
    def compare_with(self):
        """Old masters that the new one is compared with."""
        return configuration.masters_of(self.options["compare_with"] or self.config["compare_with"])

    @property
    def validity(self):
        """The table that says whether old masters still hold, where there are some."""
        return self.tables("validity") if self.compare_with else []

    def handed_over(self, programs):
        """Masters for other programs, and a script."""
        return [path.format(set=self.name) for program in programs for path in handover.masters(program).values()]

    @property
    def truth(self):
        """The true light source, where the demo simulated the set."""
        return f"<resources>/demo/truth/{self.name}.fits" if self.simulated else []

    @property
    def plots(self):
        """Figures; a set with one subset has no differences, and one without old masters no comparison with them."""
        names = ["subsets", *(["differences", "illumination"] if self.pairs else []), "flat", "noise", "models"]
        names += ["validity"] if self.compare_with else []
        return [self.path(f"plots/{name}.png") for name in names]

    def tables(self, *names):
        """Tables by their names."""
        return [self.path(f"{name}.tsv") for name in names]

    @property
    def products(self):
        """All that is made of the set."""
        fits = ("flat_cfa", "flat", "models/model", "models/detail", "illumination", "response", "response_rgb")
        measured = ("flat_check", "stats", "noise", "uniformity", "models", "drift", "camera")
        tables = (*measured, "illumination", "illumination_tests", "geometry")
        return [
            *self.tables(*tables),
            *self.validity,
            *(
                self.path(name)
                for name in (*(f"{each}.fits" for each in fits), "models/lensfun.xml", "interactive.html")
            ),
            *self.differences,
            *self.plots,
            *self.handed_over(self.config["handover"]),
        ]

    # Options of rules

    @property
    def owners(self):
        """Name of the subset that claims each frame; empty where none does."""
        return self.found.owners

    @property
    def named_after(self):
        return {"name": self.name}

    @property
    def inspecting(self):
        options, config = self.options, self.config
        acceptance = {
            "mismatch": options["mismatch"],
            "exposure_span": options["exposure_span"],
            "bad_frames": options["bad_frames"] or config["bad_frames"],
            "min_frames": config["min_frames"],
            "frame_tests": config["frame_tests"],
            "guard": config["guard"],
            "cfa": options["cfa"],
        }
        return {**self.selecting, "subsets": self.owners, "acceptance": acceptance}

    @property
    def drifting(self):
        return {"subsets": self.owners}

    @property
    def inventorying(self):
        return {
            "subsets": self.owners,
            "rotations": [self.found.subsets[owner].rotation if owner else None for owner in self.owners],
            "sliced": any("slice" in subset for subset in self.options["subsets"].values()),
            "check_times": self.options["check_times"],
        }

    @property
    def selecting(self):
        """How frames are found in their table and read."""
        return {"files": self.labels, "reading": self.reading}

    @property
    def combining(self):
        return {**self.selecting, "combine": self.config["combine"]}

    def combining_subset(self, name):
        """What the combination of a subset needs."""
        subset = self.found.subsets[name]
        files = [self.found.labels[path] for path in subset.frames]
        return {**self.combining, "files": files, "rotation": subset.rotation, "aim": subset.aim}

    @property
    def debayering(self):
        return {**self.combining, "debayer": self.config["debayer"]}

    @property
    def separating(self):
        poses = {"names": self.subset_names, "rotations": self.rotations, "aims": self.aims}
        own = {key: self.options[key] for key in ("aim_of", "trust_angles")}
        crop_factor = self.config["models"]["crop_factor"] if self.options["aim_of"] == "sky" else None
        return {**poses, **own, "crop_factor": crop_factor, **self.config["illumination"]}

    @property
    def comparing(self):
        return {"names": self.subset_names, "pairs": self.pairs}

    @property
    def measuring_noise(self):
        options = {
            "combine": self.config["combine"],
            "center": self.config["regions"]["center"],
            "wanted_error_percent": self.config["noise"]["wanted_error_percent"],
            "reading": self.reading,
        }
        files = {"files": self.labels, "bias_files": self.offsets.labels("bias")}
        aimed = [name for name, aim in zip(self.subset_names, self.aims, strict=True) if aim != self.aims[0]]
        return {**files, "subsets": self.owners, "aimed": aimed, "options": options}

    @property
    def named_among_all(self):
        return {"name": self.name, "names": list(self.config["sets"])}

    @property
    def titled(self):
        return {"title": self.title}

    @property
    def plotting_noise(self):
        return {"title": self.title, **self.config["noise"]}

    # Bands of rows, where combinations are cut into several jobs

    def bands(self, product):
        """Numbers of the bands that a product is put together from; what LibRaw debayers is combined in one go."""
        libraw = product == "flat" and self.config["debayer"]["algorithm"] != "bilinear"
        number = 1 if libraw else self.config["bands"]
        return range(1, number + 1) if number > 1 else range(0)

    def band_paths(self, product):
        """Files of these bands."""
        return [self.path(f"bands/{product}/{band}.fits") for band in self.bands(product)]

    def frames_of(self, product):
        """Frames of a product, ``subsets/<subset>``, ``flat_cfa`` or ``flat``."""
        subset = product.partition("/")[2]
        return self.found.subsets[subset].frames if subset else self.frames

    def whole_frames(self, product):
        """The frames of a product that is combined in one go; none where bands of it are put together."""
        return [] if self.bands(product) else self.frames_of(product)

    def combining_band(self, product, band):
        """What the combination of a band needs."""
        files = [self.found.labels[path] for path in self.frames_of(product)]
        step = self.config["debayer"]["step"] if product == "flat" else 1
        which = {"product": product.partition("/")[0], "band": [int(band) - 1, self.config["bands"]], "step": step}
        return {**self.combining, "files": files, **which}

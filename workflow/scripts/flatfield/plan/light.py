"""Light frames that are calibrated with one flat: files, products, and what their rules need."""

from dataclasses import dataclass, replace
from functools import cached_property

from flatfield.files.names import is_fits
from flatfield.plan import handover, selection
from flatfield.plan.finished_set import FinishedSet, ImportedFlat
from flatfield.plan.flat_set import FlatSet
from flatfield.plan.offsets import RESULTS, Offsets, reading_of
from flatfield.plan.tracking import digest_code

#: Names of the products of a frame, by their kind in `apply.products`, and what is handed over to Siril.
PRODUCTS = {
    "mosaic": "{frame}.fits",
    "rgb": "{frame}_rgb.fits",
    "tiff": "{frame}_rgb.tif",
    "dng": "{frame}.dng",
    "picture": "{frame}.png",
    "siril": f"{handover.FOLDERS['siril']}/pp_{{frame}}.fit",
    "siril_colour": f"{handover.FOLDERS['siril']}/colour/{{frame}}.fit",
    "pixinsight_colour": f"{handover.FOLDERS['pixinsight']}/{{frame}}.fit",
}
#: Kinds that FITS lights do not have: whether these have colours is known only once they are read.
OF_RAWS = ("dng", "siril_colour", "pixinsight_colour")
#: Frames of a light up to which each has figures.
MOST_SHOWN = 4


@dataclass(frozen=True)
class Light:
    """Light frames that are calibrated with one flat.

    Attributes
    ----------
    name : str
    options : dict
        ``lights.<name>`` of the configuration.
    config : dict
        The whole configuration.
    frames : dict
        Path by the stem that names its products.
    offsets : Offsets
        Its own offset and dark frames.
    flat : FlatSet, FinishedSet or ImportedFlat
        Whose flat is applied.
    is_picture : bool
        Whether the frames are developed pictures, which are diagnosed and not calibrated.
    simulated : bool
        Whether the demo simulates it.
    """

    name: str
    options: dict
    config: dict
    frames: dict
    offsets: Offsets
    flat: FlatSet | FinishedSet | ImportedFlat
    is_picture: bool
    simulated: bool = False

    def path(self, product):
        """Path of a product."""
        return f"{RESULTS}/lights/{self.name}/{product}"

    @cached_property
    def labels(self):
        """Name of each frame in tables, by its path."""
        return selection.label_frames(list(self.frames.values()), self.config["raw_root"])

    @property
    def leaves_out(self):
        """Whether frames that cannot be read or do not fit are left out; pictures are not inspected before."""
        return self.options["mismatch"] == "exclude" and not self.is_picture

    def without(self, files):
        """The light without frames that are left out, given by their names in tables."""
        kept = {stem: path for stem, path in self.frames.items() if self.labels[path] not in files}
        return replace(self, frames=kept)

    # Files of rules

    @property
    def paths(self):
        return list(self.frames.values())

    def frame(self, stem):
        """Path of a frame."""
        return self.frames[stem]

    @property
    def bias(self):
        """Master of its own offset frames, or of those of its flat; none where neither has some."""
        return self.offsets.master("bias") or self.flat.bias

    @property
    def bias_inventory(self):
        """Table of these offset frames."""
        return self.offsets.inventory("bias") or self.flat.bias_inventory

    @property
    def dark(self):
        return self.offsets.master("dark")

    @property
    def dark_inventory(self):
        return self.offsets.inventory("dark")

    @property
    def inventory(self):
        """Table of the frames; pictures have none."""
        return [] if self.is_picture else self.path("frames.tsv")

    @property
    def flat_inspected(self):
        return self.flat.path("inspected.tsv")

    @property
    def noise(self):
        return self.flat.path("noise.tsv")

    @property
    def linearity(self):
        """How linear the sensor is, where that is to be corrected."""
        return self.flat.path("linearity.tsv") if self.config["apply"]["linearity"] == "correct" else []

    @property
    def recorded(self):
        """The flat with the levels at which it was taken."""
        return self.flat.path("flat_cfa.fits")

    @property
    def divisor(self):
        """Mosaic that the light is divided by."""
        return self.flat.divisor

    @property
    def model(self):
        """The smooth model, where only colour or brightness is corrected."""
        return [] if self.config["apply"]["correct"] == "both" else self.flat.path("models/model.fits")

    @property
    def whole_flat(self):
        return self.flat.applied_flat

    @property
    def debayered_flat(self):
        names = {"flat": "flat.fits", "response": "response_rgb.fits"}
        return self.flat.path(names[self.config["apply"]["flat_kind"]])

    @property
    def light_source(self):
        """What is known of the light source that the flat holds, or held."""
        names = ("flat_cfa.fits", "response.fits", "illumination_tests.tsv", "illumination.tsv", "geometry.tsv")
        return [self.flat.path(name) for name in names]

    def of_frames(self, table):
        """Tables of the frames in a folder."""
        return [self.path(f"{table}/{stem}.tsv") for stem in self.frames]

    @property
    def vignetting_tables(self):
        return self.of_frames("vignetting")

    @property
    def diagnosis_tables(self):
        return self.of_frames("diagnosis")

    @property
    def falloff_tables(self):
        return self.of_frames("falloff")

    @property
    def star_tables(self):
        return self.of_frames("stars")

    @property
    def is_linear(self):
        """Whether raw signals are divided, and not developed pictures as the notebook did."""
        return not self.is_picture and self.config["apply"]["light"] == "linear"

    @property
    def is_fits(self):
        """Whether the frames are FITS, of which no DNG is made."""
        return any(map(is_fits, self.frames.values()))

    @property
    def kinds(self):
        """Kinds of products that can be made of it: some of camera raws only."""
        return [kind for kind in PRODUCTS if not (kind in OF_RAWS and self.is_fits)]

    def named(self, kind):
        """Products of a kind, of all frames."""
        return [self.path(PRODUCTS[kind].format(frame=stem)) for stem in self.frames]

    @property
    def mosaics(self):
        """Calibrated frames."""
        return self.named("mosaic")

    @property
    def siril_frames(self):
        """Calibrated frames that are handed over to Siril."""
        return self.named("siril")

    def handed_over(self, programs):
        """Products for other programs: calibrated frames for Siril, and its script."""
        kinds = [kind for kind in self.kinds if kind in handover.kinds_for(programs) and self.is_linear]
        files = [path for kind in kinds for path in self.named(kind)]
        return [*files, self.path(handover.STACKING)] if "siril" in kinds else files

    @property
    def shown(self):
        """Frames with figures: all of a few, of many the first, one in the middle and the last."""
        stems = list(self.frames)
        return stems if len(stems) <= MOST_SHOWN else [stems[0], stems[len(stems) // 2], stems[-1]]

    @property
    def figures(self):
        """Figures of the frames that have some."""
        endings = ["diagnosis", *([] if self.is_picture else ["channels"])]
        return [self.path(f"{stem}_{ending}.png") for stem in self.shown for ending in endings]

    @property
    def plots(self):
        """These, and pictures before and after side by side."""
        compared = [self.path(f"{stem}_comparison.png") for stem in self.shown if self.is_linear]
        return self.figures + compared

    @property
    def tables(self):
        names = ["diagnosis", "falloff"]
        names += [] if self.is_picture else ["vignetting"]
        names += ["stars"] if self.is_linear and len(self.frames) > 1 else []
        return [self.path(f"{name}.tsv") for name in (*names, *(["agreement"] if self.is_linear else []))]

    @property
    def products(self):
        """All that is made of the light."""
        if self.is_linear:
            kinds = [kind for kind in self.kinds if kind in self.config["apply"]["products"]]
        else:
            kinds = [] if self.is_picture else ["rgb", "picture"]
        products = [path for kind in kinds for path in self.named(kind)]
        return products + self.plots + self.tables + self.handed_over(self.config["handover"])

    # Options of rules

    @property
    def named_after(self):
        return {"name": self.name}

    @property
    def reading(self):
        return reading_of(self.flat.options, self.options["cfa"] or self.flat.options["cfa"])

    @property
    def selecting(self):
        return {"files": list(self.labels.values()), "reading": self.reading, "exclude": self.leaves_out}

    @property
    def guarding(self):
        own = self.offsets.has("bias") or self.offsets.has("dark")
        return {
            "guard": self.config["guard"],
            "mismatch": self.options["mismatch"],
            "borrowed_bias": bool(self.flat.bias) and not own,
            "has_bias": bool(self.bias),
        }

    @property
    def master(self):
        """File of the master of another program that it is divided by."""
        return self.flat.master

    @property
    def importing(self):
        """What reading the master of another program needs."""
        parts = self.flat.name.rsplit("/", 2)[-2:]
        return {"file": "/".join(parts), "cfa": self.options["cfa"], "degree": self.config["illumination"]["degree"]}

    def label(self, stem):
        """How a frame is found in its table."""
        return {"file": self.labels[self.frames[stem]]}

    def reading_frame(self, stem):
        """How a frame is found, read, and was inspected."""
        return {**self.label(stem), "reading": self.reading, "inspection": digest_code("inventory_lights.py")}

    def applying(self, stem):
        """What the division of a frame needs."""
        apply, regions = self.config["apply"], self.config["regions"]
        keys = ("normalise", "correct", "lowest_flat", "flat_kind")
        boxes = ("center",) if self.is_linear else ("center", "corner")
        return {
            **self.reading_frame(stem),
            "apply": {key: apply[key] for key in keys},
            "regions": {name: regions[name] for name in boxes},
        }

    @property
    def measuring_vignetting(self):
        """What the ratios of its frames need."""
        apply, regions = self.config["apply"], self.config["regions"]
        return {
            "apply": {key: apply[key] for key in ("normalise", "correct")},
            "regions": {name: regions[name] for name in ("center", "corner")},
        }

    def plotting(self, stem):
        """What the figures of a frame need."""
        flat_kind = self.config["apply"]["flat_kind"]
        return {**self.reading_frame(stem), "flat_kind": flat_kind, "title": f"{self.name}, {stem}"}

    def diagnosing(self, stem):
        """What the diagnosis of a frame needs."""
        apply = self.config["apply"]
        kind = "file" if self.is_picture else apply["light"]
        title = f"{self.name}, {stem}"
        return {**self.reading_frame(stem), "kind": kind, "flat_kind": apply["flat_kind"], "title": title}

"""The plan of a run: all that the configuration asks for."""

from dataclasses import dataclass
from pathlib import Path

from flatfield.demo import names as demo
from flatfield.plan import configuration, finished_set, handover, selection
from flatfield.plan.flat_set import FlatSet
from flatfield.plan.light import PRODUCTS, Light
from flatfield.plan.offsets import RESULTS, Offsets, reading_of


@dataclass(frozen=True)
class Plan:
    """All that a run makes.

    Attributes
    ----------
    config : dict
        Validated.
    sets, lights : dict
        `FlatSet` and `Light` by name.
    preset : dict or None
        Configuration of the preset whose results stand beside these.
    preset_name : str or None
    offsets : dict
        `Offsets` of sets and lights by their folder.
    """

    config: dict
    sets: dict[str, FlatSet]
    lights: dict[str, Light]
    preset: dict | None
    preset_name: str | None
    offsets: dict[str, Offsets]

    @classmethod
    def make(cls, config, preset=None, demo_folder="resources/demo", stored=()):
        """Find all frames that a configuration names.

        Parameters
        ----------
        config : dict
            Validated.
        preset : dict, optional
            Validated, see `flatfield.plan.configuration.read_preset`.
        demo_folder : str
            Where the demo's frames are simulated.
        stored : collection of str
            Files in a storage.

        Raises
        ------
        ConfigurationError
            If frames are not there, belong to several subsets, or names collide.
        """
        root, folder = config["raw_root"], demo_folder
        planned = {path for name in demo.SETS for path in demo.flat_files(folder, name, config["demo"]["frames"])}
        planned |= {*demo.light_files(folder), *demo.aimed_files(folder, config["demo"]["frames"])}
        known = planned | set(stored)
        sets = {}
        for name, options in config["sets"].items():
            found = selection.resolve_set(name, options, root, known)
            sets[name] = FlatSet(name, options, config, found, name in demo.SETS and set(found.frames) <= planned)
            configuration.check_old_flats(name, sets[name].compare_with, known)
        frames = {
            name: selection.resolve_lights(name, options, root, known) for name, options in config["lights"].items()
        }
        pictures, lights = selection.find_pictures(frames), {}
        selection.check_stems(frames)
        for name, options in config["lights"].items():
            flat = sets.get(options["flat"]) or finished_set.find_flat(name, options["flat"], config, known)
            own = selection.resolve_offsets(name, options, root, known)
            reading = reading_of(flat.options, options["cfa"] or flat.options["cfa"])
            of_light = Offsets(f"lights/{name}/offsets", own, root, reading, config["combine"])
            simulated = set(frames[name].values()) <= planned
            lights[name] = Light(name, options, config, frames[name], of_light, flat, name in pictures, simulated)
        preset_name = Path(config["compare"]).stem if preset else None
        offsets = {flats.offsets.folder: flats.offsets for flats in sets.values()}
        offsets |= {light.offsets.folder: light.offsets for light in lights.values()}
        plan = cls(config, sets, lights, preset, preset_name, offsets)
        raws = [path for each in sets.values() for path in each.frames]
        raws += [path for light in plan.raw_lights for path in light.paths]
        configuration.check_libraw_frames(config, raws)
        if preset:
            configuration.check_libraw_frames(preset, raws, f"preset {config['compare']}: ")
        return plan

    @property
    def raw_lights(self):
        """Lights that are calibrated."""
        return [light for light in self.lights.values() if not light.is_picture]

    @property
    def excluding(self):
        """Lights of which frames may be left out once they are read."""
        return [light for light in self.lights.values() if light.leaves_out]

    @property
    def imported(self):
        """Lights that are divided by a master which is read, as a regular expression of their names."""
        found = [light.name for light in self.lights.values() if isinstance(light.flat, finished_set.ImportedFlat)]
        return configuration.alternatives(found)

    @property
    def preset_lights(self):
        """Lights that the preset analyses as well: those whose flat a set makes."""
        return [light for light in self.raw_lights if light.flat.name in self.sets]

    @property
    def combining_jobs(self):
        """Jobs that combine frames: of subsets, and two masters a set."""
        return sum(len(each.found.subsets) + 2 for each in self.sets.values())

    @property
    def is_linear(self):
        """Whether raw signals are divided, and not developed pictures as the notebook did."""
        return self.config["apply"]["light"] == "linear"

    @property
    def linear_lights(self):
        """Names of the lights that are calibrated, as a regular expression."""
        return configuration.alternatives(light.name for light in self.lights.values() if light.is_linear)

    @property
    def developed_lights(self):
        """Names of the lights that are diagnosed as pictures, as a regular expression."""
        return configuration.alternatives(light.name for light in self.lights.values() if not light.is_linear)

    @property
    def exports(self):
        """Lights (a regular expression) and files by kind that a job writes of a frame, by the end of the rule's name.

        One job writes what `apply.products` lists, of raws and (without DNG) of FITS lights; others are made on demand.
        """
        listed = {*self.config["apply"]["products"], *handover.kinds_for(self.config["handover"])}
        found = {}
        for end, of_fits in (("", False), ("_fits", True)):
            lights = [light for light in self.lights.values() if light.is_linear and light.is_fits == of_fits]
            names = configuration.alternatives(light.name for light in lights)
            kinds = [kind for kind in lights[0].kinds if kind != "mosaic"] if lights else []
            files = {kind: f"{RESULTS}/lights/{{light}}/{PRODUCTS[kind]}" for kind in kinds}
            made = {kind: path for kind, path in files.items() if kind in listed}
            found |= {end: (names, made)} if made else {}
            found |= {f"{end}_{kind}": (names, {kind: files[kind]}) for kind in files if kind not in made}
        return found

    @property
    def demo_sets(self):
        """Sets that the demo simulates."""
        return [each for each in self.sets.values() if each.simulated]

    @property
    def demo_lights(self):
        """Calibrated mosaics of the lights that the demo simulates."""
        return [
            light.path(f"{stem}.fits") for light in self.lights.values() if light.simulated for stem in light.frames
        ]

    # Files and options of rules over all sets and lights

    def of_sets(self, product):
        """A product of all sets."""
        return [each.path(product) for each in self.sets.values()]

    def tables(self, *names):
        """Tables of all sets."""
        return [path for each in self.sets.values() for path in each.tables(*names)]

    @property
    def validity_tables(self):
        """Of the sets that are compared with old masters."""
        return [path for each in self.sets.values() for path in each.validity]

    @property
    def validity_plots(self):
        return [each.path("plots/validity.png") for each in self.sets.values() if each.compare_with]

    @property
    def light_inventories(self):
        return [light.inventory for light in self.raw_lights]

    @property
    def light_tables(self):
        """Tables of lights that the report shows."""
        return [path for light in self.lights.values() for path in light.tables if not path.endswith("/falloff.tsv")]

    @property
    def plots(self):
        """Figures of the report: of each set, then of each light."""
        of_sets = [path for flats in self.sets.values() for path in flats.plots]
        return of_sets + [path for light in self.lights.values() for path in light.plots]

    @property
    def preset_tables(self):
        """Vignetting, causes and statistics under the preset, for each light and its set."""
        flats = sorted({light.flat.name for light in self.preset_lights})
        names = [
            f"lights/{light.name}/{table}.tsv" for light in self.preset_lights for table in ("vignetting", "diagnosis")
        ]
        names += [f"{name}/stats.tsv" for name in flats]
        return [f"{RESULTS}/{self.preset_name}/{name}" for name in names if self.preset]

    @property
    def preset_plots(self):
        """Figures of lights under the preset."""
        paths = [path for light in self.preset_lights for path in light.figures]
        return [path.replace(RESULTS, f"{RESULTS}/{self.preset_name}", 1) for path in paths if self.preset]

    @property
    def demo_table(self):
        """The demo's comparison with the truth, where the demo's frames are analysed."""
        linear = self.config["apply"]["light"] == "linear"
        return [f"{RESULTS}/demo.tsv"] if self.demo_sets and linear else []

    @property
    def products(self):
        """All that a run makes, but for what holds of all sets."""
        of_sets = [path for flats in self.sets.values() for path in flats.products]
        return of_sets + [path for light in self.lights.values() for path in light.products]

    @property
    def handed_over(self):
        """Products for the programs that the configuration lists, or for all that there are."""
        programs = self.config["handover"] or list(handover.FOLDERS)
        of_sets = [path for flats in self.sets.values() for path in flats.handed_over(programs)]
        return of_sets + [path for light in self.lights.values() for path in light.handed_over(programs)]

    @property
    def checking(self):
        """What can be checked once the inventories are made."""
        return {
            "names": list(self.sets),
            "flats": {light.name: light.flat.name for light in self.raw_lights},
            "excluding": [light.name for light in self.excluding],
            "regions": self.config["regions"],
            "combine": self.config["combine"],
            "step": self.config["debayer"]["step"],
        }

    @property
    def debayered_pixels(self):
        """Bytes of a pixel while it is debayered (LibRaw makes three planes), and every n-th frame that is."""
        debayer = self.config["debayer"]
        return {"itemsize": 2 if debayer["algorithm"] == "bilinear" else 6, "step": debayer["step"]}

    @property
    def comparing_sets(self):
        return {"pairs": {name: list(each.pairs) for name, each in self.sets.items()}}

    @property
    def comparing_truth(self):
        regions = {name: self.config["regions"][name] for name in ("center", "corner")}
        aimed = {each.name: each.separating for each in self.demo_sets if each.unaimed}
        return {"names": [each.name for each in self.demo_sets], "aimed": aimed, "regions": regions}

    @property
    def measuring_boxes(self):
        """What the statistics of the debayered master need."""
        return {key: self.config[key] for key in ("regions", "combine", "debayer")}

    def reporting(self, rules):
        """What the report says of its making.

        Parameters
        ----------
        rules : list of dict
            Name, product and digest of the code of each rule.
        """
        preset = self.preset and {"name": self.preset_name, "light": self.preset["apply"]["light"]}
        return {"config": configuration.hide_absolute_paths(self.config), "preset": preset, "rules": rules}

    def wildcards(self):
        """Regular expression of each wildcard: exactly the names that there are."""
        subsets = [label for each in self.sets.values() for label in each.found.subsets]
        names = {
            "set": self.sets,
            "subset": subsets,
            "pair": [pair for each in self.sets.values() for pair in each.pairs],
            "light": self.lights,
            "owner": self.offsets,
            "product": ["flat_cfa", "flat", *(f"subsets/{label}" for label in subsets)],
            "frame": [stem for light in self.lights.values() for stem in light.frames],
            "demo_set": demo.SETS,
        }
        expressions = {name: configuration.alternatives(values) for name, values in names.items()}
        return expressions | {"band": "[0-9]+", "offset": "bias|dark"}

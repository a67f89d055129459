"""Flats that this run does not make: sets of another project that have run, and masters of any program."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from flatfield.files.errors import ConfigurationError
from flatfield.files.names import is_fits
from flatfield.plan.flat_set import Divides
from flatfield.plan.offsets import RESULTS

#: Files of a set that its lights need.
NEEDED = (
    *("flat_cfa.fits", "response.fits", "inspected.tsv", "noise.tsv"),
    *("illumination_tests.tsv", "illumination.tsv", "geometry.tsv"),
)
#: What the frames of a set may be read with.
READING = {"overscan": False, "cfa": None, "area": None}


@dataclass(frozen=True)
class FinishedSet(Divides):
    """A set whose results are there.

    Attributes
    ----------
    name : str
        As the configuration names it: its folder.
    config : dict
        The whole configuration of the lights.
    options : dict
        How its frames were read: overscan, cfa, area.
    """

    name: str
    config: dict
    options: dict = field(default_factory=lambda: dict(READING))

    def path(self, product):
        """Path of a product."""
        return str(Path(os.path.expanduser(self.name), product))

    @property
    def bias(self):
        """Master of its offset frames, if it has one."""
        return self._if_there("bias.fits")

    @property
    def bias_inventory(self):
        return self._if_there("bias.tsv")

    def _if_there(self, product):
        return self.path(product) if os.path.exists(self.path(product)) else []


@dataclass(frozen=True)
class ImportedFlat(Divides):
    """A master of any program, which is read once for each light that is divided by it.

    Attributes
    ----------
    name : str
        Its path, as the configuration has it.
    config : dict
        The whole configuration of the light.
    light : str
        Name of the light.
    """

    name: str
    config: dict
    light: str
    bias = bias_inventory = ()
    options = READING

    @property
    def master(self):
        """Its file."""
        return os.path.expanduser(self.name)

    def path(self, product):
        """Path of what is read of it; nothing is known of its light source, so that its response is the flat."""
        return f"{RESULTS}/lights/{self.light}/flat/{product.replace('response.fits', 'flat_cfa.fits')}"


def is_path(flat):
    """Whether a light names a file or folder as its flat, and not a set."""
    return "/" in flat or is_fits(flat)


def find_flat(light, flat, config, stored=()):
    """The flat of a light that no set of the configuration makes.

    Parameters
    ----------
    light, flat : str
        Name of the light, and path of a folder ``results/<set>`` or of a master in FITS or XISF.
    config : dict
        Validated.
    stored : collection of str
        Files in a storage.

    Returns
    -------
    FinishedSet or ImportedFlat

    Raises
    ------
    ConfigurationError
        If it is not there, not complete, or lacks what `apply` asks for.
    """
    key, place = f"key `lights.{light}.flat`", Path(os.path.expanduser(flat))
    found: FinishedSet | ImportedFlat
    if place.is_dir():
        lacking = [name for name in NEEDED if not (place / name).is_file()]
        if lacking:
            raise ConfigurationError(
                f"{key}: {flat} is no folder of a set that has run (it lacks {lacking[0]}); name results/<set> of "
                "another project, or a master in FITS or XISF"
            )
        found = FinishedSet(flat, config, _reading_of(place))
    elif is_fits(flat) and (place.is_file() or flat in stored):
        found = ImportedFlat(flat, config, light)
    else:
        raise ConfigurationError(
            f"{key}: {flat} is not there; name a set, a folder results/<set> of another project, or a master in "
            "FITS or XISF, from the folder of the configuration"
        )
    apply = config["apply"]
    asked = {
        "flat_part": apply["flat_part"] != "whole" and f"models/{apply['flat_part']}.fits",
        "correct": apply["correct"] != "both" and "models/model.fits",
        "light": apply["light"] != "linear" and "response_rgb.fits",
        "linearity": apply["linearity"] == "correct" and "linearity.tsv",
    }
    for option, product in asked.items():
        if product and not (place.is_dir() and (place / product).is_file()):
            raise ConfigurationError(
                f"{key}: `apply.{option}: {apply[option]}` needs {product} of the set, which {flat} does not have"
            )
    return found


def _reading_of(folder):
    """How the frames of a finished set were read, as its run has written down; the defaults where that is lost."""
    try:
        record = yaml.safe_load((folder.parent / "provenance.yaml").read_text(encoding="utf-8"))
        options = record["config"]["sets"][folder.name]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        options = {}
    return {name: options.get(name, default) for name, default in READING.items()}

"""The configuration: validation against the schema, defaults, presets."""

import difflib
import math
import os
import re
from itertools import combinations
from pathlib import Path

import jsonschema
import yaml

from flatfield.files.errors import ConfigurationError
from flatfield.files.names import is_fits
from flatfield.files.tables import UNKNOWN

#: Names under ``results/`` that sets must not take.
RESERVED_NAMES = ("lights", "logs", "benchmarks")
#: Bytes of the name of a file or folder.
LONGEST_NAME = 255
#: Values that a configuration may have, all aliases unfolded.
MOST_VALUES = 20_000


def read_yaml(path):
    """Read a YAML file as a dictionary.

    Raises
    ------
    ConfigurationError
        If it is missing or not a YAML mapping.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} must hold `key: value` pairs")
    return content


def check_duplicate_keys(path):
    """Check that no key of a YAML file is written twice, as the first would be lost in silence.

    Raises
    ------
    ConfigurationError
        Naming key and line; or if aliases make it too large, or endless.
    """

    left = MOST_VALUES

    def check(node):
        nonlocal left
        left -= 1
        if left < 0:
            raise ConfigurationError(
                f"its anchors and aliases expand to more than {MOST_VALUES} values; write them out"
            )
        if isinstance(node, yaml.SequenceNode):
            for entry in node.value:
                check(entry)
        if isinstance(node, yaml.MappingNode):
            names = [key.value for key, _ in node.value]
            for index, (key, value) in enumerate(node.value):
                if key.value in names[:index]:
                    line = key.start_mark.line + 1
                    raise ConfigurationError(f"key `{key.value}` occurs twice (again in line {line}); rename one")
                check(value)

    with open(path, encoding="utf-8") as file:
        check(yaml.compose(file, yaml.SafeLoader))


def validate(config, schema):
    """Check a configuration and fill in the defaults of the schema.

    Parameters
    ----------
    config, schema : dict

    Returns
    -------
    dict
        A complete copy.

    Raises
    ------
    ConfigurationError
        One sentence: key, what was found, what was expected.
    """
    _check_values(config)
    validator = jsonschema.Draft202012Validator(schema)
    problems = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.absolute_path)))
    if problems:
        raise ConfigurationError(_explain(problems[0], schema))
    config = _fill(config, schema, schema)
    _check_names(config)
    _check_debayering(config)
    _check_combination(config["combine"])
    if config["apply"]["light"] == "picture" and config["apply"]["flat_part"] != "whole":
        raise ConfigurationError("key `apply.flat_part` must be whole where `apply.light` is picture")
    return config


def _check_combination(combine):
    missing = [key for key in ("gain_e_per_dn", "read_noise_e") if combine[key] is None]
    if combine["method"] == "ccd_clip" and missing:
        raise ConfigurationError(
            f"key `combine.{missing[0]}` must be given for the method ccd_clip; noise.tsv has what the flats show"
        )


def merge(base, preset):
    """Return `base` updated by `preset`, mappings key by key (as Snakemake does with ``--configfile``)."""
    if not (isinstance(base, dict) and isinstance(preset, dict)):
        return preset
    return base | {key: merge(base.get(key), value) for key, value in preset.items()}


def _check_values(value, key=""):
    """Check that no number is infinite or NaN, and that no text ends within."""
    if isinstance(value, dict):
        for name, entry in value.items():
            _check_values(entry, f"{key}.{name}" if key else str(name))
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"key `{key}` is {value}; give a finite number")
    elif isinstance(value, str) and "\0" in value:
        raise ConfigurationError(f"key `{key}` contains a NUL character; remove it")


def read_preset(config, schema):
    """The configuration changed by the preset that ``compare`` names, for the lights and the sets that they need.

    Parameters
    ----------
    config : dict
        Validated.
    schema : dict

    Returns
    -------
    dict or None
        Validated; None where there is no preset, or no light to compare.

    Raises
    ------
    ConfigurationError
        Naming the preset.
    """
    path = config["compare"]
    if path is None or not config["lights"]:
        return None
    if not re.fullmatch(r"\w[\w.-]*", Path(path).stem, re.ASCII):
        raise ConfigurationError(f"key `compare`: results cannot be named after {path}; rename it")
    changed = merge(config, read_yaml(path) | {"compare": None})
    changed["lights"] = {name: each for name, each in changed["lights"].items() if each["flat"] in changed["sets"]}
    if not changed["lights"]:
        return None
    changed.pop("pathvars", None)  # the results of the preset stand beneath those of this configuration
    try:
        changed = validate(changed, schema)
    except ConfigurationError as error:
        raise ConfigurationError(f"preset {path}: {error}") from error
    if Path(path).stem in config["sets"]:
        raise ConfigurationError(f"key `compare`: the preset {path} has the name of a set; rename one of them")
    flats = {light["flat"] for light in changed["lights"].values()}
    return changed | {"sets": {name: changed["sets"][name] for name in changed["sets"] if name in flats}}


def _explain(error, schema):
    """Turn a jsonschema error into a sentence."""
    key = ".".join(map(str, error.absolute_path))
    where = f"key `{key}`" if key else "the configuration"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in error.instance if name not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known keys: {', '.join(known)}"
        return f"{where} has an unknown key `{unknown}`; {hint}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{where} lacks the key `{missing}`; add it (config.yaml shows an example of each)"
    if "propertyNames" in error.absolute_schema_path:
        return (
            f"{where} has the name '{error.instance}'; use letters, digits, '_', '-' and '.', "
            "and do not begin with '-' or '.'"
        )
    expected = error.schema.get("description", "") if error.validator != "enum" else ""
    rule = {
        "type": lambda: f"must be of type {_words(error.validator_value)}",
        "enum": lambda: f"must be one of {_words(error.validator_value)}",
        "minimum": lambda: f"must be at least {error.validator_value}",
        "maximum": lambda: f"must be at most {error.validator_value}",
        "exclusiveMinimum": lambda: f"must be more than {error.validator_value}",
        "minProperties": lambda: "must not be empty",
        "pattern": lambda: "does not have the right form",
        "anyOf": lambda: f"must be {' or '.join(map(_alternative, error.validator_value))}",
    }.get(error.validator, lambda: "is not expected here")()
    return f"{where} is {error.instance!r} but {rule}" + (f" ({expected.rstrip('.')})" if expected else "")


def _alternative(schema):
    """One of the kinds of values that a key may have."""
    if "const" in schema:
        return str(schema["const"])
    if "minLength" in schema or "minItems" in schema:
        return f"{schema['type']} that is not empty"
    bounds = [f"{word} {schema[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema]
    return " ".join([_words(schema["type"]), *bounds])


def _words(values):
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values)


def _fill(value, schema, root):
    """Fill in defaults, following references."""
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **{key: entry for key, entry in schema.items() if key != "$ref"}}
    if not isinstance(value, dict):
        kinds = [each.get("type") for each in schema.get("anyOf", [schema])]
        whole = "integer" in kinds or ["integer", "null"] in kinds
        return int(value) if whole and isinstance(value, float) else value  # JSON schema takes 3.0 for an integer
    properties, further = schema.get("properties", {}), schema.get("additionalProperties")
    filled = {}
    for name, entry in properties.items():
        entry = {**root["$defs"][entry["$ref"].rsplit("/", 1)[1]], **entry} if "$ref" in entry else entry
        if name in value or "default" in entry:
            filled[name] = _fill(value.get(name, entry.get("default")), entry, root)
    for name in value:
        if name not in properties:
            filled[name] = _fill(value[name], further, root) if isinstance(further, dict) else value[name]
    return filled


def _check_names(config):
    """Check what a schema cannot say: names that collide, and references."""
    if not config["sets"] and not config["lights"]:
        raise ConfigurationError("key `sets` is empty and there are no `lights`; give frames of flats, or of lights")
    for name in config["sets"]:
        if name.lower() in RESERVED_NAMES or name.lower().endswith((".tsv", ".html", ".log")):
            raise ConfigurationError(
                f"the set name '{name}' is taken by a file or folder of the results; rename the set"
            )
    for name, options in config["sets"].items():
        _check_subset_names(name, list(options["subsets"]))
    for name, light in config["lights"].items():
        if light["flat"] not in config["sets"] and not ("/" in light["flat"] or is_fits(light["flat"])):
            close = difflib.get_close_matches(light["flat"], config["sets"], n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"sets: {', '.join(config['sets'])}"
            raise ConfigurationError(f"key `lights.{name}.flat` names the unknown set '{light['flat']}'; {hint}")
        if light["frames"] is None:
            raise ConfigurationError(f"key `lights.{name}.frames` is empty; give a pattern of light frames")


def _check_subset_names(name, labels):
    """Check that tables can hold the names, and that each pair of subsets has a name of its own."""
    if UNKNOWN in labels:
        raise ConfigurationError(
            f"key `sets.{name}.subsets` has the name '{UNKNOWN}', which stands for no name; rename it"
        )
    pairs = [f"{a}-{b}" for a, b in combinations(labels, 2)]
    twice = next((pair for pair in pairs if pairs.count(pair) > 1), None)
    if twice:
        raise ConfigurationError(f"key `sets.{name}.subsets`: '{twice}' would name two differences; rename a subset")


def _check_debayering(config):
    """Check that LibRaw, where it is asked to debayer, can do so."""
    algorithm = config["debayer"]["algorithm"]
    if algorithm != "bilinear":
        for name, options in config["sets"].items():
            for key in ("bias", "overscan", "cfa", "area"):
                if options[key]:
                    raise ConfigurationError(
                        f"key `debayer.algorithm` is {algorithm}, but LibRaw knows no {key} of set {name}; use bilinear"
                    )


def old_flats(config):
    """Paths of the masters that a configuration compares with, or divides lights by, and does not make; each once.

    Parameters
    ----------
    config : dict
        Validated, or as it is written.
    """
    named = [config.get("compare_with"), *(each.get("compare_with") for each in config["sets"].values())]
    found = [path for each in named for path in masters_of(each)]
    for flat in [each["flat"] for each in (config.get("lights") or {}).values() if each["flat"] not in config["sets"]]:
        if os.path.isdir(flat):  # a set that has run: its masters and tables, and how its frames were read
            folder = Path(flat)
            found += [str(path) for path in sorted(folder.glob("*")) if path.is_file()]
            found += [str(path) for path in folder.parent.glob("provenance.yaml")]
        else:
            found.append(flat)
    return list(dict.fromkeys(found))


def masters_of(named):
    """Paths of old masters from one or several, or none; of a folder, the FITS and XISF files in it.

    Parameters
    ----------
    named : str or list of str or None
    """
    found = []
    for path in [named] if isinstance(named, str) else named or []:
        inside = sorted(os.listdir(path)) if os.path.isdir(path) else []
        found += [os.path.join(path, name) for name in inside if is_fits(name)] or [path]
    return found


def check_old_flats(name, paths, stored=()):
    """Refuse old masters that are not there, or of which two have the same name.

    Parameters
    ----------
    name : str
        Of the set.
    paths : list of str
    stored : collection of str
        Files in a storage, and those that the run makes.

    Raises
    ------
    ConfigurationError
    """
    for path in paths:
        if os.path.isdir(path):
            raise ConfigurationError(
                f"set {name} is to be compared with the masters in {path}: no FITS or XISF file is there"
            )
        if path not in stored and not os.path.isfile(path):
            raise ConfigurationError(
                f"set {name} is to be compared with {path}, which is not there; give the path of an old master flat "
                "(`compare_with`, or FLAT of `make check`) from the folder of the configuration"
            )


def check_libraw_frames(config, frames, where=""):
    """Check that LibRaw is asked for camera raws only.

    Parameters
    ----------
    config : dict
        Validated.
    frames : list of str
    where : str
        Of which preset the configuration is, for the message.

    Raises
    ------
    ConfigurationError
        Naming the first FITS frame where the configuration asks for one of LibRaw's algorithms or pictures.
    """
    asked = {"debayer.algorithm": config["debayer"]["algorithm"], "apply.light": config["apply"]["light"]}
    for key, value in asked.items():
        fits = next((path for path in frames if is_fits(path)), None)
        if value not in ("bilinear", "linear") and fits:
            remedy = "set `compare: null`" if where else "use bilinear and linear"
            raise ConfigurationError(
                f"{where}key `{key}` is {value}, but LibRaw cannot debayer FITS frames such as {fits}; {remedy}"
            )


def hide_absolute_paths(value):
    """A copy of a configuration whose absolute paths are shortened to their last part, for the report."""
    if isinstance(value, dict):
        return {key: hide_absolute_paths(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [hide_absolute_paths(entry) for entry in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return f".../{Path(value).name}"
    return value


def check_results_folder(folder, names):
    """Check that results can be written.

    Parameters
    ----------
    folder : str
    names : iterable of str
        Folders in it that will be made.

    Raises
    ------
    ConfigurationError
        If the folder, or the nearest one above it that exists, is not a writable folder; if a relative path climbs
        out of the working folder; or if a file has the name of a folder that will be made.
    """
    if folder.startswith("~"):
        raise ConfigurationError(f"key `pathvars.results` is {folder}; write the home folder out")
    if ".." in Path(folder).parts:
        raise ConfigurationError(f"key `pathvars.results` is {folder}, which climbs out; give an absolute path")
    if "\0" in folder or any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(folder).parts):
        raise ConfigurationError(f"key `pathvars.results` is {folder[:50]!r}..., which is not a possible folder name")
    for path in (Path(folder) / name for name in names):
        if os.path.lexists(path) and not path.is_dir():
            raise ConfigurationError(f"results cannot be written to {path}, which is not a folder; move it away")
    existing = os.path.abspath(folder)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing) or not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigurationError(f"results cannot be written to {folder}: {existing} is not a writable folder")


def results_of(config):
    """Folder of the results of a configuration as it is written."""
    return Path(config.get("pathvars", {}).get("results", "results"))


def read_finished(path, name):
    """Read the configuration of a run that has finished.

    Parameters
    ----------
    path : str
        Of the configuration.
    name : str
        Of a product, below the folder of the results.

    Returns
    -------
    config : dict
        As it is written.
    results : pathlib.Path
        Folder of the results.
    product : pathlib.Path

    Raises
    ------
    ConfigurationError
        If that product is not there.
    """
    config = read_yaml(path)
    results = results_of(config)
    if not (results / name).exists():
        raise ConfigurationError(f"there is no {results / name}; finish the run first: make")
    return config, results, results / name


def alternatives(names):
    """Regular expression that matches exactly the given names; nothing when there are none."""
    return "|".join(sorted({re.escape(name) for name in names})) or "(?!)"

"""Load and validate the configuration; find the frames; the helper functions of all rules."""

import os
import sys
import time
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import psutil
from snakemake.exceptions import WorkflowError

WORKFLOW = Path(os.path.relpath(str(workflow.current_basedir))).parent
sys.path.insert(0, str(WORKFLOW / "scripts"))

from flatfield.files import memory
from flatfield.demo import names as demo
from flatfield.plan import cluster, configuration, selection, tracking
from flatfield.report import conclusions
from flatfield.files.errors import ConfigurationError, FrameError
from flatfield.files.names import is_fits
from flatfield.files.tables import read_table

DEMO = workflow.pathvars.apply("<resources>/demo")
RESULTS = workflow.pathvars.apply("<results>")
STARTED = time.time()
#: More threads do not make a job faster: writing and start-up remain.
MOST_THREADS = 8
#: Bytes that a job on a cluster reads for each of its threads: a few seconds of decoding.
BYTES_A_THREAD = 1_000_000_000
#: Bytes of a frame that takes no longer to decode than a thread to start.
SMALL_FRAME = 4_000_000


def plan_demo():
    """List the raw frames that the demo can simulate."""
    flats = [demo.flat_files(DEMO, name, config["demo"]["frames"]) for name in demo.SETS]
    return {path for files in flats for path in files} | set(demo.light_files(DEMO))


def list_stored(root):
    """Files of a folder in the default storage and their sizes, bytes; none without such a storage.

    They have the paths that they would have in the working folder. (The inventory of a storage is taken, as those of
    Snakemake's plugins for S3 and SFTP cannot be asked with `glob_wildcards`.)
    """
    provider = workflow.storage_registry.default_storage_provider
    prefix = workflow.storage_settings.default_storage_prefix
    if provider is None or not prefix:
        return {}
    inside = provider.object(f"{prefix.rstrip('/')}/{os.path.normpath(root)}/frame")
    found = SimpleNamespace(exists_in_storage={}, mtime={}, size={})
    workflow.async_run(inside.inventory(found))
    paths = {os.path.relpath(path, inside.local_path().parent): size for path, size in found.size.items()}
    return {os.path.normpath(os.path.join(root, path)): size for path, size in paths.items()}


def count_bands(name):
    """Bands that combinations of a set are cut into."""
    frames, limit = SETS[name].frames, config["memory_mb"]
    if config["bands"] != "auto":
        return config["bands"]
    if limit is None or frames[0] in KNOWN:
        return 1
    from flatfield.raw.decode import read_shape  # takes half a second

    for path in frames:
        with suppress(FrameError):  # which its inspection will tell
            return memory.enough_bands(read_shape(path), len(frames), memory.bytes_of_pixel(path), limit)
    return 1


try:
    for path in workflow.configfiles:
        configuration.check_duplicate_keys(path)
    schema = configuration.read_yaml(WORKFLOW / "schemas/config.schema.yaml")
    config = configuration.validate(config, schema)
    configuration.check_results_folder(RESULTS, [*config["sets"], *configuration.RESERVED_NAMES])
    preset = configuration.read_preset(config, schema)
    PLANNED = plan_demo()
    STORED = list_stored(config["raw_root"])
    KNOWN = PLANNED | set(STORED)
    SETS = {
        name: selection.resolve_set(name, options, config["raw_root"], KNOWN)
        for name, options in config["sets"].items()
    }
    LIGHTS = {
        name: selection.resolve_lights(name, options, config["raw_root"], KNOWN)
        for name, options in config["lights"].items()
    }
    OFFSETS = {name: {"bias": SETS[name].bias} for name in SETS}
    OFFSETS |= {
        f"lights/{name}/offsets": selection.resolve_offsets(name, options, config["raw_root"], KNOWN)
        for name, options in config["lights"].items()
    }
    PICTURES = selection.find_pictures(LIGHTS)
    selection.check_stems(LIGHTS)
    FRAMES = [path for frames in SETS.values() for path in frames.frames]
    FRAMES += [path for name in LIGHTS if name not in PICTURES for path in LIGHTS[name].values()]
    configuration.check_libraw_frames(config, FRAMES)
    if preset:
        configuration.check_libraw_frames(preset, FRAMES, f"preset {config['compare']}: ")
except ConfigurationError as error:
    sys.exit(f"error: {', '.join(map(str, workflow.configfiles)) or 'configuration'}: {error}")

LABELS = {name: selection.label_frames(list(LIGHTS[name].values()), config["raw_root"]) for name in LIGHTS}
PRESET = Path(config["compare"]).stem if preset else None
RAW_LIGHTS = [name for name in LIGHTS if name not in PICTURES]
PAIRS = {name: {f"{a}-{b}": (a, b) for a, b in combinations(SETS[name].subsets, 2)} for name in SETS}
COMBINING_JOBS = sum(len(frames.subsets) + 2 for frames in SETS.values())
DEMO_SETS = [name for name in SETS if name in demo.SETS and set(SETS[name].frames) <= PLANNED]
DEMO_LIGHTS = [name for name, frames in LIGHTS.items() if set(frames.values()) <= PLANNED]
BANDS = {name: count_bands(name) for name in SETS}


wildcard_constraints:
    set=configuration.alternatives(SETS),
    subset=configuration.alternatives(label for name in SETS for label in SETS[name].subsets),
    pair=configuration.alternatives(pair for name in SETS for pair in PAIRS[name]),
    light=configuration.alternatives(LIGHTS),
    owner=configuration.alternatives(OFFSETS),
    product=configuration.alternatives(
        ["flat_cfa", "flat", *(f"subsets/{label}" for name in SETS for label in SETS[name].subsets)]
    ),
    band="[0-9]+",
    offset="bias|dark",
    frame=configuration.alternatives(stem for frames in LIGHTS.values() for stem in frames),
    demo_set=configuration.alternatives(demo.SETS),


def bands_of_product(wildcards, product):
    """Bands that a product is put together from; what LibRaw debayers is combined in one go."""
    number = 1 if product == "flat" and config["debayer"]["algorithm"] != "bilinear" else BANDS[wildcards.set]
    return range(1, number + 1) if number > 1 else []


def bands_of(product):
    """The files of these bands."""

    def paths(wildcards):
        return [f"<results>/{{set}}/bands/{product}/{band}.fits" for band in bands_of_product(wildcards, product)]

    return paths


def unless_banded(frames, product=""):
    """The frames of a product that is combined in one go; none where bands of it are put together."""

    def paths(wildcards):
        return [] if bands_of_product(wildcards, product) else frames(wildcards)

    return paths


def frames_of_product(wildcards):
    """Frames of the subset or set of which a band is combined."""
    subset = wildcards.product.partition("/")[2]
    return SETS[wildcards.set].subsets[subset].frames if subset else frames_of_set(wildcards)


def source_of_subset(wildcards):
    """What tells how the frames of a subset are read, beside their paths."""
    return {"files": labels_of_subset(wildcards), "overscan": overscan_of_set(wildcards)}


def source_of_set(wildcards):
    return {"files": labels_of_set(wildcards), "overscan": overscan_of_set(wildcards)}


def source_of_debayering(wildcards):
    return source_of_set(wildcards) | {"debayer": config["debayer"]}


def source_of_band(wildcards):
    files = [SETS[wildcards.set].labels[path] for path in frames_of_product(wildcards)]
    source = {"files": files, "overscan": overscan_of_set(wildcards), "bands": BANDS[wildcards.set]}
    return source | ({"debayer": config["debayer"]} if wildcards.product == "flat" else {})


def frames_of_set(wildcards):
    return SETS[wildcards.set].frames


def frames_of_subset(wildcards):
    return SETS[wildcards.set].subsets[wildcards.subset].frames


def bias_frames_of_set(wildcards):
    return SETS[wildcards.set].bias


def bias_of_set(wildcards):
    """Master bias of a set that has offset frames."""
    return "<results>/{set}/bias.fits" if SETS[wildcards.set].bias else []


def bias_inventory_of_set(wildcards):
    """Table of the offset frames of a set that has some."""
    return "<results>/{set}/bias.tsv" if SETS[wildcards.set].bias else []


def subsets_of_set(wildcards):
    return [f"<results>/{{set}}/subsets/{label}.fits" for label in SETS[wildcards.set].subsets]


def names_of_subsets(wildcards):
    return list(SETS[wildcards.set].subsets)


def rotations_of_set(wildcards):
    """Angles of the camera in the subsets."""
    return {"rotations": [subset.rotation for subset in SETS[wildcards.set].subsets.values()]}


def pairs_of_set(wildcards):
    """The two subsets of each pair, by its name."""
    return {"pairs": PAIRS[wildcards.set]}


def pair_of_subsets(wildcards):
    return [f"<results>/{{set}}/subsets/{label}.fits" for label in PAIRS[wildcards.set][wildcards.pair]]


def differences_of_set(wildcards):
    return [f"<results>/{{set}}/differences/{pair}.fits" for pair in PAIRS[wildcards.set]]


def offset_frames(wildcards):
    return OFFSETS[wildcards.owner][wildcards.offset]


def labels_of_offsets(wildcards):
    labels = selection.label_frames(offset_frames(wildcards), config["raw_root"])
    return list(labels.values())


def labels_of_bias(wildcards):
    return list(selection.label_frames(SETS[wildcards.set].bias, config["raw_root"]).values())


def overscan_of_owner(wildcards):
    """Of a set, or of the set whose flat is applied to a light."""
    kind, *light = wildcards.owner.split("/")
    return config["sets"][config["lights"][light[0]]["flat"] if light else kind]["overscan"]


def labels_of_set(wildcards):
    return [SETS[wildcards.set].labels[path] for path in SETS[wildcards.set].frames]


def labels_of_subset(wildcards):
    return [SETS[wildcards.set].labels[path] for path in frames_of_subset(wildcards)]


def label_of_light(wildcards):
    return LABELS[wildcards.light][frame_of_light(wildcards)]


def offset_options(wildcards):
    """What the inventory of offset frames needs."""
    return {"files": labels_of_offsets(wildcards), "overscan": overscan_of_owner(wildcards)}


def inspection_options(wildcards):
    """What the inspection of a set's frames needs."""
    options = config["sets"][wildcards.set]
    return {
        "files": labels_of_set(wildcards),
        "subsets": owners_of_set(wildcards),
        "bad_frames": options["bad_frames"] or config["bad_frames"],
        "min_frames": config["min_frames"],
        "tests": config["frame_tests"],
        **{key: options[key] for key in ("overscan", "mismatch", "exposure_span")},
    }


def owners_of_set(wildcards):
    """Name of the subset that claims each frame of a set; empty where none does."""
    return SETS[wildcards.set].owners


def inventory_options(wildcards):
    """Which subset claims each frame of a set, and whether their order matters."""
    frames, options = SETS[wildcards.set], config["sets"][wildcards.set]
    owners = owners_of_set(wildcards)
    return {
        "subsets": owners,
        "rotations": [frames.subsets[owner].rotation if owner else None for owner in owners],
        "sliced": any("slice" in subset for subset in options["subsets"].values()),
        "check_times": options["check_times"],
    }


def rotation_of_subset(wildcards):
    return {"rotation": SETS[wildcards.set].subsets[wildcards.subset].rotation}


def overscan_of_set(wildcards):
    return config["sets"][wildcards.set]["overscan"]


def threads_of_set(wildcards, input):
    """Threads of a job that combines frames of a set.

    On one machine jobs run side by side first, then each gets what cores are left, or one for small files, whose jobs
    are all start-up. On a cluster they are as many as the bytes that a job reads are worth.
    """
    size = size_of_frame(SETS[wildcards.set].frames[0])
    if on_cluster():
        return min(1 + size * len(input.frames) // BYTES_A_THREAD, MOST_THREADS)
    return min(-(-all_cores() // COMBINING_JOBS), MOST_THREADS) if size > SMALL_FRAME else 1


def threads_of_inspection(wildcards, input):
    """Threads of a job that inspects frames of a set: on one machine all, so that nothing runs beside it."""
    return threads_of_set(wildcards, input) if on_cluster() else all_cores()


def size_of_frame(path):
    """Bytes of a frame in the storage or on the disk; 0 where it is not there yet."""
    return STORED.get(path) or (os.path.getsize(path) if os.path.exists(path) else 0)


def read_input(table):
    """Rows of a table that a job takes; fetched here if it is in the storage, as Snakemake fetches it later only."""
    if table.is_storage and not os.path.exists(table) and workflow.async_run(table.exists_in_storage()):
        workflow.async_run(table.retrieve_from_storage())
    return read_table(table)


def memory_of_set(wildcards, input, threads):
    """Memory of a job that combines frames of a set, MB: what their number and size take, or what is allowed."""
    return memory_of_frames(read_input(input.inspected), input.frames, threads, 2)


def memory_of_debayering(wildcards, input, threads):
    """Memory of a job that debayers and combines frames of a set, MB: LibRaw makes three planes of a frame."""
    itemsize = 2 if config["debayer"]["algorithm"] == "bilinear" else 6
    frames = input.frames[:: config["debayer"]["step"]]
    return memory_of_frames(read_input(input.inspected), frames, threads, itemsize)


def memory_of_band(wildcards, input, threads):
    """Memory of a job that combines a band of rows, MB."""
    step = config["debayer"]["step"] if wildcards.product == "flat" else 1
    return memory_of_frames(read_input(input.inspected), input.frames[::step], threads, 2, BANDS[wildcards.set])


def memory_of_offsets(wildcards, input, threads):
    """Memory of a job that combines offset frames, MB."""
    return memory_of_frames(read_input(input.inventory), input.frames, threads, 2)


def memory_of_pairs(wildcards, input, threads):
    """Memory of a job that compares pairs of frames, MB: two of them in each thread, and what is made of them."""
    return memory_of_frames(read_input(input.inspected), input.frames[: 2 * threads], threads, 10)


def memory_of_frames(table, frames, threads, itemsize, bands=1):
    """Memory to combine frames that a table describes, MB; FITS frames may be floats."""
    shape = next(((int(row["rows"]), int(row["columns"])) for row in table if row["used"] == "yes"), None)
    if shape is None:
        raise WorkflowError(
            "a table of frames lists none that is used; remove inspected.tsv and bias.tsv, and run again"
        )
    number = max(len(frames), 1)  # none where bands were combined before: then there is less to hold
    size = shape, number, max(itemsize, memory.bytes_of_pixel(frames[0]) if frames else 0), threads, bands
    needed, allowed = memory.needed_mb(*size), config["memory_mb"]
    if on_cluster():
        return min(needed, allowed or needed)
    return min(needed, allowed or max(free_memory_mb(threads), memory.least_mb(*size)))


def free_memory_mb(threads):
    """Half of this machine's memory, shared by the jobs with so many threads that can run side by side, MB."""
    return psutil.virtual_memory().total // 2_000_000 * threads // max(all_cores(), threads)


def on_cluster():
    """Whether jobs run on other machines: their number is limited, not the cores that they share."""
    try:
        return workflow.remote_exec or not workflow.cores
    except WorkflowError:
        return True


def all_cores():
    """As many threads as there are cores; one on a cluster, where `set-threads` gives more."""
    return 1 if on_cluster() else workflow.cores


def whole_job(arrays):
    """Memory of a job, MB: of its arrays, and on a cluster also of the Snakemake that starts it, more at each attempt."""

    def declare(wildcards, input, threads, attempt):
        return arrays(wildcards, input, threads) + (memory.STARTER_MB * attempt if on_cluster() else 0)

    return declare


def noise_options(wildcards):
    """What the measurement of noise needs."""
    return {
        "subsets": owners_of_set(wildcards),
        "combine": config["combine"],
        "center": config["regions"]["center"],
        "wanted_error_percent": config["noise"]["wanted_error_percent"],
        "overscan": overscan_of_set(wildcards),
    }


def truth_of_set(wildcards):
    """The true light source, where the demo simulated the set."""
    return "<resources>/demo/truth/{set}.fits" if wildcards.set in DEMO_SETS else []


def title_of_set(wildcards):
    return config["sets"][wildcards.set]["title"] or wildcards.set


def frames_of_light(wildcards):
    return list(LIGHTS[wildcards.light].values())


def frame_of_light(wildcards):
    return LIGHTS[wildcards.light][wildcards.frame]


def light_options(wildcards):
    """What the inventory of a light needs."""
    return {"files": list(LABELS[wildcards.light].values()), "overscan": overscan_of_light(wildcards)}


def check_options():
    """What can be checked once the inventories are made."""
    return {
        "sets": list(SETS),
        "flats": {name: config["lights"][name]["flat"] for name in RAW_LIGHTS},
        "regions": config["regions"],
        "combine": config["combine"],
        "step": config["debayer"]["step"],
    }


def flat_set(wildcards):
    """Name of the set whose flat is applied to a light."""
    return config["lights"][wildcards.light]["flat"]


def flat_of_light(wildcards):
    """Debayered flat, with or without its light source."""
    names = {"flat": "flat.fits", "response": "response_rgb.fits"}
    return f"<results>/{flat_set(wildcards)}/{names[config['apply']['flat_kind']]}"


def mosaic_flat_of_light(wildcards):
    """What a light is divided by."""
    names = {"whole": mosaic_flat(), "model": "models/model.fits", "detail": "models/detail.fits"}
    return f"<results>/{flat_set(wildcards)}/{names[config['apply']['flat_part']]}"


def mosaic_flat():
    """Name of the mosaic flat that lights are divided by, with or without its light source."""
    return {"flat": "flat_cfa.fits", "response": "response.fits"}[config["apply"]["flat_kind"]]


def modelled_flat(wildcards):
    return f"<results>/{wildcards.set}/{mosaic_flat()}"


def noise_of_light(wildcards):
    return f"<results>/{flat_set(wildcards)}/noise.tsv"


def bias_of_light(wildcards):
    """Master of the light's own offset frames, or of those of its flat; none where neither has some."""
    if OFFSETS[f"lights/{wildcards.light}/offsets"]["bias"]:
        return "<results>/lights/{light}/offsets/bias.fits"
    return f"<results>/{flat_set(wildcards)}/bias.fits" if SETS[flat_set(wildcards)].bias else []


def dark_of_light(wildcards):
    return "<results>/lights/{light}/offsets/dark.fits" if OFFSETS[f"lights/{wildcards.light}/offsets"]["dark"] else []


def offset_of_light(wildcards):
    """What stands for black in a light: its dark, or a bias."""
    return dark_of_light(wildcards) or bias_of_light(wildcards)


def dark_inventory_of_light(wildcards):
    return "<results>/lights/{light}/offsets/dark.tsv" if OFFSETS[f"lights/{wildcards.light}/offsets"]["dark"] else []


def inventory_of_light(wildcards):
    """Table of the frames of a light; pictures have none."""
    return [] if wildcards.light in PICTURES else "<results>/lights/{light}/frames.tsv"


def inventory_of_flat(wildcards):
    return f"<results>/{flat_set(wildcards)}/inspected.tsv"


def model_of_light(wildcards):
    """The smooth model that tells colour from brightness, where only one is corrected."""
    return [] if config["apply"]["correct"] == "both" else f"<results>/{flat_set(wildcards)}/models/model.fits"


def source_of_light(wildcards):
    """What tells the light source that the flat of a light holds, or held."""
    names = ("flat_cfa.fits", "response.fits", "illumination_tests.tsv")
    return [f"<results>/{flat_set(wildcards)}/{name}" for name in names]


def whole_flat_of_light(wildcards):
    return f"<results>/{flat_set(wildcards)}/{mosaic_flat()}"


def guard_options(wildcards):
    """What a light and its flat must agree in."""
    light = config["lights"][wildcards.light]
    own = any(OFFSETS[f"lights/{wildcards.light}/offsets"].values())
    return {
        "guard": config["guard"],
        "mismatch": light["mismatch"],
        "borrowed_bias": bool(SETS[light["flat"]].bias) and not own,
        "has_bias": bool(bias_of_light(wildcards)),
    }


def diagnosis_options(wildcards):
    """How a light is read for its diagnosis, and what it was divided by."""
    picture = wildcards.light in PICTURES
    return {
        "kind": "file" if picture else config["apply"]["light"],
        "flat_kind": config["apply"]["flat_kind"],
    }


def overscan_of_light(wildcards):
    return config["sets"][flat_set(wildcards)]["overscan"]


def apply_options(wildcards):
    """How flats are applied, and the boxes that tell the result."""
    boxes = {name: config["regions"][name] for name in ("center", "corner")}
    keys = ("normalise", "correct", "lowest_flat")
    return {key: config["apply"][key] for key in keys} | {"regions": boxes}


def vignetting_of_light(wildcards):
    return [f"<results>/lights/{{light}}/vignetting/{stem}.tsv" for stem in LIGHTS[wildcards.light]]


def diagnoses_of_light(wildcards):
    return [f"<results>/lights/{{light}}/diagnosis/{stem}.tsv" for stem in LIGHTS[wildcards.light]]


def falloffs_of_light(wildcards):
    return [f"<results>/lights/{{light}}/falloff/{stem}.tsv" for stem in LIGHTS[wildcards.light]]


def set_products():
    """All products of all sets."""
    names = ["flat_cfa.fits", "flat.fits", "flat_check.tsv", "stats.tsv", "noise.tsv", "uniformity.tsv", "models.tsv"]
    names += [
        "drift.tsv",
        "models/model.fits",
        "models/detail.fits",
        "models/lensfun.xml",
        "illumination.tsv",
        "illumination_tests.tsv",
        "illumination.fits",
        "response.fits",
        "response_rgb.fits",
        "interactive.html",
    ]
    products = [f"<results>/{name}/{product}" for name in SETS for product in names]
    products += [f"<results>/{name}/differences/{pair}.fits" for name in SETS for pair in PAIRS[name]]
    return products + set_plots()


def set_plots():
    """Figures of all sets; a set with one subset has no differences."""
    names = ("subsets", "differences", "illumination", "flat", "noise", "models")
    return [
        f"<results>/{name}/plots/{plot}.png"
        for name in SETS
        for plot in names
        if PAIRS[name] or plot not in ("differences", "illumination")
    ]


def light_products():
    """All products of all lights; pictures are diagnosed, not calibrated."""
    linear = config["apply"]["light"] == "linear"
    products = []
    for name, frames in LIGHTS.items():
        calibrated = name not in PICTURES
        for stem, path in frames.items():
            endings = ["_diagnosis.png"]
            endings += ["_rgb.fits", ".png", "_channels.png"] * calibrated
            endings += [".fits", "_rgb.tif", *([] if is_fits(path) else [".dng"])] * (calibrated and linear)
            products += [f"<results>/lights/{name}/{stem}{ending}" for ending in endings]
        tables = ["diagnosis", "falloff"] + ["vignetting"] * calibrated + ["agreement"] * (calibrated and linear)
        products += [f"<results>/lights/{name}/{table}.tsv" for table in tables]
    return products


def agreements():
    """Tables of what lights and flats agree in, where lights are calibrated."""
    linear = config["apply"]["light"] == "linear"
    return [f"<results>/lights/{name}/agreement.tsv" for name in RAW_LIGHTS if linear]


def preset_tables():
    """Vignetting and statistics under the preset, for each light and its set."""
    flats = sorted({config["lights"][name]["flat"] for name in RAW_LIGHTS})
    names = [f"lights/{name}/{table}.tsv" for name in RAW_LIGHTS for table in ("vignetting", "diagnosis")]
    names += [f"{name}/stats.tsv" for name in flats]
    return [f"<results>/{PRESET}/{name}" for name in names if PRESET]


def preset_plots():
    """Lights under the preset."""
    frames = [(name, stem) for name in RAW_LIGHTS for stem in LIGHTS[name]]
    endings = ("_channels.png", "_diagnosis.png")
    return [f"<results>/{PRESET}/lights/{name}/{stem}{end}" for name, stem in frames for end in endings if PRESET]


def demo_tables():
    """The demo's comparison with the truth, where the demo's frames are analysed."""
    return ["<results>/demo.tsv"] if DEMO_SETS and config["apply"]["light"] == "linear" else []


def report_plots():
    """Figures of the report: of each set, then of each light."""
    return set_plots() + [
        product for product in light_products() if product.endswith(("_channels.png", "_diagnosis.png"))
    ]


def describe_rules(workflow):
    """What each rule with a script makes, and the digest of its code."""
    return [
        {"rule": each.name, "makes": " ".join((each.docstring or "").split()), "code": digest_of_rule(each)}
        for each in workflow.rules
        if each.script
    ]


def digest_of_rule(rule):
    return tracking.digest_code(Path(rule.script).name)


def report_options():
    """What the report says of its making; the tables are found by their paths."""
    return {
        "config": configuration.hide_absolute_paths(config),
        "sets": list(SETS),
        "lights": list(LIGHTS),
        "preset": preset and {"name": PRESET, "light": preset["apply"]["light"]},
        "rules": describe_rules(workflow),
    }


def print_summary():
    """The end of a run that made the report: the best set, warnings, where the report is."""
    page, story = Path(RESULTS) / "report.html", Path(RESULTS) / "conclusions.yaml"
    if page.exists() and story.exists() and page.stat().st_mtime >= STARTED:
        print("", conclusions.summarize(configuration.read_yaml(story), page), "", sep="\n", file=sys.stderr)


def prepare_cluster():
    """On Slurm: outlast its controller, and leave nothing of an earlier run that was killed."""
    if workflow.executor_plugin.name == "slurm":
        cluster.be_patient(workflow.executor_plugin.executor)
        cluster.cancel_orphans(os.getcwd())


def equip_rules(workflow):
    """Give all rules with a script the software they need, and a digest of their code that re-runs them when it changes."""
    for each in workflow.rules:
        if each.script and "code" not in each.params.keys():
            each.conda_env = "../../envs/environment.yaml"
            each.set_params(code={"code": digest_of_rule(each)})

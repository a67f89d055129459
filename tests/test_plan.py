"""What a configuration asks for: files, names, options and products, from empty files and without pixels."""

import copy
import time

import pytest
from conftest import BASE_CONFIG, REPOSITORY

from flatfield.demo import names
from flatfield.files.errors import ConfigurationError
from flatfield.files.frame_table import FrameRecord
from flatfield.plan import configuration
from flatfield.plan.plan import Plan
from flatfield.plan.resources import Machine

SCHEMA = configuration.read_yaml(REPOSITORY / "workflow/schemas/config.schema.yaml")
FILES = (
    *(f"first/DSC{number}.dng" for number in range(1, 11)),
    *(f"second/DSC{number}.dng" for number in range(1, 5)),
    *("lights/sky.dng", "bias/b1.dng", "bias/b2.dng", "dark/d1.dng", "pictures/web.jpg", "frames/1.fits"),
)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Makes the plan of the base configuration with changes, ``plan(key__key=value)``, in a folder of empty files."""
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        path = tmp_path / "raws" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def make(preset=None, stored=(), **changes):
        config = copy.deepcopy(BASE_CONFIG)
        for keys, value in changes.items():
            part, (*path, last) = config, keys.split("__")
            for key in path:
                part = part.setdefault(key, {})
            part[last] = value
        preset = preset and configuration.validate(configuration.merge(config, preset), SCHEMA)
        return Plan.make(configuration.validate(config, SCHEMA), preset, stored=stored)

    return make


def test_a_plan_takes_milliseconds(plan):
    plan()
    start = time.process_time()
    for _ in range(5):
        plan()
    assert time.process_time() - start < 1


def test_sets_and_their_subsets(plan):
    first, second = plan().sets.values()
    assert first.frames == [f"raws/first/DSC{number}.dng" for number in range(1, 11)]  # 10 after 9
    assert first.labels == [f"first/DSC{number}.dng" for number in range(1, 11)]
    assert first.owners == list("AAABBBCCCC") and first.subset_names == list("ABC")
    assert first.rotations == [0, 90, 180] and (first.title, second.title) == ("first set", "second")
    assert first.pairs == {"A-B": ("A", "B"), "A-C": ("A", "C"), "B-C": ("B", "C")}
    assert first.pair("B-C") == ["<results>/first/subsets/B.fits", "<results>/first/subsets/C.fits"]
    assert second.owners == ["all"] * 4 and second.pairs == {} and second.differences == []
    assert first.frames_of("subsets/B") == first.frames[3:6] and first.frames_of("flat_cfa") == first.frames


def test_subsets_by_patterns_and_leftovers(plan):
    subsets = {
        "A": {"frames": "first/DSC[12].dng"},
        "B": {"frames": ["first/DSC4.dng", "second/*.dng"], "rotation": 45},
    }
    made = plan(sets__first__subsets=subsets, sets__first__leftover="allow").sets["first"]
    assert made.owners == ["A", "A", "", "B", *[""] * 6, *["B"] * 4]
    assert made.inventorying["rotations"][:4] == [0, 0, None, 45] and not made.inventorying["sliced"]
    assert made.combining_subset("B")["files"] == ["first/DSC4.dng", *(f"second/DSC{n}.dng" for n in range(1, 5))]
    assert made.combining_subset("B")["rotation"] == 45
    with pytest.raises(ConfigurationError, match=r"no subset claims DSC3\.dng"):
        plan(sets__first__subsets=subsets)


def test_offsets_of_sets_and_lights(plan):
    made = plan(sets__first__bias="bias/*.dng", sets__first__overscan=False)
    first, light = made.sets["first"], made.lights["night"]
    assert (
        first.bias == light.bias == "<results>/first/bias.fits" and first.bias_inventory == "<results>/first/bias.tsv"
    )
    assert made.offsets["first"].paths("bias") == ["raws/bias/b1.dng", "raws/bias/b2.dng"]
    assert light.dark == light.dark_inventory == [] and light.guarding["borrowed_bias"]
    own = plan(lights__night__bias="bias/b1.dng", lights__night__dark="dark/*.dng", sets__first__bias="bias/b2.dng")
    light = own.lights["night"]
    assert light.bias == "<results>/lights/night/offsets/bias.fits"
    assert light.dark_inventory == "<results>/lights/night/offsets/dark.tsv"
    assert not light.guarding["borrowed_bias"] and light.guarding["has_bias"]
    assert own.offsets["lights/night/offsets"].inspecting("dark") == {
        "kind": "dark", "files": ["dark/d1.dng"], "reading": False,
    }  # fmt: skip
    bare = plan()
    assert bare.sets["first"].bias == [] and not bare.lights["night"].guarding["has_bias"]


@pytest.mark.parametrize(
    ("apply", "divisor", "model"),
    [
        ({}, "response.fits", []),
        ({"flat_kind": "flat"}, "flat_cfa.fits", []),
        ({"flat_part": "detail"}, "models/detail.fits", []),
        ({"correct": "color"}, "response.fits", "<results>/first/models/model.fits"),
    ],
)
def test_what_a_light_is_divided_by(plan, apply, divisor, model):
    light = plan(apply=apply).lights["night"]
    assert (light.divisor, light.model) == (f"<results>/first/{divisor}", model)
    whole = divisor if "models" not in divisor else "response.fits"
    assert light.whole_flat == light.flat.applied_flat == f"<results>/first/{whole}"


def test_products_of_lights(plan):
    def of_frame(light):
        return {path.rpartition("/")[2].replace("sky", "") for path in light.products}

    night = plan().lights["night"]
    assert night.is_linear and of_frame(night) >= {".fits", ".dng", ".png", "_diagnosis.png"}
    assert of_frame(plan(apply__products=["mosaic", "rgb"]).lights["night"]) >= {".fits", "_rgb.fits"}
    assert of_frame(night) >= {"agreement.tsv", "vignetting.tsv", "diagnosis.tsv", "falloff.tsv", "_channels.png"}
    developed = plan(apply={"light": "picture"}).lights["night"]
    assert not developed.is_linear and not of_frame(developed) & {".dng", ".fits", "agreement.tsv"}
    picture = plan(lights__web={"frames": "pictures/*", "flat": "first"}).lights["web"]
    assert picture.is_picture and picture.inventory == [] and picture.diagnosing("web")["kind"] == "file"
    assert of_frame(picture) == {"web_diagnosis.png", "diagnosis.tsv", "falloff.tsv"}
    exposed = plan(lights__night__frames="frames/1.fits").lights["night"]
    assert not any(path.endswith(".dng") for path in exposed.products)  # there is no camera raw to write again
    reading = exposed.reading_frame("1")
    assert (reading["file"], reading["reading"]) == ("frames/1.fits", False)


def test_bands_of_combinations(plan):
    whole = plan().sets["first"]
    assert (
        list(whole.bands("flat")) == []
        and whole.band_paths("flat") == []
        and whole.whole_frames("flat") == whole.frames
    )
    cut = plan(bands=3, debayer__step=2).sets["first"]
    assert cut.band_paths("subsets/A") == [f"<results>/first/bands/subsets/A/{band}.fits" for band in (1, 2, 3)]
    assert cut.whole_frames("subsets/A") == []
    options = cut.combining_band("subsets/A", "2")
    assert (options["product"], options["band"], options["step"]) == ("subsets", [1, 3], 1)
    assert options["files"] == [f"first/DSC{number}.dng" for number in (1, 2, 3)]
    assert cut.combining_band("flat", 1)["step"] == 2
    assert list(plan(bands=3, debayer__algorithm="AHD").sets["first"].bands("flat")) == []  # LibRaw takes whole frames


def test_products_of_a_run(plan):
    made = plan()
    assert len(made.products) == len(set(made.products)) > 40
    assert {"<results>/first/response.fits", "<results>/second/drift.tsv", "<results>/lights/night/sky.dng"} <= set(
        made.products
    )
    assert made.of_sets("frames.tsv") == ["<results>/first/frames.tsv", "<results>/second/frames.tsv"]
    assert made.light_inventories == ["<results>/lights/night/frames.tsv"]
    assert made.combining_jobs == 3 + 2 + 1 + 2
    assert not any("plots/differences" in path for path in made.sets["second"].plots)
    assert made.checking["flats"] == {"night": "first"} and made.comparing_sets["pairs"]["first"] == [
        "A-B",
        "A-C",
        "B-C",
    ]
    assert made.demo_table == made.preset_tables == made.preset_plots == []


def test_a_preset_beside(plan):
    made = plan(preset={"combine": {"method": "mean"}}, compare="other/averaged.yaml")
    assert made.preset_name == "averaged" and made.preset["combine"]["method"] == "mean"
    assert "<results>/averaged/first/stats.tsv" in made.preset_tables
    assert all(path.startswith("<results>/averaged/lights/night/") for path in made.preset_plots)


def test_the_demo_needs_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configuration.validate(configuration.read_yaml(REPOSITORY / "config.yaml"), SCHEMA)
    made = Plan.make(config)
    assert set(made.sets) == set(names.SETS) and all(each.simulated for each in made.sets.values())
    assert made.demo_table == ["<results>/demo.tsv"] and len(made.demo_lights) == 3
    assert next(iter(made.sets.values())).truth.startswith("<resources>/demo/truth/")


def test_frames_in_a_storage_are_found_by_name(plan):
    stored = [f"raws/far/{number}.dng" for number in range(3)]
    assert plan(sets__second__frames="far/*.dng", stored=stored).sets["second"].frames == stored


def test_wildcards_are_the_names_that_there_are(plan):
    patterns = plan(sets__first__bias="bias/*").wildcards()
    assert patterns["subset"].count("|") == 3 and patterns["offset"] == "bias|dark"
    assert set(patterns) == {
        *("set", "subset", "pair", "light", "owner", "product", "frame", "demo_set", "band", "offset"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sets__first__frames": "none/*.dng"}, r"sets\.first\.frames.*there is no folder raws/none"),
        ({"sets__first__subsets__B__slice": "2:6"}, r"DSC3\.dng belong to A and B"),
        ({"sets__first__subsets__C__slice": "6:12"}, "beyond the 10 frames"),
        ({"sets__first__subsets__C": {"slice": "6:10", "frames": "first/*.dng"}}, "either a `slice`"),
        ({"lights__night__frames": ["lights/*.dng", "pictures/*.jpg"]}, "is a picture, others are raw"),
        ({"lights__night__flat": "frist"}, "did you mean 'first'"),
        ({"debayer__algorithm": "AHD", "sets__second__frames": "frames/*.fits"}, r"AHD.*1\.fits"),
    ],
)
def test_errors(plan, changes, words):
    with pytest.raises(ConfigurationError, match=words):
        plan(**changes)


def test_no_absolute_path_is_reported(plan, tmp_path):
    made = plan(raw_root=str(tmp_path / "raws"))
    assert made.sets["second"].labels[0] == "second/DSC1.dng"
    assert str(tmp_path) not in str(made.reporting([]))


def test_threads_and_memory():
    records = [FrameRecord("a", used=False), FrameRecord("b", rows=4000, columns=6000)]
    paths = [f"{number}.dng" for number in range(30)]
    needed = Machine(None, 0).arrays_mb(records, paths, 2)
    assert needed > 30 * 4000 * 6000 * 2 / 1e6  # 16 bits a pixel, and what the job itself needs
    assert Machine(None, 0).arrays_mb(records, paths, 2, step=2) < needed
    assert Machine(8, 1_000_000, allowed_mb=1000).arrays_mb(records, paths, 2) == 1000
    assert Machine(None, 0).job_mb(100, attempt=2) > Machine(None, 0).job_mb(100, attempt=1) > 100
    assert Machine(8, 0).job_mb(100, attempt=3) == 100
    with pytest.raises(ConfigurationError, match="none that is used"):
        Machine(8, 1000).arrays_mb(records[:1], paths, 2)


#: Kinds of pictures in colour for other programs.
COLOUR = ("siril_colour", "pixinsight_colour")


def test_files_that_one_job_writes_of_a_light(plan):
    """What is listed together, the rest one by one; FITS lights have no DNG, and no pictures in colour."""
    listed = ["mosaic", "dng", "picture"]
    jobs = {end: (names, sorted(files)) for end, (names, files) in plan(apply__products=listed).exports.items()}
    alone = {f"_{kind}": ("night", [kind]) for kind in ("rgb", "tiff", "siril", *COLOUR)}
    assert jobs == {"": ("night", ["dng", "picture"]), **alone}
    exposed = plan(lights__night__frames="frames/1.fits", apply__products=["mosaic", "dng", "rgb"])
    assert {end: sorted(files) for end, (_, files) in exposed.exports.items()} == {
        **{"_fits": ["rgb"], "_fits_tiff": ["tiff"], "_fits_picture": ["picture"], "_fits_siril": ["siril"]}
    }
    assert plan(apply__products=["mosaic"]).exports.keys() == {
        *(f"_{kind}" for kind in ("rgb", "tiff", "dng", "picture", "siril", *COLOUR))
    }
    assert sorted(plan(apply__products=["mosaic"], handover=["siril"]).exports[""][1]) == ["siril", "siril_colour"]
    assert plan(apply={"light": "picture"}).exports == {}


def test_what_is_handed_over(plan):
    """What the key lists is made with the rest; asked for by its own target, without the key it is for all programs."""
    siril = [
        f"<results>/first/for_siril/{name}" for name in ("pp_flat_stacked.fit", "bias_stacked.fit", "calibrate.ssf")
    ]
    lights = [f"<results>/lights/night/for_siril/{name}" for name in ("pp_sky.fit", "colour/sky.fit", "stack.ssf")]
    usual, asked = plan(), plan(handover=["siril"])
    assert not [path for path in usual.products if "/for_" in path]
    assert {path for path in asked.products if "/for_" in path} == set(asked.handed_over)
    assert {*siril, *lights} < set(asked.handed_over) and len(asked.handed_over) == 9
    assert set(asked.handed_over) < set(usual.handed_over) and len(usual.handed_over) == 18
    assert asked.sets["first"].divisor == "<results>/first/response.fits"
    assert plan(apply__flat_kind="flat").sets["first"].divisor == "<results>/first/flat_cfa.fits"
    assert plan(apply__flat_part="model").sets["first"].divisor == "<results>/first/models/model.fits"
    assert not [path for path in plan(apply={"light": "picture"}).handed_over if "/lights/" in path]
    with pytest.raises(ConfigurationError, match="handover"):
        plan(handover=["photoshop"])

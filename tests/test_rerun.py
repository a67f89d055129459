"""What a change re-runs: exactly the jobs that depend on it."""

import os
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import REPOSITORY, write_flats

FIRST_SET = {
    "inspect_frames": 1,
    "inventory_frames": 1,
    "check_inventories": 1,
    "measure_drift": 1,
    "combine_subset": 3,
    "subtract_subsets": 3,
    "combine_flat": 1,
    "debayer_flat": 1,
    "check_flat": 1,
    "measure_noise": 1,
    "measure_camera": 1,
    "measure_flat": 1,
    "measure_uniformity": 1,
    "model_flat": 1,
    "plot_illumination": 1,
    "plot_interactive": 1,
    "plot_noise": 1,
    "solve_illumination": 1,
    "plot_subsets": 1,
    "plot_differences": 1,
    "plot_flat": 1,
    "plot_models": 1,
}
#: A light is one job that calibrates and diagnoses it, and one that writes pictures and files of other programs.
LIGHT = {"apply_flat": 1, "export_light": 1, "measure_vignetting": 1, "collect_diagnosis": 1, "plot_light": 1}
PAGE = {"draw_conclusions": 1, "write_report": 1}
SUMMARY = {"compare_sets": 1, **PAGE}


def replace(name, old, new):
    """A change of a file of the project."""

    def change(project):
        path = project.folder / name
        text = path.read_text()
        assert re.search(old, text)
        path.write_text(re.sub(old, new, text, count=1))

    return change


def change_of_code(name):
    """One more constant in a script or module."""
    return replace(f"workflow/scripts/{name}.py", r"\Z", "\nADDED = 1\n")


def config(**keys):
    """A change of the configuration: key path with dots, as a keyword with double underscores."""

    def change(project):
        def update(content):
            for key, value in keys.items():
                *path, last = key.split("__")
                for name in path:
                    content = content.setdefault(name, {})
                content[last] = value

        project.change_config(update)

    return change


def change_frame(project):
    """Another content of the same size, as of a file copied again from a card that was wrong."""
    path = project.folder / "raws/first/DSC5.dng"
    path.write_bytes(write_flats(project.folder / "other", 1, seed=77)[0].read_bytes())


def touch(pattern):
    def change(project):
        later = time.time() + 5
        for path in project.folder.glob(pattern):
            os.utime(path, (later, later))

    return change


def add_light(project):
    """One more frame, another exposure of the same."""
    path = project.folder / "raws/lights/sky.dng"
    shutil.copyfile(path, path.with_name("sky2.dng"))
    with open(path.with_name("sky2.dng"), "ab") as file:
        file.write(b" ")


CHANGES = {
    "nothing": (lambda project: None, {}),
    # whether a camera is linear is asked of all its sets
    "one raw frame": (change_frame, FIRST_SET | LIGHT | {"check_light": 1, "measure_camera": 2} | SUMMARY),
    "all raw frames touched": (touch("raws/*/*.dng"), {}),
    "all code touched": (touch("workflow/**/*"), {}),
    "memory": (config(memory_mb=2000), {"write_report": 1}),
    "a title": (
        config(sets__first__title="new"),
        {
            **{"plot_subsets": 1, "plot_differences": 1, "plot_illumination": 1, "plot_flat": 1, "plot_noise": 1},
            **{"plot_models": 1, "plot_interactive": 1, "write_report": 1},
        },
    ),
    "mismatch of a set": (
        config(sets__first__mismatch="exclude"),
        FIRST_SET | LIGHT | {"check_light": 1, "measure_camera": 2} | SUMMARY,
    ),
    "a rotation": (
        config(sets__first__subsets__B__rotation=91),
        {
            **{"inventory_frames": 1, "check_inventories": 1, "combine_subset": 1, "subtract_subsets": 2},
            **{"plot_subsets": 1, "plot_differences": 1, "measure_uniformity": 1, **SUMMARY},
            **{
                "solve_illumination": 1,
                "plot_illumination": 1,
                "plot_interactive": 1,
                "model_flat": 1,
                "plot_models": 1,
                **LIGHT,
            },
        },
    ),
    "a frame moved to another subset": (  # frames are tested beside the others of their subset
        lambda project: (
            config(sets__first__subsets__B__slice="3:5")(project),
            config(sets__first__subsets__C__slice="5:10")(project),
        ),
        FIRST_SET | LIGHT | {"check_light": 1, "measure_camera": 2} | SUMMARY,
    ),
    "a new region": (
        config(regions__edge={"row": 0, "column": "center", "size": 8}),
        {"check_inventories": 1, "measure_flat": 2, **SUMMARY},
    ),
    "the corner": (
        config(regions__corner={"row": 5, "column": 6, "size": 12}),
        {
            "check_inventories": 1,
            "measure_flat": 2,
            "measure_vignetting": 1,
            **SUMMARY,
        },
    ),
    "crop factor": (config(models__crop_factor=1.5), {"model_flat": 2, "plot_models": 2, **PAGE}),
    "kind of flat": (
        config(apply__flat_kind="flat"),
        {"model_flat": 2, "plot_models": 2, **LIGHT, **PAGE},
    ),
    "part of the flat": (
        config(apply__flat_part="model"),
        {**LIGHT, **PAGE},
    ),
    "method of combination": (
        config(combine__method="mean"),
        {
            "check_inventories": 1,
            "subtract_subsets": 3,
            "plot_differences": 1,
            "plot_illumination": 1,
            "solve_illumination": 2,
            "combine_subset": 4,
            **dict.fromkeys(
                ("combine_flat", "debayer_flat", "check_flat", "measure_flat", "model_flat", "plot_models"), 2
            ),
            **dict.fromkeys(
                ("measure_noise", "measure_uniformity", "plot_noise", "plot_subsets", "plot_flat", "plot_interactive"),
                2,
            ),
            "measure_camera": 2,
            **LIGHT,
            **SUMMARY,
        },
    ),
    "swapped clipping limits of a method not used": (config(combine__kappa_low=3), {}),
    "normalisation": (
        config(apply__normalise="mean"),
        {**LIGHT, **PAGE},
    ),
    "plot module": (
        replace("workflow/scripts/flatfield/report/plotting.py", r"PANEL_COLUMNS = \d+", "PANEL_COLUMNS = 300"),
        {
            **{"plot_subsets": 2, "plot_differences": 1, "plot_illumination": 1, "plot_flat": 2, "plot_noise": 2},
            **{"plot_models": 2, "plot_light": 1, "plot_interactive": 2},
            "write_report": 1,
        },
    ),
    "combining module": (
        replace("workflow/scripts/flatfield/combine/methods.py", r"count > 200", "count > 201"),
        {
            "combine_subset": 4,
            "subtract_subsets": 3,
            "plot_differences": 1,
            "plot_illumination": 1,
            "solve_illumination": 2,
            **dict.fromkeys(
                ("combine_flat", "debayer_flat", "check_flat", "measure_flat", "model_flat", "plot_models"), 2
            ),
            **dict.fromkeys(
                ("measure_noise", "measure_uniformity", "plot_noise", "plot_subsets", "plot_flat", "plot_interactive"),
                2,
            ),
            "measure_camera": 2,
            **LIGHT,
            **SUMMARY,
        },
    ),
    "a script": (
        replace("workflow/scripts/compare_sets.py", r"write_table\(", "print(); write_table("),
        SUMMARY,
    ),
    "degree of the light source": (
        config(illumination__degree=3),
        {
            **{
                "solve_illumination": 2,
                "plot_illumination": 1,
                "model_flat": 2,
                "plot_models": 2,
                "plot_interactive": 2,
            },
            **LIGHT,
            **SUMMARY,
        },
    ),
    "wanted error": (
        config(noise__wanted_error_percent=0.1),
        {"measure_noise": 2, "measure_camera": 2, "measure_flat": 2, "plot_noise": 2, **LIGHT, **SUMMARY},
    ),
    "a caption": (replace("workflow/report/flat.rst", "The", "This is the"), {"write_report": 1}),
    "a comment in a module": (replace("workflow/scripts/flatfield/combine/masters.py", r"\n\n\n", "\n\n# why\n\n"), {}),
    "a comment in a script": (replace("workflow/scripts/combine_flat.py", r"\n\n\n", "\n\n# why\n\n"), {}),
    "docstrings": (
        lambda project: [
            replace(f"workflow/scripts/{name}.py", r'"""(?=[A-Z])', '"""In other words: ')(project)
            for name in ("combine_flat", "flatfield/combine/masters", "flatfield/raw/mosaic", "flatfield/files/job")
        ],
        {},
    ),
    "how a plane is fitted": (  # combines nothing again
        change_of_code("flatfield/measure/gradients"),
        {
            **{"measure_drift": 2, "measure_uniformity": 2, "subtract_subsets": 3, "solve_illumination": 2},
            **{"plot_differences": 1, "plot_illumination": 1, "plot_interactive": 2, "model_flat": 2, "plot_models": 2},
            **LIGHT,
            **SUMMARY,
        },
    ),
    "the stretch of pictures": (  # no science
        change_of_code("flatfield/report/pictures"),
        {"export_light": 1, "plot_light": 1, "write_report": 1},
    ),
    "a program to hand over to": (
        config(handover=["siril"]),
        {"hand_over_flat_siril": 2, "export_light": 1, "write_siril_script": 1, "write_report": 1},
    ),
    "one light more": (  # two frames may have moved
        add_light,
        {
            **{"inventory_lights": 1, "check_light": 1, "check_inventories": 1, **LIGHT, **PAGE},
            **{"find_stars": 2, "compare_stars": 1},
        },
    ),
    "how frames are inspected": (
        change_of_code("flatfield/measure/saturation"),
        {
            **dict.fromkeys(FIRST_SET, 2),
            **{"combine_subset": 4, "subtract_subsets": 3, "plot_differences": 1, "plot_illumination": 1},
            **{"check_inventories": 1, "inventory_lights": 1, "check_light": 1, **LIGHT, **SUMMARY},
        },
    ),
    "a verdict": (change_of_code("flatfield/measure/verdict"), SUMMARY),
    "linearity corrected": (config(apply__linearity="correct"), {**LIGHT, **PAGE}),
    "the sentences of the report": (change_of_code("flatfield/report/conclusions"), PAGE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reruns_exactly(finished, tmp_path, name):
    change, expected = CHANGES[name]
    project = finished.copy(tmp_path / "project")
    change(project)
    assert project.planned(own_code=True) == Counter(expected)


def test_rerun_after_a_change_is_the_same_as_a_fresh_run(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    before = project.path("first/stats.tsv").read_bytes()
    config(regions__corner={"row": 5, "column": 6, "size": 12})(project)
    project.run()
    assert project.path("first/stats.tsv").read_bytes() != before
    config(regions__corner={"row": 4, "column": 6, "size": 12})(project)
    project.run()
    for name in ("first/stats.tsv", "sets.tsv", "report.html", "lights/night/vignetting.tsv"):
        assert project.path(name).read_bytes() == finished.path(name).read_bytes()


def test_every_rule_with_a_script_has_a_script_of_its_name():
    scripts = {path.stem for path in (REPOSITORY / "workflow/scripts").glob("*.py")}
    rules = set()
    for path in (REPOSITORY / "workflow/rules").glob("*.smk"):
        named = r"^ *(?:rule|checkpoint) ?(\w*):.*?(?:name:\s+f\"(\w+?)_?\{\w+\}\".*?)?"
        named += r"script:\s+\"\.\./scripts/(\w+)\.py\""
        found = [(rule or stem, script) for rule, stem, script in re.findall(named, path.read_text(), re.M | re.S)]
        assert all(rule == script for rule, script in found), found
        rules |= {rule for rule, _ in found}
    assert rules == scripts
    assert all(Path(name).suffix == "" for name in rules)

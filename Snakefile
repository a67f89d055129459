"""Flat-field analysis: raw flat frames in; master flats, statistics, calibrated lights and a report out."""

from snakemake.utils import min_version

min_version("9.27")


# A --configfile with `sets` stands alone; one without is a preset on top of the default configuration.
if not (workflow.overwrite_configfiles and "sets" in config):

    configfile: "config.yaml"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


include: "workflow/rules/common.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/frames.smk"
include: "workflow/rules/masters.smk"
include: "workflow/rules/statistics.smk"
include: f"workflow/rules/lights_{config['apply']['light']}.smk"
include: "workflow/rules/plots.smk"
include: "workflow/rules/report.smk"


localrules:  # small tables: made where Snakemake runs, also on a cluster
    inventory_frames,
    check_light,
    check_inventories,
    collect_vignetting,
    collect_diagnosis,


rule all:
    """Everything: the products of each set and light, and the report."""
    default_target: True
    input:
        set_products(),
        light_products(),
        "<results>/sets.tsv",
        "<results>/report.html",


if preset:

    module preset:
        pathvars:
            results=f"{RESULTS}/{PRESET}",
            logs=f"{RESULTS}/logs/{PRESET}",
            benchmarks=f"{RESULTS}/benchmarks/{PRESET}",
        snakefile:
            "Snakefile"
        config:
            preset

    use rule * from preset exclude simulate_flats, simulate_lights, all as preset_*


equip_rules(workflow)


onstart:
    prepare_cluster()


onsuccess:
    print_summary()

"""What went in: the inventory of each set and light, checked before anything is combined.

On one machine these rules come first by their priority, and each takes all cores, so that nothing else runs beside
them. (A file that all later rules wait for would do the same by dependency, but it would either re-run every set when
one changes or, wrapped in `ancient`, make Snakemake 9.27 overlook other changes of the rules behind it.)
"""


rule inventory_offsets:
    """A row an offset or dark frame: how it was taken, its levels and checksum."""
    input:
        frames=offset_frames,
    output:
        inventory="<results>/{owner}/{offset}.tsv",
    log:
        "<logs>/{owner}/{offset}_frames.log",
    priority: 100
    threads: all_cores()
    params:
        options=offset_options,
    script:
        "../scripts/inventory_offsets.py"


rule combine_offsets:
    """Master of the offset or dark frames of a set or light, DN."""
    input:
        frames=offset_frames,
        inventory="<results>/{owner}/{offset}.tsv",
    output:
        master="<results>/{owner}/{offset}.fits",
    log:
        "<logs>/{owner}/{offset}.log",
    priority: 100
    threads: all_cores()
    resources:
        memory_mb=memory_of_offsets,
        mem_mb=whole_job(memory_of_offsets),
    params:
        options={"offsets": config["combine"]},
        files=labels_of_offsets,
        overscan=overscan_of_owner,
    script:
        "../scripts/combine_offsets.py"


rule inspect_frames:
    """A row a frame: how it was taken, its levels and checksum, and whether it is used."""
    input:
        frames=frames_of_set,
        bias=bias_of_set,
        bias_inventory=bias_inventory_of_set,
    output:
        inspected="<results>/{set}/inspected.tsv",
        drift="<results>/{set}/drift.tsv",
    log:
        "<logs>/{set}/inspected.log",
    priority: 100
    threads: threads_of_inspection
    params:
        options=inspection_options,
    script:
        "../scripts/inspect_frames.py"


rule inventory_frames:
    """The inspected frames with the subset and rotation of each: a changed rotation makes no master again."""
    input:
        inspected="<results>/{set}/inspected.tsv",
    output:
        inventory="<results>/{set}/frames.tsv",
    log:
        "<logs>/{set}/frames.log",
    priority: 100
    threads: all_cores()
    params:
        options=inventory_options,
    script:
        "../scripts/inventory_frames.py"


rule inventory_lights:
    """A row a light frame: how it was taken, its levels and checksum."""
    input:
        frames=frames_of_light,
        offset=offset_of_light,
    output:
        inventory="<results>/lights/{light}/frames.tsv",
    log:
        "<logs>/lights/{light}/frames.log",
    priority: 100
    threads: all_cores()
    params:
        options=light_options,
    script:
        "../scripts/inventory_lights.py"


rule check_light:
    """Whether the frames of a light and those of its flat agree in what the division needs."""
    input:
        light="<results>/lights/{light}/frames.tsv",
        flat=inventory_of_flat,
        dark=dark_inventory_of_light,
    output:
        agreement="<results>/lights/{light}/agreement.tsv",
    log:
        "<logs>/lights/{light}/agreement.log",
    priority: 100
    threads: all_cores()
    params:
        options=guard_options,
    script:
        "../scripts/check_light.py"


rule check_inventories:
    """What went in, a row a set and light, after all checks that can be made before anything is combined."""
    input:
        sets=expand("<results>/{set}/frames.tsv", set=SETS),
        lights=expand("<results>/lights/{light}/frames.tsv", light=RAW_LIGHTS),
    output:
        summary="<results>/frames.tsv",
    log:
        "<logs>/frames.log",
    priority: 100
    threads: all_cores()
    params:
        options=check_options(),
    script:
        "../scripts/check_inventories.py"

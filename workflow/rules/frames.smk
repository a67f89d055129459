"""What went in: the inventory of each set and light, checked before anything is combined.

On one machine these rules come first by their priority, and each takes all cores, so that nothing else runs beside
them. (A file that all later rules wait for would do the same by dependency, but it would either re-run every set when
one changes or, wrapped in `ancient`, make Snakemake 9.27 overlook other changes of the rules behind it.)
"""


rule inventory_offsets:
    """A row per offset or dark frame: how it was taken, its levels and checksum."""
    input:
        frames=of_offsets("paths", "{offset}"),
    output:
        inventory="<results>/{owner}/{offset}.tsv",
    log:
        "<logs>/{owner}/{offset}_frames.log",
    priority: 100
    threads: all_cores
    params:
        options=of_offsets("inspecting", "{offset}"),
    script:
        "../scripts/inventory_offsets.py"


rule combine_offsets:
    """Master of the offset or dark frames of a set or light, DN."""
    input:
        frames=of_offsets("paths", "{offset}"),
        inventory="<results>/{owner}/{offset}.tsv",
    output:
        master="<results>/{owner}/{offset}.fits",
    log:
        "<logs>/{owner}/{offset}.log",
    priority: 100
    threads: all_cores
    resources:
        memory_mb=memory_to_combine("inventory"),
        mem_mb=whole_job(memory_to_combine("inventory")),
    params:
        options=of_offsets("combining", "{offset}"),
    script:
        "../scripts/combine_offsets.py"


rule inspect_frames:
    """A row per frame: how it was taken, its levels and checksum, and whether it is used."""
    input:
        frames=of_set("frames"),
        bias=of_set("bias"),
        bias_inventory=of_set("bias_inventory"),
    output:
        inspected="<results>/{set}/inspected.tsv",
        maps="<results>/{set}/maps.fits",
    log:
        "<logs>/{set}/inspected.log",
    priority: 100
    threads: threads_to_inspect
    params:
        options=of_set("inspecting"),
    script:
        "../scripts/inspect_frames.py"


rule inventory_frames:
    """The inspected frames with the subset and rotation of each: a changed rotation re-makes no master."""
    input:
        inspected="<results>/{set}/inspected.tsv",
    output:
        inventory="<results>/{set}/frames.tsv",
    log:
        "<logs>/{set}/frames.log",
    priority: 100
    localrule: True
    threads: all_cores
    params:
        options=of_set("inventorying"),
    script:
        "../scripts/inventory_frames.py"


rule inventory_lights:
    """A row per light frame: how it was taken, its levels and checksum."""
    input:
        frames=of_light("paths"),
        bias=of_light("bias"),
        dark=of_light("dark"),
        dark_inventory=of_light("dark_inventory"),
    output:
        inventory="<results>/lights/{light}/frames.tsv",
    log:
        "<logs>/lights/{light}/frames.log",
    priority: 100
    threads: all_cores
    params:
        options=of_light("selecting"),
    script:
        "../scripts/inventory_lights.py"


rule check_light:
    """Whether the frames of a light and those of its flat agree in what the division needs."""
    input:
        light="<results>/lights/{light}/frames.tsv",
        flat=of_light("flat_inspected"),
        dark=of_light("dark_inventory"),
        bias_inventory=of_light("bias_inventory"),
    output:
        agreement="<results>/lights/{light}/agreement.tsv",
    log:
        "<logs>/lights/{light}/agreement.log",
    priority: 100
    localrule: True
    threads: all_cores
    params:
        options=of_light("guarding"),
    script:
        "../scripts/check_light.py"


checkpoint select_frames:
    """Frames of a light that are left out (`mismatch: exclude`); what is made of a light is planned anew after it."""
    input:
        agreement="<results>/lights/{light}/agreement.tsv",
    output:
        lost="<results>/lights/{light}/left_out.tsv",
    log:
        "<logs>/lights/{light}/left_out.log",
    priority: 100
    localrule: True
    threads: all_cores
    script:
        "../scripts/select_frames.py"


rule check_inventories:
    """What went in, a row per set and light, after all checks that can be made before anything is combined."""
    input:
        sets=PLAN.of_sets("frames.tsv"),
        lights=PLAN.light_inventories,
        left_out=[light.path("left_out.tsv") for light in PLAN.excluding],
    output:
        summary="<results>/frames.tsv",
    log:
        "<logs>/frames.log",
    priority: 100
    localrule: True
    threads: all_cores
    params:
        options=PLAN.checking,
    script:
        "../scripts/check_inventories.py"

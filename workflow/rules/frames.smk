"""What went in: the inventory of each set and light, checked before anything is combined."""


rule combine_bias:
    """Master of the offset frames of a set, DN."""
    input:
        frames=bias_frames_of_set,
    output:
        bias="<results>/{set}/bias.fits",
    log:
        "<logs>/{set}/bias.log",
    threads: threads_of_set
    params:
        options={"bias": config["combine"]},
        overscan=overscan_of_set,
    script:
        "../scripts/combine_bias.py"


rule inventory_frames:
    """A row a frame: where it belongs, how it was taken, its levels and checksum, and whether it is used."""
    input:
        frames=frames_of_set,
        bias=bias_of_set,
    output:
        inventory="<results>/{set}/frames.tsv",
    log:
        "<logs>/{set}/frames.log",
    priority: 100
    threads: threads_of_set
    params:
        options=inventory_options,
    script:
        "../scripts/inventory_frames.py"


rule inventory_lights:
    """A row a light frame, after a check that the flat fits it."""
    input:
        frames=frames_of_light,
        inventory=inventory_of_light,
    output:
        inventory="<results>/lights/{light}/frames.tsv",
    log:
        "<logs>/lights/{light}/frames.log",
    priority: 100
    params:
        options=light_options,
    script:
        "../scripts/inventory_lights.py"

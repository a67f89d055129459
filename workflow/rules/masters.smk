"""Combining frames: subsets, their differences, and the masters of the whole set."""


rule combine_band:
    """A band of rows of a subset or master: only where `bands` splits combinations into several jobs."""
    input:
        frames=ancient(of_set("frames_of", "{product}")),
        inspected="<results>/{set}/inspected.tsv",
        bias=of_set("bias"),
    output:
        part="<results>/{set}/bands/{product}/{band}.fits",
    log:
        "<logs>/{set}/bands/{product}/{band}.log",
    benchmark:
        "<benchmarks>/{set}/bands/{product}/{band}.tsv"
    threads: threads_to_combine
    resources:
        memory_mb=memory_to_combine(bands=config["bands"]),
        mem_mb=whole_job(memory_to_combine(bands=config["bands"])),
    params:
        options=of_set("combining_band", "{product}", "{band}"),
    script:
        "../scripts/combine_band.py"


rule combine_subset:
    """Combined mosaic of the frames between two rotations, DN above black, not debayered."""
    input:
        frames=ancient(of_set("whole_frames", "subsets/{subset}")),
        bands=of_set("band_paths", "subsets/{subset}"),
        inspected="<results>/{set}/inspected.tsv",
        bias=of_set("bias"),
    output:
        subset="<results>/{set}/subsets/{subset}.fits",
    log:
        "<logs>/{set}/subsets/{subset}.log",
    benchmark:
        "<benchmarks>/{set}/subsets/{subset}.tsv"
    threads: threads_to_combine
    resources:
        memory_mb=memory_to_combine(),
        mem_mb=whole_job(memory_to_combine()),
    params:
        options=of_set("combining_subset", "{subset}"),
    script:
        "../scripts/combine_subset.py"


rule subtract_subsets:
    """Difference of two subsets, in DN, percent and standard errors: what turned with the camera and what did not."""
    input:
        pair=of_set("pair", "{pair}"),
    output:
        difference="<results>/{set}/differences/{pair}.fits",
    log:
        "<logs>/{set}/differences/{pair}.log",
    group:
        "numbers"
    script:
        "../scripts/subtract_subsets.py"


rule combine_flat:
    """Master mosaic of all used frames of a set, with its standard error and mask."""
    input:
        frames=ancient(of_set("whole_frames", "flat_cfa")),
        bands=of_set("band_paths", "flat_cfa"),
        inspected="<results>/{set}/inspected.tsv",
        bias=of_set("bias"),
    output:
        flat="<results>/{set}/flat_cfa.fits",
    log:
        "<logs>/{set}/flat_cfa.log",
    benchmark:
        "<benchmarks>/{set}/flat_cfa.tsv"
    threads: threads_to_combine
    resources:
        memory_mb=memory_to_combine(),
        mem_mb=whole_job(memory_to_combine()),
    params:
        options=of_set("combining"),
    script:
        "../scripts/combine_flat.py"


rule debayer_flat:
    """Debayered master of the whole set, linear camera RGB, DN above black, and its standard errors."""
    input:
        frames=ancient(of_set("whole_frames", "flat")),
        bands=of_set("band_paths", "flat"),
        inspected="<results>/{set}/inspected.tsv",
        bias=of_set("bias"),
    output:
        flat="<results>/{set}/flat.fits",
        uncert="<results>/{set}/flat_uncert.fits",
    log:
        "<logs>/{set}/flat.log",
    benchmark:
        "<benchmarks>/{set}/flat.tsv"
    threads: threads_to_combine
    resources:
        memory_mb=memory_to_combine(**PLAN.debayered_pixels),
        mem_mb=whole_job(memory_to_combine(**PLAN.debayered_pixels)),
    params:
        options=of_set("debayering"),
    script:
        "../scripts/debayer_flat.py"


rule solve_illumination:
    """The light source, separated from the camera by the angles and aims of the subsets, and the flat without it."""
    input:
        subsets=of_set("subsets"),
        flat="<results>/{set}/flat_cfa.fits",
        bias=of_set("bias"),
    output:
        terms="<results>/{set}/illumination.tsv",
        tests="<results>/{set}/illumination_tests.tsv",
        cross="<results>/{set}/cross.tsv",
        geometry="<results>/{set}/geometry.tsv",
        blocks="<results>/{set}/response_blocks.fits",
        source="<results>/{set}/illumination.fits",
        response="<results>/{set}/response.fits",
        rgb="<results>/{set}/response_rgb.fits",
    log:
        "<logs>/{set}/illumination.log",
    group:
        "numbers"
    params:
        options=of_set("separating"),
    script:
        "../scripts/solve_illumination.py"


rule check_flat:
    """The debayered master read back: extensions, bands, sizes, types, checksums."""
    input:
        flat="<results>/{set}/flat.fits",
    output:
        check="<results>/{set}/flat_check.tsv",
    log:
        "<logs>/{set}/flat_check.log",
    group:
        "numbers"
    script:
        "../scripts/check_flat.py"


for program in handover.FOLDERS:

    rule:
        """Master flat for another program as it stores its own, with what is to be subtracted from lights."""
        name:
            f"hand_over_flat_{program}"
        input:
            flat=of_set("divisor"),
            frame=ancient(of_set("first_frame")),
            inventory="<results>/{set}/frames.tsv",
            bias=of_set("bias"),
        output:
            **handover.masters(program),
        log:
            f"<logs>/{{set}}/for_{program}.log",
        params:
            options=of_set("named_after"),
        script:
            "../scripts/hand_over_flat.py"

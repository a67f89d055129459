"""Combining frames: subsets, their differences, and the masters of the whole set."""


rule combine_band:
    """A band of the rows of a subset or master: only where `bands` cuts combinations into several jobs."""
    input:
        frames=frames_of_product,
        inspected="<results>/{set}/inspected.tsv",
        bias=bias_of_set,
    output:
        part="<results>/{set}/bands/{product}/{band}.fits",
    log:
        "<logs>/{set}/bands/{product}/{band}.log",
    benchmark:
        "<benchmarks>/{set}/bands/{product}/{band}.tsv"
    threads: threads_of_set
    resources:
        memory_mb=memory_of_band,
        mem_mb=whole_job(memory_of_band),
    params:
        options=config["combine"],
        source=source_of_band,
    script:
        "../scripts/combine_band.py"


rule combine_subset:
    """Combined mosaic of the frames between two rotations, DN above black, not debayered."""
    input:
        frames=unless_banded(frames_of_subset),
        bands=bands_of("subsets/{subset}"),
        inspected="<results>/{set}/inspected.tsv",
        bias=bias_of_set,
    output:
        subset="<results>/{set}/subsets/{subset}.fits",
    log:
        "<logs>/{set}/subsets/{subset}.log",
    benchmark:
        "<benchmarks>/{set}/subsets/{subset}.tsv"
    threads: threads_of_set
    resources:
        memory_mb=memory_of_set,
        mem_mb=whole_job(memory_of_set),
    params:
        options=config["combine"],
        rotation=rotation_of_subset,
        source=source_of_subset,
    script:
        "../scripts/combine_subset.py"


rule subtract_subsets:
    """Difference of two subsets, in DN, percent and standard errors: what turned with the camera and what did not."""
    input:
        pair=pair_of_subsets,
    output:
        difference="<results>/{set}/differences/{pair}.fits",
    log:
        "<logs>/{set}/differences/{pair}.log",
    script:
        "../scripts/subtract_subsets.py"


rule combine_flat:
    """Master mosaic of all used frames of a set, with its standard error and mask."""
    input:
        frames=unless_banded(frames_of_set),
        bands=bands_of("flat_cfa"),
        inspected="<results>/{set}/inspected.tsv",
        bias=bias_of_set,
    output:
        flat="<results>/{set}/flat_cfa.fits",
    log:
        "<logs>/{set}/flat_cfa.log",
    benchmark:
        "<benchmarks>/{set}/flat_cfa.tsv"
    threads: threads_of_set
    resources:
        memory_mb=memory_of_set,
        mem_mb=whole_job(memory_of_set),
    params:
        options=config["combine"],
        source=source_of_set,
    script:
        "../scripts/combine_flat.py"


rule debayer_flat:
    """Debayered master of the whole set, linear camera RGB, DN above black, and its standard errors."""
    input:
        frames=unless_banded(frames_of_set, "flat"),
        bands=bands_of("flat"),
        inspected="<results>/{set}/inspected.tsv",
        bias=bias_of_set,
    output:
        flat="<results>/{set}/flat.fits",
        uncert="<results>/{set}/flat_uncert.fits",
    log:
        "<logs>/{set}/flat.log",
    benchmark:
        "<benchmarks>/{set}/flat.tsv"
    threads: threads_of_set
    resources:
        memory_mb=memory_of_debayering,
        mem_mb=whole_job(memory_of_debayering),
    params:
        options=config["combine"],
        source=source_of_debayering,
    script:
        "../scripts/debayer_flat.py"


rule solve_illumination:
    """The light source told from the camera by the angles of the subsets, and the flat without it."""
    input:
        subsets=subsets_of_set,
        flat="<results>/{set}/flat_cfa.fits",
        bias=bias_of_set,
    output:
        terms="<results>/{set}/illumination.tsv",
        tests="<results>/{set}/illumination_tests.tsv",
        cross="<results>/{set}/cross.tsv",
        source="<results>/{set}/illumination.fits",
        response="<results>/{set}/response.fits",
        rgb="<results>/{set}/response_rgb.fits",
    log:
        "<logs>/{set}/illumination.log",
    params:
        subsets=names_of_subsets,
        rotations=rotations_of_set,
        degree=config["illumination"],
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
    script:
        "../scripts/check_flat.py"

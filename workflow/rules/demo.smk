"""The demo: raw frames of a simulated camera, and how close the analysis comes to their truth."""


rule simulate_flats:
    """Raw flats of a simulated camera (DNG), and its true response and light source."""
    output:
        frames=expand(
            "<resources>/demo/{{demo_set}}/DSC{number:05d}.dng", number=range(1, 3 * config["demo"]["frames"] + 1)
        ),
        truth="<resources>/demo/truth/{demo_set}.fits",
    log:
        "<logs>/demo/simulate_flats/{demo_set}.log",
    priority: 200
    params:
        options=config["demo"],
    script:
        "../scripts/simulate_flats.py"


rule simulate_lights:
    """Raw lights of the simulated camera (DNG), and the true scenes."""
    output:
        frames=demo.light_files("<resources>/demo"),
        truth="<resources>/demo/truth/lights.fits",
    log:
        "<logs>/demo/simulate_lights.log",
    priority: 200
    params:
        options=config["demo"],
    script:
        "../scripts/simulate_lights.py"


rule compare_truth:
    """Recovered against true: flats, vignetting and lights of the demo."""
    input:
        flats=expand("<results>/{set}/flat.fits", set=DEMO_SETS),
        masters=expand("<results>/{set}/flat_cfa.fits", set=DEMO_SETS),
        responses=expand("<results>/{set}/response.fits", set=DEMO_SETS),
        noise=expand("<results>/{set}/noise.tsv", set=DEMO_SETS),
        truths=expand("<resources>/demo/truth/{set}.fits", set=DEMO_SETS),
        lights=[f"<results>/lights/{name}/{stem}.fits" for name in DEMO_LIGHTS for stem in LIGHTS[name]],
        scenes="<resources>/demo/truth/lights.fits" if DEMO_LIGHTS else [],
        sets="<results>/sets.tsv",
    output:
        truth="<results>/demo.tsv",
    log:
        "<logs>/demo.log",
    params:
        options={"sets": DEMO_SETS, "regions": {name: config["regions"][name] for name in ("center", "corner")}},
    script:
        "../scripts/compare_truth.py"

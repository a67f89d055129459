"""Flats applied to lights, and why a light is over- or under-corrected.

The row of a frame in the inventory follows from the frame, its offsets and how it is inspected (an option of each job),
so that one light more or less, which changes the table, makes no other light again.
"""


rule import_flat:
    """A master flat of any program as lights need it, and what is known of it, which is little."""
    input:
        old=of_light("master"),
    output:
        flat="<results>/lights/{light}/flat/flat_cfa.fits",
        inspected="<results>/lights/{light}/flat/inspected.tsv",
        noise="<results>/lights/{light}/flat/noise.tsv",
        tests="<results>/lights/{light}/flat/illumination_tests.tsv",
        terms="<results>/lights/{light}/flat/illumination.tsv",
        geometry="<results>/lights/{light}/flat/geometry.tsv",
    log:
        "<logs>/lights/{light}/flat.log",
    wildcard_constraints:
        light=PLAN.imported,
    params:
        options=of_light("importing"),
    script:
        "../scripts/import_flat.py"


if PLAN.is_linear:

    rule apply_flat:
        """Calibrated light, and what explains that it is not even."""
        input:
            frame=of_light("frame", "{frame}"),
            flat=of_light("divisor"),
            whole=of_light("whole_flat"),
            source=of_light("light_source"),
            model=of_light("model"),
            noise=of_light("noise"),
            bias=of_light("bias"),
            dark=of_light("dark"),
            dark_inventory=of_light("dark_inventory"),
            linearity=of_light("linearity"),
            inventory=ancient("<results>/lights/{light}/frames.tsv"),
            agreement=ancient("<results>/lights/{light}/agreement.tsv"),
        output:
            mosaic="<results>/lights/{light}/{frame}.fits",
            diagnosis="<results>/lights/{light}/diagnosis/{frame}.tsv",
            falloff="<results>/lights/{light}/falloff/{frame}.tsv",
        log:
            "<logs>/lights/{light}/{frame}.log",
        benchmark:
            "<benchmarks>/lights/{light}/{frame}.tsv"
        wildcard_constraints:
            light=PLAN.linear_lights,
        group:
            "lights"
        params:
            options=of_light("applying", "{frame}"),
        script:
            "../scripts/apply_flat.py"


for kind, (names, products) in PLAN.exports.items():

    rule:
        """Products of a calibrated light for people and other programs; those not in `apply.products` on demand."""
        name:
            f"export_light{kind}"
        input:
            mosaic="<results>/lights/{light}/{frame}.fits",
            frame=of_light("frame", "{frame}"),
            inventory=ancient("<results>/lights/{light}/frames.tsv"),
        output:
            **products,
        log:
            f"<logs>/lights/{{light}}/{{frame}}_export{kind}.log",
        wildcard_constraints:
            light=names,
        group:
            "lights"
        params:
            options=of_light("reading_frame", "{frame}"),
        script:
            "../scripts/export_light.py"


rule write_siril_script:
    """Script with which Siril registers and stacks the calibrated lights that are handed over to it."""
    input:
        frames=of_usable_light("siril_frames"),
        inventory=of_light("inventory"),
    output:
        script=f"<results>/lights/{{light}}/{handover.STACKING}",
    log:
        "<logs>/lights/{light}/stack.log",
    wildcard_constraints:
        light=PLAN.linear_lights,
    localrule: True
    params:
        options=of_light("named_after"),
    script:
        "../scripts/write_siril_script.py"


rule find_stars:
    """Stars of a calibrated light: places, and fluxes by colour."""
    input:
        mosaic="<results>/lights/{light}/{frame}.fits",
    output:
        stars="<results>/lights/{light}/stars/{frame}.tsv",
    log:
        "<logs>/lights/{light}/{frame}_stars.log",
    wildcard_constraints:
        light=PLAN.linear_lights,
    group:
        "lights"
    script:
        "../scripts/find_stars.py"


rule compare_stars:
    """Error of the flat that stars show which came to several places of the sensor, and whether they agree."""
    input:
        tables=of_usable_light("star_tables"),
        inventory=of_light("inventory"),
    output:
        stars="<results>/lights/{light}/stars.tsv",
    log:
        "<logs>/lights/{light}/stars.log",
    wildcard_constraints:
        light=PLAN.linear_lights,
    script:
        "../scripts/compare_stars.py"


if not PLAN.is_linear:

    rule apply_flat_to_picture:
        """Picture divided by the flat, per channel (wrong: the picture is gamma-coded), and its centre/corner ratios."""
        input:
            frame=of_light("frame", "{frame}"),
            flat=of_light("debayered_flat"),
            inventory=ancient("<results>/lights/{light}/frames.tsv"),
        output:
            planes="<results>/lights/{light}/{frame}_rgb.fits",
            picture="<results>/lights/{light}/{frame}.png",
            vignetting="<results>/lights/{light}/vignetting/{frame}.tsv",
        log:
            "<logs>/lights/{light}/{frame}.log",
        group:
            "lights"
        params:
            options=of_light("applying", "{frame}"),
        script:
            "../scripts/apply_flat_to_picture.py"


rule measure_vignetting:
    """Centre, corner and ratio of each frame of a light, before, in the flat, and after."""
    input:
        mosaics=of_usable_light("mosaics"),
        flat=of_light("divisor"),
        recorded=of_light("recorded"),
        model=of_light("model"),
        linearity=of_light("linearity"),
    output:
        vignetting="<results>/lights/{light}/vignetting.tsv",
    log:
        "<logs>/lights/{light}/vignetting.log",
    wildcard_constraints:
        light=PLAN.linear_lights,
    params:
        options=of_light("measuring_vignetting"),
    script:
        "../scripts/measure_vignetting.py"


rule collect_vignetting:
    """The same of lights that were developed before the division."""
    input:
        tables=of_usable_light("vignetting_tables"),
    output:
        vignetting="<results>/lights/{light}/vignetting.tsv",
    log:
        "<logs>/lights/{light}/vignetting.log",
    wildcard_constraints:
        light=PLAN.developed_lights,
    localrule: True
    script:
        "../scripts/collect_vignetting.py"


rule diagnose_light:
    """Causes of unevenness in a developed light after the division: a picture, or a raw developed by LibRaw."""
    input:
        frame=of_light("frame", "{frame}"),
        inventory=ancient(of_light("inventory")),
        flat=of_light("whole_flat"),
        source=of_light("light_source"),
        bias=of_light("bias"),
        dark=of_light("dark"),
        dark_inventory=of_light("dark_inventory"),
    output:
        diagnosis="<results>/lights/{light}/diagnosis/{frame}.tsv",
        falloff="<results>/lights/{light}/falloff/{frame}.tsv",
        plot=report(
            "<results>/lights/{light}/{frame}_diagnosis.png",
            caption="../report/diagnosis.rst",
            category="lights",
            labels={"figure": "{light} {frame}: diagnosis"},
        ),
    log:
        "<logs>/lights/{light}/{frame}_diagnosis.log",
    wildcard_constraints:
        light=PLAN.developed_lights,
    group:
        "lights"
    params:
        options=of_light("diagnosing", "{frame}"),
    script:
        "../scripts/diagnose_light.py"


rule collect_diagnosis:
    """Causes and falloff of each frame of a light."""
    input:
        diagnoses=of_usable_light("diagnosis_tables"),
        falloffs=of_usable_light("falloff_tables"),
    output:
        diagnosis="<results>/lights/{light}/diagnosis.tsv",
        falloff="<results>/lights/{light}/falloff.tsv",
    log:
        "<logs>/lights/{light}/diagnosis.log",
    localrule: True
    script:
        "../scripts/collect_diagnosis.py"

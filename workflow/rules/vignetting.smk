"""Centre against corner: is a light over- or under-corrected, and why?"""


rule collect_vignetting:
    """Centre, corner and ratio of each light frame, before, in the flat, and after."""
    input:
        tables=vignetting_of_light,
    output:
        vignetting="<results>/lights/{light}/vignetting.tsv",
    log:
        "<logs>/lights/{light}/vignetting.log",
    script:
        "../scripts/collect_vignetting.py"


rule diagnose_light:
    """Causes of a light that is not even after the division, each supported, excluded or not identifiable."""
    input:
        frame=frame_of_light,
        inventory=inventory_of_light,
        flat=whole_flat_of_light,
        source=source_of_light,
        bias=bias_of_light,
        dark=dark_of_light,
        dark_inventory=dark_inventory_of_light,
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
    params:
        options=diagnosis_options,
        file=label_of_light,
        overscan=overscan_of_light,
    script:
        "../scripts/diagnose_light.py"


rule collect_diagnosis:
    """Causes and falloff of each frame of a light."""
    input:
        diagnoses=diagnoses_of_light,
        falloffs=falloffs_of_light,
    output:
        diagnosis="<results>/lights/{light}/diagnosis.tsv",
        falloff="<results>/lights/{light}/falloff.tsv",
    log:
        "<logs>/lights/{light}/diagnosis.log",
    script:
        "../scripts/collect_diagnosis.py"

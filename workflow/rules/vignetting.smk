"""Centre against corner: is a light over- or under-corrected?"""


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

"""Flat-field analysis: what `snakemake --cores 8` finds. The table of contents is workflow/Snakefile."""


include: "workflow/Snakefile"


workflow.default_target = "all"

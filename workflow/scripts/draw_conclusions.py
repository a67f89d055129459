"""Draw the conclusions of all tables: what went in, which set is best, how good the flats are, and warnings."""

import yaml
from flatfield.files.job import logged_job
from flatfield.report.conclusions import conclude
from flatfield.files.tables import read_table, tables_by_folder
from flatfield.files.writing import write_text


def main(inputs, conclusions, preset):
    """Write the sentences as YAML.

    Parameters
    ----------
    inputs : dict
        sets, and lists of tables: inventories, noise, uniformity, illumination, models, drift, vignetting, diagnosis,
        agreement, preset, demo.
    conclusions : str
        YAML file to write, see `flatfield.report.conclusions.conclude`.
    preset : dict or None
        Its name.
    """
    tables = {name: tables_by_folder(paths) for name, paths in inputs.items() if name not in ("sets", "preset", "demo")}
    story = conclude(
        read_table(inputs["sets"]),
        tables["inventories"],
        [tables[name] for name in ("noise", "uniformity", "illumination", "models", "drift")],
        [tables[name] for name in ("vignetting", "diagnosis", "agreement")],
        (
            preset and preset["name"],
            *(tables_by_folder(inputs["preset"], name) for name in ("vignetting.tsv", "diagnosis.tsv")),
        ),
        [row for path in inputs["demo"] for row in read_table(path)],
    )
    story["warnings"] = [list(pair) for pair in story["warnings"]]
    write_text(conclusions, yaml.safe_dump(story, sort_keys=False, allow_unicode=True, width=110))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(dict(snakemake.input.items()), snakemake.output.conclusions, snakemake.params.preset)

"""Draw conclusions from all tables: what went in, which set is best, how good the flats are, and warnings."""

import yaml

from flatfield.files.frame_table import gather_frames
from flatfield.files.job import run
from flatfield.files.tables import gather_tables, read_table
from flatfield.files.writing import write_text
from flatfield.report.conclusions import conclude


def main(inventories, tables, light_tables, preset_tables, demo, sets, conclusions, preset):
    """Write the sentences as YAML.

    Parameters
    ----------
    inventories, tables, light_tables, preset_tables, demo : list of str
        ``frames.tsv`` and other tables of the sets; tables of the lights; of the preset; ``demo.tsv``, if there is one.
    sets : str
        ``sets.tsv``.
    conclusions : str
        YAML file to write, see `flatfield.report.conclusions.conclude`.
    preset : str or None
        Name of the preset.
    """
    story = conclude(
        read_table(sets),
        gather_frames(inventories),
        gather_tables(tables),
        gather_tables(light_tables),
        (preset, gather_tables(preset_tables)),
        [row for path in demo for row in read_table(path)],
    )
    write_text(conclusions, yaml.safe_dump(story, sort_keys=False, allow_unicode=True, width=110))


if "snakemake" in globals():
    run(main, snakemake)

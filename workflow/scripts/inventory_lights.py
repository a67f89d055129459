"""Make the inventory of a light, and check that the flat fits it."""

from flatfield.cfa import ColorFilterArray
from flatfield.errors import CalibrationError, FrameError
from flatfield.inventory import columns, inspect_frames, used_frames
from flatfield.job import logged_job
from flatfield.tables import read_table, write_table


def main(frames, flat_inventory, inventory, options):
    """Write ``frames.tsv`` of a light.

    Parameters
    ----------
    frames : list of str
    flat_inventory : str
        ``frames.tsv`` of the set whose flat is applied.
    inventory : str
        Table to write.
    options : dict
        files (names for the table), light, flat (names), overscan.

    Raises
    ------
    FrameError
        If a light cannot be read.
    CalibrationError
        If a light differs from the flat in size or colour pattern.
    """
    flat = used_frames(read_table(flat_inventory))[0]
    rows = inspect_frames(frames, options["overscan"])
    for row, file in zip(rows, options["files"], strict=True):
        row.update(file=file, subset="", rotation_deg=None)
        if not row["used"]:
            raise FrameError(row["reason"])
        for words, light_has, flat_has in (
            ("pixels", row["size"], f"{flat['rows']} x {flat['columns']}"),
            ("as colour pattern", row["cfa"], flat["cfa"]),
        ):
            if light_has != flat_has:
                raise CalibrationError(
                    f"light {options['light']}: {file} has {light_has} {words}, but the flat '{options['flat']}' "
                    f"({flat['file']}) has {flat_has}; name the flat of that camera in `lights.{options['light']}.flat`"
                )
    write_table(inventory, rows, columns(ColorFilterArray.from_name(rows[0]["cfa"]).channels))


if "snakemake" in globals():
    with logged_job(snakemake.log[0]):
        main(
            snakemake.input.frames,
            snakemake.input.inventory,
            snakemake.output.inventory,
            snakemake.params.options,
        )

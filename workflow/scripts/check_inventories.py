"""Check all that can be known before anything is combined, and sum up what went in."""

from flatfield.files.frame_table import read_frames, used_frames
from flatfield.files.job import run
from flatfield.files.tables import read_table, write_table
from flatfield.measure.boxes import locate_box
from flatfield.measure.calibration import check_fit
from flatfield.measure.consistency import check_counts


def main(sets, lights, left_out, summary, names, flats, excluding, regions, combine, step):
    """Write one row per set and light: kind, name, frames, used.

    Parameters
    ----------
    sets, lights : list of str
        ``frames.tsv`` of each set and light.
    left_out : list of str
        ``left_out.tsv`` of the lights that leave frames out.
    summary : str
        Table to write.
    names : list of str
        Of the sets.
    flats : dict
        Name of the set whose flat is applied, or path of a flat that is there, by light.
    excluding : list of str
        Names of these lights.
    regions, combine : dict
        Sections of the configuration.
    step : int
        Every n-th frame is debayered.

    Raises
    ------
    ConfigurationError
        If a region does not lie within the frames.
    CombinationError
        If a subset has too few frames for the method.
    CalibrationError
        If a light that is not left out differs from its flat in size or colour pattern.
    """
    tables, rows = dict(zip(names, map(read_frames, sets), strict=True)), []
    for name, frames in tables.items():
        used = used_frames(frames)
        for region, box in regions.items():
            locate_box(region, box, used[0].shape)
        check_counts(name, used, combine, step)
        rows.append({"kind": "set", "name": name, "frames": len(frames), "used": len(used)})
    lost = {light: {row["frame"] for row in read_table(path)} for light, path in zip(excluding, left_out, strict=True)}
    for (light, flat), path in zip(flats.items(), lights, strict=True):
        frames = read_frames(path)
        used = [frame for frame in frames if frame.file not in lost.get(light, ())]
        for frame in used if flat in tables else ():  # flats of other projects: check_light
            reference = used_frames(tables[flat])[0]
            check_fit(frame.file, frame.shape, frame.cfa, flat, reference.shape, reference.cfa)
        rows.append({"kind": "light", "name": light, "frames": len(frames), "used": len(used)})
    write_table(summary, rows, ["kind", "name", "frames", "used"])


if "snakemake" in globals():
    run(main, snakemake)

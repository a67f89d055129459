"""Frames that do not belong: each kind planted among clean ones, and clean ones let through."""

import re

import numpy as np
import pytest
from conftest import BLACK, LONG, exif, simulate_mosaic
from test_workflow import table

from flatfield.demo.simulation import write_dng
from flatfield.files.errors import InventoryError
from flatfield.files.frame_table import FrameRecord
from flatfield.measure import inspection, screening
from flatfield.measure.bands import find_bands
from flatfield.measure.saturation import count_values
from flatfield.measure.scales import check_scales
from flatfield.raw.cfa import ColorFilterArray

RGGB = ColorFilterArray.from_name("RGGB")
SHAPE = (120, 180)
TESTS = {
    "drift_percent": 10, "drift_sigma": 8, "dark_percent": 1, "snr": 5, "saturated_percent": 0.5,
    "bands_percent": 0.1, "departure_percent": 1, "departure_sigma": 8,
}  # fmt: skip


def clean(seed, level=6000.0):
    """A frame without margins; exposure drifts by 1 %."""
    rng = np.random.default_rng(seed)
    return simulate_mosaic(rng, RGGB, SHAPE, level * (1 + 0.01 * rng.standard_normal()), margins=(0, 0))


def times(factor):
    """The signal of a frame changed by a map of factors, with the noise of the original."""

    def change(mosaic):
        black = np.tile(np.array(BLACK).reshape(2, 2), (SHAPE[0] // 2, SHAPE[1] // 2))
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        return np.clip(np.rint((mosaic - black) * factor(y, x) + black), 0, 16383).astype(np.uint16)

    return change


def disk(row, column, radius, depth):
    return times(lambda y, x: 1 - depth * ((y - row) ** 2 + (x - column) ** 2 < radius**2))


def star(mosaic, column=60):
    mosaic = mosaic.astype(float)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mosaic += 6000 * np.exp(-((y - 30.3) ** 2 + (x - column - 0.7) ** 2) / (2 * 1.5**2))
    return np.clip(mosaic, 0, 16383).astype(np.uint16)


def overexpose_green(mosaic):
    green = RGGB.channel_map(SHAPE) == 1
    return np.where(green, np.minimum(mosaic * 3.5, 16383), mosaic).astype(np.uint16)


BAD = {
    "exposure": (times(lambda y, x: 0.8), "exposure: its level is"),
    "brighter": (times(lambda y, x: 1.2), "exposure: its level is"),
    "lens cap": (times(lambda y, x: 0.001), "too dark"),
    "saturated in one channel": (overexpose_green, "saturated: .* of GREEN"),
    "moved dust": (disk(70, 100, 9, 0.03), "departs from the others by -"),
    "dew": (times(lambda y, x: 1 - 0.06 * np.exp(-((y - 60) ** 2 + (x - 90) ** 2) / 1800)), "departs"),
    "star": (star, r"departs from the others by \+"),
    "shadow": (times(lambda y, x: np.where(x + y < 60, 0.9, 1)), "departs from the others by -"),
    "blank": (lambda mosaic: np.full_like(mosaic, 4000), "blank: every pixel is 4000 DN"),
}


def write(folder, mosaics):
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, mosaic in enumerate(mosaics):
        paths.append(str(folder / f"DSC{index + 1:04d}.dng"))
        write_dng(paths[-1], mosaic, exif(index), margins=(0, 0), black=BLACK)
    return paths


def screen(paths, owners=None, bad_frames="exclude", min_frames=3, **tests):
    rows, statistics = inspection.inspect_frames(paths, paths, threads=2, screened=True)
    screening.screen_frames(rows, statistics, owners or ["A"] * len(rows), TESTS | tests, min_frames, bad_frames)
    return rows


@pytest.mark.parametrize("name", BAD)
def test_a_bad_frame_is_found(tmp_path, name):
    change, words = BAD[name]
    mosaics = [clean(seed) for seed in range(12)]
    mosaics[4] = change(mosaics[4])
    paths = write(tmp_path, mosaics)
    rows = screen(paths)
    assert [row.used for row in rows] == [index != 4 for index in range(12)]
    assert re.search(words, rows[4].reason)
    with pytest.raises(InventoryError, match=r"DSC0005\.dng does not belong in a flat: .*; take it out"):
        screen(paths, bad_frames="error")


def test_a_copy_is_found_whatever_its_metadata_say(tmp_path):
    mosaics = [clean(seed) for seed in range(8)]
    mosaics[6] = mosaics[2]
    paths = write(tmp_path, mosaics)
    rows = screen(paths, owners=["A"] * 4 + ["B"] * 4)
    assert [row.used for row in rows] == [index != 6 for index in range(8)]
    assert rows[6].reason.startswith("same content as ") and rows[6].reason.endswith("DSC0003.dng")
    assert rows[2].sha256 != rows[6].sha256  # the time of capture differs


def test_all_kinds_at_once(tmp_path):
    mosaics = [clean(seed) for seed in range(30)]
    planted = range(2, 2 + 3 * len(BAD), 3)
    for index, (change, _) in zip(planted, BAD.values(), strict=True):
        mosaics[index] = change(mosaics[index])
    rows = screen(write(tmp_path, mosaics))
    assert [index for index, row in enumerate(rows) if not row.used] == list(planted)


def test_of_many_clean_frames_none_is_refused(tmp_path):
    rows = screen(write(tmp_path, (clean(seed) for seed in range(1000 if LONG else 300))))
    assert all(row.used and not row.reason for row in rows)
    largest = max(row.departure_sigma for row in rows)
    # 1000 frames of 3 x 15 x 22 blocks: 990000 normal deviates reach 5; noise in the corners is estimated
    assert 4 < largest < 7


def bands(amplitude, phase, period=15):
    return times(lambda y, x: 1 + amplitude * np.sin(2 * np.pi * (y / period + phase)))


def test_bands_of_a_lamp_that_flickers_are_found_in_one_frame(tmp_path):
    mosaics = [clean(seed) for seed in range(10)]
    mosaics[6] = bands(0.006, 0.2)(mosaics[6])  # less than a block that departs
    rows = screen(write(tmp_path, mosaics))
    assert [index for index, row in enumerate(rows) if not row.used] == [6]
    assert re.search(r"bands of 0\.[4-8]\d* % with a period of 15 rows", rows[6].reason)


def test_bands_in_all_frames_are_said(tmp_path):
    rng = np.random.default_rng(3)
    rows = screen(write(tmp_path, [bands(0.01, rng.random())(clean(seed)) for seed in range(10)]))
    assert all(row.used for row in rows)
    assert sum(row.reason.startswith("kept, as most are so: bands of") for row in rows) >= 8


def test_bands_as_narrow_as_half_a_percent_in_means_of_rows():
    """12 megapixels, S/N 100: noise of a row 0.016 %, and as much of reading it."""
    rng, rows = np.random.default_rng(5), np.arange(2848)
    shade = 1 / (1 + 0.5 * ((rows - 1424) / 2500) ** 2) ** 2
    noise = 2.3e-4 * rng.standard_normal((10, 2848))
    for period in (20, 90, 400):
        found = find_bands(shade * (1 + 0.005 * np.sin(2 * np.pi * (rows / period + rng.random((10, 1)))) + noise))
        assert all(each is not None and each[1] == pytest.approx(period, rel=0.02) for each in found)
    clouds = sum(
        0.01 / k**2 * rng.standard_normal((10, 1)) * np.cos(2 * np.pi * k * rows / 4000 + rng.uniform(0, 6, (10, 1)))
        for k in range(1, 20)
    )
    assert not any(find_bands(shade * (1 + clouds + noise)))


@pytest.mark.parametrize("level", [6000, 2000])
def test_a_cloud_in_one_frame_is_found_by_its_gradient(tmp_path, level):
    mosaics = [clean(seed, level) for seed in range(10)]
    mosaics[4] = times(lambda y, x: 1 + 0.05 * (x / SHAPE[1] - 0.5))(mosaics[4])
    rows = screen(write(tmp_path, mosaics))
    assert [index for index, row in enumerate(rows) if not row.used] == [4]
    assert "by a gradient of" in rows[4].reason


def test_a_gradient_that_grows_is_that_of_a_twilight(tmp_path):
    rows = screen(write(tmp_path, [
        times(lambda y, x, seed=seed: 1 + 0.006 * seed * (x / SHAPE[1] - 0.5))(clean(seed)) for seed in range(10)
    ]))  # fmt: skip
    assert all(row.used and not row.reason for row in rows)


def scales(depths, mismatch="error", white=True, stored=1):
    """Frames of 14 bit, those listed with fewer bits; their records after the check."""
    records, statistics, rng = [], [], np.random.default_rng(1)
    for index in range(8):
        part = depths.get(index, 1)
        mosaic = np.rint((rng.poisson(9000, SHAPE) / 2 + 512) / part).astype(np.uint16) * np.uint16(
            stored if part > 1 else 1
        )
        values = count_values(mosaic, RGGB)
        statistics.append(screening.measure_frame(mosaic, np.full(4, 512.0 / part * stored), RGGB, values))
        record = FrameRecord(f"{index}.dng", level_dn=4500 / part * stored, snr=statistics[-1].snr)
        record.white_dn = 16383 // part if white else 65535.0
        records.append(record)
    check_scales(records, statistics, mismatch)
    return records


def test_two_bit_depths_are_refused():
    low = dict.fromkeys((2, 3), 4)
    with pytest.raises(InventoryError, match=r"16383 DN in most frames, but .* 4095 DN in 2\.dng, 3\.dng"):
        scales(low)
    with pytest.raises(InventoryError, match="4 DN apart"):  # 12 bits stored in 14
        scales(low, white=False, stored=4)
    with pytest.raises(InventoryError, match="where the S/N of a pixel is the same"):
        scales(low, white=False)
    kept = scales(low, mismatch="exclude")
    assert [frame.used for frame in kept] == [True, True, False, False, True, True, True, True]
    assert all(frame.used for frame in scales({}))


def test_frames_are_compared_within_their_subset(tmp_path):
    """The light source turned with the camera: all frames of a subset differ from those of another."""
    left = times(lambda y, x: 1 + 0.05 * np.cos(x / 40))
    right = times(lambda y, x: 1 - 0.05 * np.cos(x / 40))
    mosaics = [(left if seed < 6 else right)(clean(seed)) for seed in range(12)]
    paths = write(tmp_path, mosaics)
    assert all(record.used for record in screen(paths, owners=["A"] * 6 + ["B"] * 6))


@pytest.mark.parametrize("drift", [lambda i: 1 + 0.03 * np.sin(i / 4), lambda i: 1 + 0.05 * np.sin(i / 4)])
def test_a_wrong_exposure_is_found_beside_drift(tmp_path, drift):
    levels = [6000 * drift(index) * (1.15 if index == 7 else 0.85 if index == 20 else 1) for index in range(30)]
    rows = screen(write(tmp_path, [clean(seed, level) for seed, level in enumerate(levels)]))
    assert [index for index, row in enumerate(rows) if not row.used] == [7, 20]


def test_a_faint_shadow_is_found_in_noisy_frames(tmp_path):
    """At S/N 14, where no single block tells."""
    mosaics = [clean(seed, 400) for seed in range(12)]
    mosaics[3] = times(lambda y, x: np.where(x + y < 100, 0.92, 1))(mosaics[3])
    rows = screen(write(tmp_path, mosaics))
    assert [index for index, row in enumerate(rows) if not row.used] == [3]


def test_a_fading_twilight_is_kept(tmp_path):
    rows = screen(write(tmp_path, [clean(seed, 9000 - 500 * seed) for seed in range(10)]))
    assert all(row.used for row in rows)


def test_stars_in_every_frame_are_kept_and_said(tmp_path):
    """Telescopes move between twilight flats: stars are in each frame, elsewhere; the combination rejects them."""
    mosaics = [star(clean(seed), column=60 + 8 * seed) for seed in range(10)]
    rows = screen(write(tmp_path, mosaics))
    assert all(row.used and row.reason.startswith("kept, as most are so: departs") for row in rows)


def test_a_subset_keeps_its_frames_rather_than_too_few(tmp_path):
    mosaics = [clean(seed) for seed in range(4)]
    mosaics[1], mosaics[2] = star(mosaics[1]), np.full_like(mosaics[2], 4000)
    paths = write(tmp_path, mosaics)
    rows = screen(paths, min_frames=2)
    assert [row.used for row in rows] == [True, False, False, True]
    rows = screen(paths)  # the blank one goes first
    assert [row.used for row in rows] == [True, True, False, True]
    assert rows[1].reason.startswith("kept, as fewer than 3 would be left: departs")
    assert all(row.used for row in screen(paths, min_frames=4))


def test_a_set_that_is_bad_altogether_is_kept_and_said(tmp_path):
    rows = screen(write(tmp_path, [overexpose_green(clean(seed)) for seed in range(6)]))
    assert all(row.used and row.reason.startswith("kept, as most are so: saturated") for row in rows)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_frames_are_not_compared(tmp_path, count):
    rows = screen(write(tmp_path, [clean(0), star(clean(1))][:count]))
    assert all(row.used and row.departure_percent is None for row in rows)


def test_thresholds_are_those_of_the_configuration(tmp_path):
    mosaics = [clean(seed) for seed in range(8)]
    mosaics[3] = disk(70, 100, 9, 0.03)(mosaics[3])
    paths = write(tmp_path, mosaics)
    assert all(row.used for row in screen(paths, departure_percent=5))
    assert all(row.used for row in screen(paths, departure_sigma=1000))


def test_what_is_left_out_is_told(finished, tmp_path):
    """In the inventory, on the front page, and not in the masters."""
    project = finished.copy(tmp_path / "project")
    write_dng(
        project.folder / "raws/first/DSC9.dng",
        np.full((76, 114), 4000, np.uint16),
        exif(8),
        margins=(4, 6),
        black=BLACK,
    )
    project.run("results/conclusions.yaml", "results/first/flat_cfa.fits")
    row = next(row for row in table(project.path("first/frames.tsv")) if row["file"] == "first/DSC9.dng")
    assert (row["used"], row["reason"]) == ("no", "blank: every pixel is 4000 DN")
    story = project.conclusions()
    assert "1 is not used, for the reasons below" in story["frames"][0]
    assert any("blank: every pixel is 4000 DN" in warning for warning, _ in story["warnings"])
    assert "NCOMBINE=                    9" in project.path("first/flat_cfa.fits").read_bytes().decode("latin-1")
    project.change_config(lambda config: config.update(bad_frames="error"))
    done = project.snakemake()
    assert done.returncode and "error: first/DSC9.dng does not belong in a flat: blank" in done.stdout

"""The whole DAG on simulated raws, against a computation written here with numpy and rawpy alone."""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import exifread
import numpy as np
import pytest
import rawpy
import tifffile
import yaml
from astropy import units
from astropy.io import fits
from astropy.nddata import CCDData
from campaign import RECORDS, digests
from conftest import BLACK, LONG, MARGINS, REPOSITORY, Project, exif, simulate_mosaic, write_flats

from flatfield.demo.simulation import CFA, write_dng

EPSILON = np.finfo(np.float32).eps


def table(path):
    header, *lines = Path(path).read_text().splitlines()
    return [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]


def decode(path, letters=None):
    """Signal and colour of each visible pixel, straight from rawpy.

    rawpy 0.28 gives garbage as `raw_colors_visible` of a 6 x 6 pattern with a masked border above (it reads its
    table at negative rows), so that the known letters are taken there.
    """
    with rawpy.imread(str(path)) as raw:
        colors = raw.raw_colors_visible.copy()
        if letters and len(letters) == 36:
            tile = np.array(["RGB".index(letter) for letter in letters]).reshape(6, 6)
            colors = np.tile(tile, [-(-n // 6) for n in colors.shape])[: colors.shape[0], : colors.shape[1]]
        black = np.array(raw.black_level_per_channel, np.float32)[colors]
        return raw.raw_image_visible.astype(np.float32) - black, colors


def natural(folder):
    return sorted(Path(folder).glob("*.dng"), key=lambda path: int(path.stem.removeprefix("DSC")))


def channel_masks(colors):
    return [np.isin(colors, indices) for indices in ([0], [1, 3], [2])]


def levels(signal, colors):
    """Median of each channel over the central quarter."""
    rows, columns = signal.shape
    box = np.s_[rows // 4 : 3 * rows // 4, columns // 4 : 3 * columns // 4]
    return [np.median(signal[box][mask[box]]) for mask in channel_masks(colors)]


def scaled_stack(paths, all_paths):
    """Frames at the mean level of their set, per channel, float64."""
    mean = np.mean([levels(*decode(path)) for path in all_paths], axis=0)
    stack = []
    for path in paths:
        signal, colors = decode(path)
        factors = mean / levels(signal, colors)
        stack.append(signal.astype(float))
        for mask, factor in zip(channel_masks(colors), factors, strict=True):
            stack[-1][mask] *= factor
    return np.array(stack)


def bilinear(signal, mask):
    """Mean of the neighbours of a channel, weighted 2 beside and 1 diagonally, pixel by pixel."""
    rows, columns = signal.shape
    result = np.array(signal, float)
    for i, j in np.argwhere(~mask):
        total = weight = 0.0
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                k, m = i + di, j + dj
                if 0 <= k < rows and 0 <= m < columns and mask[k, m]:
                    w = 2 if 0 in (di, dj) else 1
                    total, weight = total + w * signal[k, m], weight + w
        result[i, j] = total / weight if weight else np.nan  # corners of X-Trans
    return result


@pytest.fixture(scope="module")
def frames(finished):
    return natural(finished.folder / "raws/first")


SUBSETS = {"A": slice(0, 3), "B": slice(3, 6), "C": slice(6, 10)}


@pytest.mark.parametrize("subset", SUBSETS)
def test_scaled_subset_equals_numpy(finished, frames, subset):
    expected = np.median(scaled_stack(frames[SUBSETS[subset]], frames), axis=0)
    found = fits.getdata(finished.path(f"first/subsets/{subset}.fits"))
    assert found.dtype == np.dtype(">f4")
    np.testing.assert_allclose(found, expected, rtol=4 * EPSILON)  # 4 operations in float32


def test_differences(finished):
    for a, b in ("AB", "AC", "BC"):
        first, second = (fits.getdata(finished.path(f"first/subsets/{name}.fits")).astype(float) for name in (a, b))
        with fits.open(finished.path(f"first/differences/{a}-{b}.fits")) as hdus:
            np.testing.assert_allclose(hdus[0].data, first - second, atol=5000 * EPSILON)
            percent = 100 * (first - second) / ((first + second) / 2)
            np.testing.assert_allclose(hdus["PERCENT"].data, percent, rtol=1e-5, atol=1e-5)
            assert units.Unit(hdus["PERCENT"].header["BUNIT"]) == units.percent


def test_master_mosaic_opens_as_ccddata(finished, frames):
    stack = scaled_stack(frames, frames)
    master = CCDData.read(finished.path("first/flat_cfa.fits"))
    np.testing.assert_allclose(master.data, np.median(stack, axis=0), rtol=4 * EPSILON)
    assert master.unit == units.Unit("DN")
    # 10 values: the median's standard error is 1.176 times that of the mean (Monte-Carlo, 10^6 draws, +- 0.001)
    expected = 1.176 * stack.std(axis=0, ddof=1) / np.sqrt(len(frames))
    error = master.uncertainty.array  # of few frames: a mean of variances near by, see docs/science.md
    # 7776 variances of 10 values are known to 0.5 %, and pixels at the border weigh more in the means
    assert np.mean(error**2) == pytest.approx(np.mean(expected**2), rel=0.02)
    assert np.std(error) < 0.8 * np.std(expected)
    assert not master.mask.any()


def test_flat_equals_median_of_interpolated_frames(finished, frames):
    stack = scaled_stack(frames, frames)
    masks = channel_masks(decode(frames[0])[1])
    with fits.open(finished.path("first/flat.fits")) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "RED", "GREEN", "BLUE"]
        assert hdus[0].data is None
        for mask, hdu in zip(masks, hdus[1:], strict=True):
            assert hdu.data.dtype == np.dtype(">f4") and hdu.header["BAND"] == hdu.name
            expected = np.median([bilinear(frame, mask) for frame in stack], axis=0)
            np.testing.assert_allclose(hdu.data, expected, rtol=8 * EPSILON)


def test_statistics_are_those_of_the_boxes(finished):
    boxes = {"center": (36, 54, 20), "corner": (4, 6, 12)}
    rows = table(finished.path("first/stats.tsv"))
    assert len(rows) == 6
    with fits.open(finished.path("first/flat.fits")) as hdus:
        for row in rows:
            r, c, size = boxes[row["region"]]
            values = hdus[row["channel"]].data[r : r + size, c : c + size].astype(float)
            assert (int(row["row"]), int(row["column"]), int(row["size"])) == (r, c, size)
            expected = [values.mean(), values.std(), values.std() / values.mean(), values.mean() / values.std()]
            found = [float(row[name]) for name in ("mean", "std", "std_over_mean", "snr")]
            np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_light_is_divided_by_the_normalised_flat(finished):
    light, colors = decode(finished.folder / "raws/lights/sky.dng")
    master = fits.getdata(finished.path("first/response.fits")).astype(float)
    calibrated = fits.getdata(finished.path("lights/night/sky.fits"))
    masks = channel_masks(colors)
    for mask in masks:
        norm = bilinear(master, mask)[36:56, 54:74].mean()
        np.testing.assert_allclose(calibrated[mask], (light * norm / master)[mask], rtol=4 * EPSILON)
    with fits.open(finished.path("lights/night/sky_rgb.fits")) as planes:
        for mask, hdu in zip(masks, planes[1:], strict=True):
            np.testing.assert_allclose(hdu.data, bilinear(calibrated, mask), rtol=8 * EPSILON)


def test_vignetting_ratios(finished):
    light, colors = decode(finished.folder / "raws/lights/sky.dng")
    rows = {(row["channel"], row["stage"]): row for row in table(finished.path("lights/night/vignetting.tsv"))}
    assert len(rows) == 9
    with (
        fits.open(finished.path("first/response_rgb.fits")) as flat,
        fits.open(finished.path("lights/night/sky_rgb.fits")) as after,
    ):
        for channel, mask in zip(("RED", "GREEN", "BLUE"), channel_masks(colors), strict=True):
            stages = {"before": bilinear(light, mask), "flat": flat[channel].data, "after": after[channel].data}
            for stage, plane in stages.items():
                center, corner = plane[36:56, 54:74].mean(dtype=float), plane[4:16, 6:18].mean(dtype=float)
                row = rows[channel, stage]
                assert row["frame"] == "sky"
                assert float(row["ratio"]) == pytest.approx(center / corner, rel=1e-6)
                if stage != "flat":
                    assert float(row["center"]) == pytest.approx(center, rel=1e-6)
            assert float(rows[channel, "flat"]["center"]) == pytest.approx(1, rel=1e-6)
            # light and flat have the same vignetting, so that the result is even but for noise: S/N per pixel is
            # about 45 at the centre and 30 in the corner, the boxes hold 100 and 36 red pixels or more
            assert float(rows[channel, "after"]["ratio"]) == pytest.approx(1, abs=5 * 0.01)


def test_unscaled_median_is_bit_equal_to_numpy(project):
    project.change_config(lambda config: config.update(combine={"method": "median", "scale": "none"}, lights={}))
    project.run(*[f"results/first/subsets/{name}.fits" for name in SUBSETS], "results/first/flat_cfa.fits")
    frames = natural(project.folder / "raws/first")
    for name, cut in SUBSETS.items():
        expected = np.median([decode(path)[0] for path in frames[cut]], axis=0)
        np.testing.assert_array_equal(fits.getdata(project.path(f"first/subsets/{name}.fits")), expected)
    expected = np.median([decode(path)[0] for path in frames], axis=0)
    np.testing.assert_array_equal(fits.getdata(project.path("first/flat_cfa.fits")), expected)


def test_inventory_says_what_the_files_say(finished, frames):
    rows = table(finished.path("first/frames.tsv"))
    assert [row["file"] for row in rows] == [f"first/DSC{number}.dng" for number in range(1, 11)]
    assert [row["subset"] for row in rows] == list("AAABBBCCCC")
    for row, path in zip(rows, frames, strict=True):
        tags = exifread.process_file(path.open("rb"))
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["iso"] == str(tags["EXIF ISOSpeedRatings"]) and float(row["exposure_s"]) == 1 / 50
        assert row["time"].replace("-", ":").replace("T", " ") == str(tags["EXIF DateTimeOriginal"])
        assert row["used"] == "yes" and row["reason"] == ""
        signal, colors = decode(path)
        found = [float(row[f"level_{name}_dn"]) for name in ("red", "green", "blue")]
        np.testing.assert_allclose(found, levels(signal, colors), rtol=1e-6)


def test_headers_tell_a_stranger_what_he_has(finished, frames):
    header = fits.getheader(finished.path("first/flat_cfa.fits"))
    expected = {
        "BUNIT": "DN",
        "EXPTIME": 0.02,
        "ISOSPEED": 100,
        "INSTRUME": "Demo A7S",
        "TELESCOP": "Test 14mm",
        "FOCALLEN": 14,
        "APERTURE": 2.8,
        "DATE-OBS": "2026-01-01T12:00:00",
        "DATE-END": "2026-01-01T12:00:18",
        "DATE": "2026-01-01T12:00:18",
        "BAYERPAT": "RGGB",
        "ROWORDER": "TOP-DOWN",
        "NCOMBINE": 10,
        "COMBINE": "median",
        "SCALE": "channel",
        "BLACKLVL": 515,
        "PATH": "first",
    }
    assert {key: header[key] for key in expected} == expected
    history = "\n".join(header["HISTORY"])
    for path in frames:
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in history
    assert str(finished.folder) not in header.tostring()


def test_every_fits_file_has_valid_checksums_and_every_product_is_there(finished, recwarn):
    products = sorted(finished.path("").rglob("*.fits"))
    assert len(products) == 4 + 3 + 2 * 11 + 2  # subsets, differences, sets, the light
    for path in products:
        with fits.open(path, checksum=True) as hdus:
            for hdu in hdus:
                assert "CHECKSUM" in hdu.header and "DATASUM" in hdu.header
                assert hdu.data is None or hdu.data.size
    assert not [warning for warning in recwarn if "hecksum" in str(warning.message)]
    assert not list(finished.path("").rglob("*.part"))


def test_second_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.run()


def test_cores_and_surroundings_do_not_matter(started, finished):
    """Nor do the process, the order in which the file system lists files, and who may read them."""
    assert digests(started.path(""), RECORDS) == digests(finished.path(""), RECORDS)


@pytest.mark.skipif(not LONG, reason="takes a minute: make test-long")
def test_one_core_is_enough(fresh, finished, tmp_path):
    again = fresh.copy(tmp_path / "again")
    again.run_apart(cores=1)
    assert digests(again.path(""), RECORDS) == digests(finished.path(""), RECORDS)


#: Settings by which the libraries take this processor for one without AVX and fused multiply-add.
OLD_PROCESSOR = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "OPENBLAS_CORETYPE": "Nehalem",
}


@pytest.mark.skipif(platform.machine() != "x86_64", reason="knows what to switch off on x86-64 only")
def test_another_processor_gives_the_same_masters_and_nearly_the_same_solutions(fresh, finished, tmp_path):
    again = fresh.copy(tmp_path / "again")
    masters = ["flat_cfa.fits", "flat.fits", "flat_uncert.fits", "subsets/A.fits", "differences/A-B.fits"]
    solved = ["response.fits", "models/model.fits", "../lights/night/sky.fits"]
    targets = [os.path.normpath(f"results/first/{name}") for name in masters + solved]
    code = (
        "import sys, one_process; from pathlib import Path; "
        "done = one_process.snakemake(Path(sys.argv[1]), *sys.argv[2:]); "
        "sys.exit(done.stdout if done.returncode else 0)"
    )
    places = f"{REPOSITORY / 'tests'}:{REPOSITORY / 'workflow/scripts'}"
    environment = os.environ | OLD_PROCESSOR | {"PYTHONPATH": places, "NUMBA_CACHE_DIR": str(tmp_path / "code")}
    command = [sys.executable, "-c", code, again.folder, *targets]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-5000:]
    for name in masters:
        assert again.path(f"first/{name}").read_bytes() == finished.path(f"first/{name}").read_bytes(), name
    for name in solved:
        with fits.open(again.path(f"first/{name}")) as ours, fits.open(finished.path(f"first/{name}")) as others:
            np.testing.assert_allclose(ours[0].data, others[0].data, rtol=1e-6)


@pytest.mark.parametrize("algorithm", ["bilinear", "AHD"])
def test_little_memory_gives_the_same_bytes(tmp_path, algorithm):
    """Frames in a scratch file of the job, where none are kept for the run: only log and report show it."""
    project = Project.create(tmp_path / "project")
    write_flats(project.folder / "raws", 12, shape=(300, 400))
    config = {"raw_root": "raws", "sets": {"only": {"frames": "*.dng"}}, "debayer": {"algorithm": algorithm}}
    config["scratch_mb"] = 0
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    products = ("subsets/all.fits", "flat_cfa.fits", "flat.fits")
    targets = [f"results/only/{name}" for name in products]
    found = []
    for memory in (4000, 256):
        project.configure(config | {"memory_mb": memory})
        project.run("--forceall", "--default-resources", f"tmpdir='{scratch}'", "--", *targets)
        found.append([project.path(f"only/{name}").read_bytes() for name in products])
        logs = "".join(path.read_text() for path in project.path("logs/only").glob("**/*.log"))
        assert ("in memory" in logs, f"in a scratch file in {scratch}" in logs) == (memory == 4000, memory == 256)
        assert not list(scratch.iterdir())
    assert found[0] == found[1]


def test_too_little_memory_is_a_clear_error(project):
    project.change_config(lambda config: config.update(memory_mb=100, scratch_mb=0))
    done = project.snakemake("results/first/flat_cfa.fits")
    assert done.returncode and "error: memory_mb: 100 is too little for 10 frames of 72 x 108 pixels" in done.stdout


def test_notebook_preset_is_the_notebooks_arithmetic(project):
    targets = ["results/first/flat.fits", "results/lights/night/vignetting.tsv"]
    project.run("--configfile", "config/notebook.yaml", "--", *targets)
    frames = natural(project.folder / "raws/first")[::2]
    planes = []
    for path in frames:
        with rawpy.imread(str(path)) as raw:
            planes.append(
                raw.postprocess(
                    gamma=(1, 1),
                    output_bps=16,
                    use_camera_wb=False,
                    use_auto_wb=False,
                    no_auto_bright=True,
                    no_auto_scale=True,
                    output_color=rawpy.ColorSpace.raw,
                ).astype(np.float32)
            )
    median = np.median(planes, axis=0)
    with rawpy.imread(str(project.folder / "raws/lights/sky.dng")) as raw:
        light = raw.postprocess()
    rows = {(row["channel"], row["stage"]): row for row in table(project.path("lights/night/vignetting.tsv"))}
    with fits.open(project.path("first/flat.fits")) as hdus:
        assert hdus[0].header["NCOMBINE"] == 5
        for index, channel in enumerate(("RED", "GREEN", "BLUE")):
            flat = median[..., index]
            np.testing.assert_array_equal(hdus[channel].data, flat)
            flat = flat / flat.max()
            stages = {"before": light[..., index], "flat": flat, "after": light[..., index] / flat}
            for stage, plane in stages.items():
                center, corner = plane[36:56, 54:74].mean(dtype=float), plane[4:16, 6:18].mean(dtype=float)
                row = rows[channel, stage]
                found = [float(row[name]) for name in ("center", "corner", "ratio")]
                np.testing.assert_allclose(found, [center, corner, center / corner], rtol=1e-6)


def test_preset_stands_beside_in_the_report(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    project.change_config(lambda config: config.update(compare="config/notebook.yaml"))
    project.run()
    assert table(project.path("notebook/lights/night/vignetting.tsv"))
    page = project.path("report.html").read_text()
    assert "Beside the preset notebook" in page and "gamma-coded" in page


def test_another_preset_is_not_taken_for_the_notebook(finished, tmp_path):
    project = finished.copy(tmp_path / "project")
    (project.folder / "averaged.yaml").write_text("combine: {method: mean}")
    project.change_config(lambda config: config.update(compare="averaged.yaml"))
    project.run()
    page = project.path("report.html").read_text()
    assert "Beside the preset averaged" in page
    assert "gamma-coded" not in page and "notebook did" not in page


def test_saturated_pixels_are_masked_whatever_the_camera_says(project):
    for path in natural(project.folder / "raws/second"):
        mosaic = tifffile.imread(path)
        mosaic[20:40, 30:50] = 9000  # piles up far below the white level of the metadata, 16383
        write_dng(path, np.minimum(mosaic, 9000), exif(int(path.stem[3:])), margins=MARGINS, black=BLACK)
    project.run("results/second/flat_cfa.fits")
    mask = fits.getdata(project.path("second/flat_cfa.fits"), "MASK")
    expected = np.zeros(mask.shape, bool)
    expected[20 - MARGINS[0] : 40 - MARGINS[0], 30 - MARGINS[1] : 50 - MARGINS[1]] = True
    np.testing.assert_array_equal(mask == 2, expected)


def test_strange_names_and_equal_names_in_two_folders(tmp_path):
    """The right factor reaches the right frame, whatever the files are called; whole numbers may be written 3.0.

    Results go to a folder of the user's choice.
    """
    project = Project.create(tmp_path / "project")
    for folder, level in (("a b", 2000), ("b\u00a0ü", 8000)):
        for number, name in enumerate(("-x  1", "-x\u00a01", "$\\alpha_ [1] 'ä'")):
            path = project.folder / "raws" / folder / f"{name}.dng"
            path.parent.mkdir(parents=True, exist_ok=True)
            mosaic = simulate_mosaic(np.random.default_rng(number), CFA, level=level)
            write_dng(path, mosaic, exif(number), margins=MARGINS, black=BLACK)
    first, second = ([f"{name}/-x  1.dng", f"{other}/-x\u00a01.dng"] for name, other in (("a b", "b*"), ("b*", "a b")))
    project.configure(
        {
            "raw_root": "raws",
            "pathvars": {"results": "results/own"},
            "sets": {
                "s": {
                    "title": "$f/2.8 _$ {x}",
                    "frames": "b*/*.dng",
                    "leftover": "allow",
                    "subsets": {"A": {"frames": first}, "B": {"frames": second}},
                }
            },
            "regions": {"center": {"size": 20.0}, "corner": {"size": 12}},
            "debayer": {"step": 1.0},
            "lights": {"night": {"frames": "a b/$*.dng", "flat": "s"}},
        }
    )
    project.run()
    medians = [np.median(fits.getdata(project.path(f"own/s/subsets/{name}.fits"))) for name in "AB"]
    assert medians[0] == pytest.approx(medians[1], rel=0.02)
    assert fits.getheader(project.path("own/s/flat_cfa.fits"))["NCOMBINE"] == 5
    assert "Nothing to be done" in project.run()


@pytest.mark.parametrize("cfa", ["GBRG", "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"])
def test_other_colour_filter_arrays(tmp_path, cfa):
    project = Project.create(tmp_path / "project")
    black = (512,) * 4 if len(cfa) == 36 else (500, 510, 520, 530)
    frames = write_flats(project.folder / "raws", 3, cfa=cfa, margins=(6, 12), black=black)
    project.configure({"raw_root": "raws", "sets": {"only": {"frames": "*.dng"}}, "combine": {"scale": "none"}})
    project.run("results/only/flat_cfa.fits", "results/only/flat.fits")
    stack = [decode(path, cfa) for path in frames]
    expected = np.median([signal for signal, _ in stack], axis=0)
    np.testing.assert_array_equal(fits.getdata(project.path("only/flat_cfa.fits")), expected)
    assert fits.getheader(project.path("only/flat_cfa.fits"))["BAYERPAT"] == cfa
    mask = channel_masks(stack[0][1])[0]
    inner = np.s_[1:-1, 1:-1]
    red = np.median([bilinear(signal, mask) for signal, _ in stack], axis=0)
    found = fits.getdata(project.path("only/flat.fits"), "RED")
    np.testing.assert_allclose(found[inner], red[inner], rtol=8 * EPSILON)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("command", [["ruff", "check", "."], ["ruff", "format", "--check", "."]])
def test_python_is_formatted(command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_fit():
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_snakefiles_are_formatted():
    command = [Path(sys.executable).parent / "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakemake_lint(tmp_path):
    project = Project.create(tmp_path / "project")
    assert "good condition" in project.run("--lint")


def test_conda_file_has_the_same_pins():
    pins = [
        line.rstrip(" \\")
        for line in (REPOSITORY / "envs/requirements.txt").read_text().splitlines()
        if line[:1].isalnum()
    ]
    conda = yaml.safe_load((REPOSITORY / "envs/environment.yaml").read_text())
    assert conda["dependencies"][-1]["pip"] == pins and len(pins) > 20
    assert all("==" in pin for pin in pins)

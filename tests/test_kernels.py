"""The kernels against numpy: any frames, any cut into bands, in memory and in a scratch file."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY, exif, simulate_mosaic
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flatfield.combine import demosaicing, kernels, methods
from flatfield.combine.stack import Stack, afford_threads, read_stack, stack_frames
from flatfield.combine.store import FrameStore
from flatfield.demo import simulation
from flatfield.files import memory
from flatfield.files.errors import CombinationError, FrameError, ResourceError
from flatfield.files.frame_table import FrameRecord
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.decode import read_frame
from flatfield.raw.robust import median_of

XTRANS = "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"
PATTERNS = ("MONO", "RGGB", "GBRG", XTRANS)
CLIP = {"method": "sigma_clip", "kappa_low": 3.0, "kappa_high": 3.0, "iterations": 5}
MEDIAN = {"method": "median"}
CCD = CLIP | {"method": "ccd_clip", "gain_e_per_dn": 2.0, "read_noise_e": 8.0}
METHODS = [MEDIAN, {"method": "mean"}, CLIP, CCD, {"method": "minmax", "nlow": 1, "nhigh": 1}]


def frames_of(dtype, **elements):
    shapes = st.tuples(st.integers(1, 12), st.integers(1, 5), st.integers(1, 5))
    return shapes.flatmap(lambda shape: hnp.arrays(dtype, shape, elements=elements or None))


def make_stack(mosaics, pattern, rng, scratch=None, **options):
    """A stack with black levels and factors of its own for each frame and colour."""
    store = FrameStore(len(mosaics), mosaics.shape[1:], mosaics.dtype, scratch)
    for index, mosaic in enumerate(mosaics):
        store.write(index, mosaic)
    blacks = rng.uniform(0, 600, (len(mosaics), 4)).astype(np.float32)
    factors = rng.uniform(0.9, 1.1, (len(mosaics), 4)).astype(np.float32)
    return Stack(store, blacks, factors, ColorFilterArray.from_name(pattern), **options)


def signal_of(stack, mosaics):
    """(M - black - bias) factor, by numpy."""
    colors = np.array(stack.cfa.tile)
    colors = np.tile(colors, [-(-n // len(colors)) for n in mosaics.shape[1:]])[: mosaics.shape[1], : mosaics.shape[2]]
    above = mosaics.astype(np.float32) - stack.blacks[:, colors]
    return (above if stack.bias is None else above - stack.bias) * stack.factors[:, colors]


def interpolate_slowly(mosaic, pattern):
    """Bilinear interpolation of one frame, pixel by pixel."""
    channel = ColorFilterArray.from_name(pattern).channel_map(mosaic.shape)
    near, far = np.array([1, 2, 1]), np.array([1, 4, 6, 4, 1])
    planes = np.empty((channel.max() + 1, *mosaic.shape))
    for c, plane in enumerate(planes):
        here = channel == c
        values, marks = (np.pad(np.where(here, image, 0), 2) for image in (mosaic.astype(float), 1))
        for i, j in np.ndindex(*mosaic.shape):
            if here[i, j]:
                plane[i, j] = mosaic[i, j]
                continue
            around, weights = np.s_[i + 1 : i + 4, j + 1 : j + 4], np.outer(near, near)
            if not marks[around].any():
                around, weights = np.s_[i : i + 5, j : j + 5], np.outer(far, far)
            plane[i, j] = (weights * values[around]).sum() / (weights * marks[around]).sum()
    return planes


# Combination


@settings(max_examples=200, deadline=None)
@given(frames_of(np.uint16))
def test_median_is_that_of_numpy(values):
    found = methods.combine(values.astype(np.float32), {"method": "median"})[0]
    np.testing.assert_array_equal(found, np.median(values, axis=0))


@settings(max_examples=100, deadline=None)
@given(frames_of(np.uint16))
def test_mean_and_its_error_are_those_of_numpy(values):
    mean, error = methods.combine(values.astype(np.float32), {"method": "mean"})
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-6)
    if len(values) > 1:
        np.testing.assert_allclose(error, values.std(axis=0, ddof=1) / np.sqrt(len(values)), rtol=1e-5, atol=1e-9)
    else:
        assert np.isnan(error).all()


@settings(max_examples=100, deadline=None)
@given(frames_of(np.uint16), st.integers(0, 3), st.integers(0, 3))
def test_minmax_drops_the_extremes(values, low, high):
    options = {"method": "minmax", "nlow": low, "nhigh": high}
    if low + high >= len(values):
        with pytest.raises(CombinationError, match="nlow or nhigh"):
            methods.combine(values.astype(np.float32), options)
        return
    kept = np.sort(values, axis=0)[low : len(values) - high]
    np.testing.assert_allclose(methods.combine(values.astype(np.float32), options)[0], kept.mean(axis=0), rtol=1e-6)


def clip_slowly(values, low, high, iterations):
    """Sigma clipping of one pixel, as written in a textbook."""
    kept = np.array(values, float)
    for _ in range(iterations):
        center = np.median(kept)
        sigma = 1.4826022185056018 * np.median(np.abs(kept - center)) or kept.std()
        inside = kept[(kept >= center - low * sigma) & (kept <= center + high * sigma)]
        if len(inside) == len(kept):
            break
        kept = inside
    return kept


@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(np.uint16, st.tuples(st.integers(2, 15), st.integers(1, 4)), elements={"max_value": 60}),
    st.floats(1, 4),
    st.floats(1, 4),
    st.integers(1, 6),
)
def test_sigma_clip_is_that_of_a_loop_over_pixels(values, low, high, iterations):
    options = {"method": "sigma_clip", "kappa_low": low, "kappa_high": high, "iterations": iterations}
    found, error = methods.combine(values.astype(np.float32), options)
    for index in range(values.shape[1]):
        kept = clip_slowly(values[:, index], low, high, iterations)
        assert found[index] == pytest.approx(kept.mean(), rel=1e-6)
        if len(kept) > 1:
            ratio = methods.prepare_rule(options, len(values))[0][-1]
            assert error[index] == pytest.approx(ratio * kept.std(ddof=1) / np.sqrt(len(kept)), rel=1e-5, abs=1e-9)


def ccd_clip_slowly(values, factors, options):
    """CCD-noise clipping of one pixel (IRAF's ccdclip with mclip): scaled values, factors of their frames."""
    kept = np.arange(len(values))
    for _ in range(options["iterations"]):
        center = np.median(values[kept].astype(float))
        level = max(center, 0) / factors[kept]  # as recorded
        gain, noise = options["gain_e_per_dn"], options["read_noise_e"]
        sigma = factors[kept] * np.sqrt((noise / gain) ** 2 + level / gain)
        deviation = values[kept] - center
        inside = kept[(deviation >= -options["kappa_low"] * sigma) & (deviation <= options["kappa_high"] * sigma)]
        if len(inside) in (0, len(kept)):
            break
        kept = inside
    return kept


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9), st.integers(0, 2**32 - 1), st.sampled_from(PATTERNS), st.floats(1, 4), st.floats(1, 4),
    st.integers(1, 6),
)  # fmt: skip
def test_ccd_clip_is_that_of_a_loop_over_pixels(count, seed, pattern, low, high, iterations):
    rng = np.random.default_rng(seed)
    options = CCD | {"kappa_low": low, "kappa_high": high, "iterations": iterations}
    mosaics = rng.normal(1000, 40, (count, 6, 12)).astype(np.uint16)
    mosaics[rng.uniform(size=mosaics.shape) < 0.1] += 300
    stack = make_stack(mosaics, pattern, rng, band_rows=4)
    value, error, used = methods.combine_stack(stack, options)
    scaled, colors = signal_of(stack, mosaics), stack.cfa.tile
    ratio = methods.prepare_rule(options, count)[0][-1]
    for i, j in np.ndindex(6, 12):
        factors = stack.factors[:, colors[i % len(colors)][j % len(colors)]]
        kept = scaled[ccd_clip_slowly(scaled[:, i, j], factors.astype(float), options), i, j].astype(float)
        assert used[i, j] == len(kept) and value[i, j] == pytest.approx(kept.mean(), rel=1e-6)
        if len(kept) > 1:
            assert error[i, j] == pytest.approx(ratio * kept.std(ddof=1) / np.sqrt(len(kept)), rel=1e-4, abs=1e-6)


def test_frames_that_count_are_counted():
    values = np.random.default_rng(1).normal(1000, 10, (20, 30, 30)).astype(np.uint16)
    values[7] += 500
    levels = np.zeros((20, 4), np.float32)
    stack = stack_frames(values, levels, levels + 1, ColorFilterArray.from_name("MONO"))
    used = methods.combine_stack(stack, CLIP)[2]
    assert used.max() == 19 and used.mean() > 18
    assert methods.combine_stack(stack, MEDIAN)[2].size == 0  # does not vary


def test_sigma_clip_removes_a_star_and_keeps_the_rest():
    values = np.random.default_rng(1).normal(1000, 10, (20, 100, 100)).astype(np.float32)
    values[7] += 500  # would raise the mean by 25
    error = methods.combine(values, CLIP)[0] - 1000
    # 19 values are left, 10 / sqrt(19) = 2.29; the robust deviation of 20 values costs up to a tenth more
    assert np.abs(error.mean()) < 5 * 2.29 / 100
    assert error.std() < 1.15 * 2.29


@pytest.mark.parametrize("count", [3, 4, 5, 10, 30, 90, 300])
@pytest.mark.parametrize("options", [*METHODS, CLIP | {"kappa_low": 2.0, "kappa_high": 1.5}])
def test_standard_error_is_the_scatter_of_masters(options, count):
    # signal 5000 DN, gain 2 e-/DN, read noise 8 e-: the noise that ccd_clip is told
    noise = np.sqrt(5000 / 2 + 4**2)
    values = 5000 + np.random.default_rng(1000 + count).normal(0, noise, (count, 200, 500)).astype(np.float32)
    value, error = methods.combine(values, options)
    if options["method"] == "minmax" and count == 3:  # one value is left
        assert np.isnan(error).all()
        return
    quoted = np.sqrt(np.nanmean(error.astype(float) ** 2))
    # 100000 pixels and 40000 or fewer simulated ones: the ratio is known to some 0.5 % (1 % for 300 frames)
    assert value.std() / quoted == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 31, 64, 90, 257, 1000])
def test_any_number_of_frames(count):
    rng = np.random.default_rng(count)
    values = rng.choice([0, 1, 500, 501, 65535], (count, 1, 25)).astype(np.uint16)
    values[:, 0, 1:] = rng.integers(0, 65536, (count, 24))
    values[:, 0, 2] = 7  # constant
    found = methods.combine(values.astype(np.float32), MEDIAN)[0]
    np.testing.assert_array_equal(found, np.median(values, axis=0))
    low, high = count // 3, count // 4
    found = methods.combine(values.astype(np.float32), {"method": "minmax", "nlow": low, "nhigh": high})[0]
    np.testing.assert_allclose(found, np.sort(values, axis=0)[low : count - high].mean(axis=0), rtol=1e-6)
    found = methods.combine(values.astype(np.float32), CLIP)[0][0]
    expected = [clip_slowly(pixel, 3, 3, 5).mean() for pixel in values[:, 0].T]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 9), st.integers(1, 40), st.integers(1, 400), st.sampled_from(PATTERNS), st.booleans(), st.booleans()
)
def test_unscaled_and_scaled_stacks_are_those_of_numpy(count, rows, columns, pattern, has_bias, is_float):
    rng = np.random.default_rng(rows * columns)
    mosaics = rng.integers(0, 65536, (count, rows, columns)).astype(np.float32 if is_float else np.uint16)
    bias = rng.uniform(0, 9, (rows, columns)).astype(np.float32) if has_bias else None
    stack = make_stack(mosaics, pattern, rng, bias=bias, threads=2, band_rows=7)
    found, error, _ = methods.combine_stack(stack, MEDIAN)
    np.testing.assert_array_equal(found, np.median(signal_of(stack, mosaics), axis=0))
    deviation = signal_of(stack, mosaics).astype(float).std(axis=0, ddof=1)
    np.testing.assert_allclose(error, deviation * methods.median_error_ratio(count) / np.sqrt(count), rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(6, 30),
    st.integers(6, 420),
    st.sampled_from(PATTERNS),
    st.integers(1, 4),
    st.integers(1, 13),
    st.sampled_from(METHODS),
)
def test_threads_bands_and_scratch_files_do_not_change_a_bit(
    tmp_path_factory, count, rows, columns, pattern, threads, band_rows, options
):
    mosaics = np.random.default_rng(columns).integers(0, 65536, (count, rows, columns)).astype(np.uint16)
    folder = tmp_path_factory.getbasetemp()
    if options["method"] == "minmax" and count < 3:
        return
    whole = make_stack(mosaics, pattern, np.random.default_rng(3), band_rows=rows)
    cut = {"threads": threads, "band_rows": band_rows}
    in_memory = make_stack(mosaics, pattern, np.random.default_rng(3), **cut)
    spilled = make_stack(mosaics, pattern, np.random.default_rng(3), scratch=folder, **cut)
    for stack in (in_memory, spilled):
        for found, expected in zip(
            methods.combine_stack(stack, options), methods.combine_stack(whole, options), strict=True
        ):
            assert found.tobytes() == expected.tobytes()
        for found, expected in zip(
            methods.combine_interpolated(stack, options), methods.combine_interpolated(whole, options), strict=True
        ):
            assert found.tobytes() == expected.tobytes()
    spilled.store.file.close()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("columns", [6, 37, 190, 191, 192, 193, 400])
def test_debayered_median_is_that_of_frames_interpolated_one_by_one(pattern, columns):
    rng = np.random.default_rng(columns)
    mosaics = rng.integers(0, 65536, (5, 13, columns)).astype(np.uint16)
    stack = make_stack(mosaics, pattern, rng, band_rows=4)
    frames = [interpolate_slowly(frame, pattern) for frame in signal_of(stack, mosaics)]
    planes, errors = methods.combine_interpolated(stack, MEDIAN)
    # float32 sums of up to nine values of up to 65535 x 1.1
    np.testing.assert_allclose(planes, np.median(frames, axis=0), rtol=1e-6, atol=0.02)
    ratio = methods.median_error_ratio(5) / np.sqrt(5)
    np.testing.assert_allclose(errors, np.std(frames, axis=0, ddof=1) * ratio, rtol=1e-4)
    found = demosaicing.interpolate_bilinear(mosaics[0].astype(np.float32), stack.cfa)
    np.testing.assert_allclose(found, interpolate_slowly(mosaics[0], pattern), rtol=1e-6, atol=0.02)


def test_what_is_not_finite_stays_with_its_channel():
    """A masked red pixel of a light spoils neither green nor blue."""
    pattern = ColorFilterArray.from_name("RGGB")
    mosaic = np.ones((8, 8), np.float32)
    mosaic[4, 4] = np.nan
    red, green, blue = demosaicing.interpolate_bilinear(mosaic, pattern)
    assert np.isnan(red).sum() == 9 and (green == 1).all() and (blue == 1).all()


def test_unequal_black_levels_and_factors_reach_their_colours():
    pattern = ColorFilterArray(((1, 0), (2, 3)))
    blacks, factors = np.array([[10, 20, 30, 40]], np.float32), np.array([[1, 2, 3, 4]], np.float32)
    stack = stack_frames([np.full((4, 4), 100, np.uint16)], blacks, factors, pattern, band_rows=1)
    found = methods.combine_stack(stack, MEDIAN)[0]
    np.testing.assert_array_equal(found, np.tile([[80 * 2, 90 * 1], [70 * 3, 60 * 4]], (2, 2)))


def test_below_black_stays_negative():
    levels = np.full((3, 4), 512, np.float32), np.ones((3, 4), np.float32)
    stack = stack_frames(np.full((3, 2, 2), 500, np.uint16), *levels, simulation.CFA)
    assert (methods.combine_stack(stack, MEDIAN)[0] == -12).all()


# Memory and scratch files


@pytest.fixture
def frames(tmp_path):
    """Files of a small camera, and what they hold."""
    rng, paths, mosaics = np.random.default_rng(9), [], []
    for index in range(8):
        mosaic = simulate_mosaic(rng, simulation.CFA, shape=(300, 400))
        paths.append(str(tmp_path / f"DSC{index}.dng"))
        simulation.write_dng(paths[-1], mosaic, exif())
        mosaics.append(mosaic)
    return paths, mosaics


def limits(memory_mb, scratch, threads=2):
    return {"threads": threads, "memory_mb": memory_mb, "scratch": str(scratch)}


def memory_for(frames, threads=2):
    """What the frames need, and the least that will do, MB."""
    shape = read_stack(frames[:1], False, limits(None, "")).shape
    size = (shape, len(frames), 2, threads)
    return memory.needed_mb(*size), memory.least_mb(*size)


def test_frames_above_the_limit_go_to_a_scratch_file_without_a_name(frames, tmp_path, capfd):
    paths, _ = frames
    needed, least = memory_for(paths)
    assert least < needed
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    in_memory, spilled = (read_stack(paths, False, limits(limit, scratch)) for limit in (needed, least))
    assert in_memory.store.file is None and spilled.store.file is not None
    assert "scratch file" in capfd.readouterr().out
    assert not list(scratch.iterdir())
    for found, expected in zip(
        methods.combine_stack(spilled, MEDIAN), methods.combine_stack(in_memory, MEDIAN), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_too_little_memory_or_scratch_space_is_said_before_the_work(frames, tmp_path, monkeypatch):
    paths, _ = frames
    _, least = memory_for(paths)
    with pytest.raises(ResourceError, match=rf"memory_mb: 10 is too little.*give {least}"):
        read_stack(paths, False, limits(10, tmp_path))
    with pytest.raises(ResourceError, match=r"no scratch file can be made in .*missing"):
        read_stack(paths, False, limits(least, tmp_path / "missing"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(ResourceError, match="GB of scratch space are needed"):
        read_stack(paths, False, limits(least, tmp_path))


def test_threads_that_memory_does_not_allow_are_left_out(frames, tmp_path, capfd):
    """With so many as there are cores the frames would find no place, with fewer they do."""
    paths, _ = frames
    rows, columns = read_frame(paths[0]).mosaic.shape
    records, cores = [FrameRecord(path, rows=rows, columns=columns) for path in paths], 64
    for threads, limit, place in (
        (3, memory_for(paths, 3)[0], "in memory"),
        (1, memory_for(paths, 1)[1], "in a scratch file"),
    ):
        with pytest.raises(ResourceError):
            read_stack(paths, False, limits(limit, tmp_path, cores))
        afforded = afford_threads(paths, records, limits(limit, tmp_path, cores))
        assert afforded == limits(limit, tmp_path, threads)
        read_stack(paths, False, afforded)
        assert place in capfd.readouterr().out


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no system call to reserve space")
def test_space_that_others_take_meanwhile_is_noticed(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(ResourceError, match="GB of scratch space are needed"):
        FrameStore(2, (10, 10), np.uint16, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_broken_frame_stops_the_job_and_leaves_no_scratch(frames, tmp_path):
    paths, _ = frames
    with open(paths[5], "r+b") as file:
        file.truncate(3000)
    _, least = memory_for(paths[:3])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(FrameError, match=r"DSC5"):
        read_stack(paths, False, limits(least + 2, scratch))
    assert not list(scratch.iterdir())


def test_a_killed_job_leaves_no_scratch(tmp_path):
    code = (
        "import sys, time; import numpy as np; from flatfield.combine.store import FrameStore; "
        "store = FrameStore(4, (100, 100), np.uint16, sys.argv[1]); store.write(3, np.ones((100, 100))); "
        "print('ready', flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow/scripts")}
    job = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, env=environment)
    assert job.stdout.readline() == b"ready\n"
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert not list(tmp_path.iterdir())


# Machine code


def run_kernel(folder, **environment):
    """Compile a kernel as the library does, in a process and a folder of its own, as the library's take long."""
    code = "from flatfield.combine.kernels import compiled\n\n@compiled\ndef double(x):\n    return 2 * x\n"
    (folder / "kernel.py").exists() or (folder / "kernel.py").write_text(code)
    places = {"PYTHONPATH": f"{folder}:{REPOSITORY / 'workflow/scripts'}", "HOME": str(folder / "home")}
    command = [sys.executable, "-c", "import kernel; print(kernel.double(21))"]
    job = subprocess.run(command, env=os.environ | places | environment, capture_output=True, text=True)
    assert job.stdout == "42\n", job.stderr


def test_machine_code_is_kept_and_may_be_damaged(tmp_path):
    run_kernel(tmp_path)
    kept = sorted((tmp_path / "__pycache__").glob("*.nb*"))
    assert kept
    written = [path.stat().st_mtime_ns for path in kept]
    run_kernel(tmp_path)
    assert [path.stat().st_mtime_ns for path in kept] == written
    for path in kept:
        path.write_bytes(path.read_bytes()[:-20])
    run_kernel(tmp_path)


def test_no_folder_for_machine_code_is_no_error(tmp_path):
    """A file in the place of each folder where machine code could go."""
    (tmp_path / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    run_kernel(tmp_path, XDG_CACHE_HOME=str(tmp_path / "home"), PYTHONDONTWRITEBYTECODE="1")


def test_kernels_keep_their_machine_code():
    for kernel in (kernels.combine_pixels, kernels.combine_planes):
        assert type(kernel._cache) is kernels._Cache


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64]), st.integers(1, 40), elements=st.floats(-1e6, 1e6, width=32))
)
def test_median_of_one_row_is_that_of_numpy(values):
    found, expected = median_of(values), np.median(values)
    assert (found, found.dtype) == (expected, expected.dtype)

"""The comparison with other programs: its measure of error, its worlds, and all of it with small frames."""

import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import one_process
import pytest
import rawpy
from astropy.io import fits
from conftest import REPOSITORY, compile_kernels

SHAPE = (212, 324)  # whole blocks within the border


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import flatbench
    import flatbench_errors
    import flatbench_page
    import flatbench_programs
    import flatbench_worlds
    import usage

    found = {"bench": flatbench, "errors": flatbench_errors, "programs": flatbench_programs}
    return found | {"worlds": flatbench_worlds, "page": flatbench_page, "usage": usage}


def truth(seed=1):
    """A mosaic, its channels, and positions from -1 to 1 within what is judged."""
    channel = np.array([[0, 1], [1, 2]])[np.indices(SHAPE)[0] % 2, np.indices(SHAPE)[1] % 2]
    rows, columns = ((np.arange(size) - (size - 1) / 2) / ((size - 16) / 2) for size in SHAPE)
    value = 100 + 20 * np.random.default_rng(seed).random(SHAPE)
    return value, channel, np.broadcast_to(columns, SHAPE), np.broadcast_to(rows[:, None], SHAPE)


def test_a_factor_a_channel_is_no_error(tools):
    true, channel, _, _ = truth()
    found = true * np.array([3.0, 0.1, 70.0])[channel]
    found[:8] = found[:, -8:] = -5  # what is at the edges does not count
    assert np.allclose(np.hstack(tools["errors"].errors_of(found, true, channel)), 0, atol=1e-9)


def test_gradients_have_the_errors_that_they_should(tools):
    """The rms of a x, with x even from -1 to 1, is a / sqrt(3)."""
    true, channel, x, y = truth()
    measured = tools["errors"].errors_of(true * (1 + 0.03 * x), true, channel)
    assert measured.shape == pytest.approx(3 / np.sqrt(3), rel=0.02) == measured.pixel
    assert measured.color == pytest.approx(0, abs=0.01)
    assert measured.corner == pytest.approx(3, rel=0.1)
    red = tools["errors"].errors_of(true * np.where(channel == 0, 1 + 0.03 * y, 1), true, channel)
    assert red.channels == pytest.approx((3 / np.sqrt(3), 0, 0), rel=0.02, abs=1e-6)
    assert red.shape == pytest.approx(1, rel=0.02)
    assert red.color == pytest.approx(3 / np.sqrt(6), rel=0.02)  # of two ratios, one is right
    both = tools["errors"].errors_of(true * (1 + 0.03 * x), true, channel, y < 0)
    assert both.shape == pytest.approx(measured.shape, rel=0.02)


def test_noise_and_its_error_bars(tools):
    """Noise is in each pixel, and falls in blocks; errors that are half too small have pulls of 2."""
    true, channel, x, _ = truth()
    error = 0.01 * true
    found = true + error * np.random.default_rng(2).standard_normal(SHAPE)
    measured = tools["errors"].errors_of(found, true, channel)
    block = tools["errors"].block_size(SHAPE[0])
    assert measured.pixel == pytest.approx(1, rel=0.02)
    for index, share in enumerate((0.25, 0.5, 0.25)):
        assert measured.channels[index] == pytest.approx(1 / np.sqrt(share * block * block), rel=0.15)
    pull = tools["errors"].pull_of
    assert pull(found, error, true, channel) == pytest.approx(1, rel=0.02)
    assert pull(5 * found * (1 + 0.02 * x), 2.5 * error, true, channel) == pytest.approx(2, rel=0.05)


def test_planes_at_the_pixels_of_a_mosaic(tools):
    planes = np.arange(2 * 2 * 3).reshape(2, 2, 3)
    assert tools["errors"].native(planes, np.array([[0, 1], [1, 2]])).tolist() == [[0, 4], [7, 11]]


@pytest.mark.parametrize("kind", ["dng", "fits"])
def test_frames_hold_their_truth(tools, tmp_path, kind):
    """Read by others: a light without noise, less its offset and dark, over response and colour, is even."""
    worlds = tools["worlds"]
    world = worlds.World(kind, (120, 180), 2)
    worlds.write_world(world, tmp_path)
    count = {name: len(list((tmp_path / name).glob(f"*.{kind}"))) for name in ("bias", "flats", "lights", "series")}
    assert count == {"bias": worlds.BIASES, "flats": 6, "lights": 2, "series": worlds.SERIES}
    if kind == "dng":
        with rawpy.imread(str(tmp_path / "lights/probe.dng")) as raw:
            light, offset = raw.raw_image_visible.astype(float), raw.black_level_per_channel[0]
            assert raw.raw_pattern.tolist() == [[0, 1], [3, 2]]
    else:
        light = fits.getdata(tmp_path / "lights/probe.fits").astype(float)
        offset = np.mean([fits.getdata(path).astype(float) for path in (tmp_path / "darks").glob("*.fits")], axis=0)
    channel = np.array([[0, 1], [1, 2]])[np.indices(world.shape)[0] % 2, np.indices(world.shape)[1] % 2]
    even = (light - offset) / world.response()
    for index in range(3):
        part = even[channel == index]
        # 0.3 DN of rounding in 250 to 1500 DN; 1 to 5 electrons of noise in the mean of the darks
        assert part.std() / part.mean() < (0.001 if kind == "dng" else 0.02)
    unavoidable = tools["errors"].Errors(*tools["bench"].unavoidable(world))
    assert unavoidable.shape < 0.02 and unavoidable.pixel < 0.1


def test_mistakes_are_in_the_frames(tools, tmp_path, monkeypatch):
    """Each changes the files, and nothing else does."""
    worlds = tools["worlds"]
    for name, count in {"BIASES": 2, "DARKS": 2, "SERIES": 0}.items():
        monkeypatch.setattr(worlds, name, count)

    def written(kind, mistake=""):
        folder = tmp_path / f"{kind}{mistake[:24]}"
        worlds.write_world(worlds.World(kind, (120, 180), 2, mistake=mistake), folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob(f"*/*.{kind}")}

    for kind in ("dng", "fits"):
        clean = written(kind)
        for mistake in (each for each, (own, _) in worlds.MISTAKES.items() if own == kind):
            found = written(kind, mistake)
            assert found != clean, mistake
            if mistake.startswith("one flat"):
                assert {name for name in clean if found[name] != clean[name]} == {f"flats/F004.{kind}"}
    assert len(worlds.MISTAKES) >= 12


@pytest.fixture
def tiny(tools, tmp_path, monkeypatch):
    """With small frames; what it would start as Python runs in this process."""
    compile_kernels()
    bench, programs, usage = tools["bench"], tools["programs"], tools["usage"]
    for name in ("SCRATCH", "PAGE", "SMALL", "PLANTED", "FEW", "WORLDS", "CHOSEN"):
        monkeypatch.setattr(bench, name, getattr(bench, name))
    monkeypatch.setattr(programs, "WHOLE", True)
    attempt = usage.attempt

    def run(command, folder, written=None, limit=0):
        words = [str(part) for part in command]
        taken = usage.Usage(1.0, 2.0, 100.0, 3.0)
        if words[0].endswith("snakemake"):
            done = one_process.snakemake(folder, *words[1:])
            return usage.Attempt(done.returncode, done.stdout, taken)
        if words[0] == sys.executable:
            getattr(programs, words[2])(*map(type(tmp_path), words[3:]))
            return usage.Attempt(0, "", taken)
        return attempt(command, folder, written, 60)

    monkeypatch.setattr(usage, "attempt", run)
    bench.shrink(tmp_path)
    return bench


def test_programs_are_compared(tiny, tools, tmp_path):
    tiny.main()
    text = (tmp_path / "flatbench.md").read_text()
    missing = [each for each in tools["programs"].programs() if each.missing]
    for program in tools["programs"].programs():
        assert program.name in text
        if program.missing:
            assert f"{program.name}, which {program.missing}" in text
            continue
        (row,) = [line for line in text.splitlines() if line.startswith(f"| raw | {program.name} | ")][:1]
        pixel, shape = (float(cell) for cell in row.split(" | ")[2:4])
        assert pixel >= shape > 0
        if program.name != "the notebook":  # of which a picture is divided
            assert shape < 2, row
    ours = tiny.measure(tools["programs"].programs()[0], tiny.WORLDS["raw"])
    assert 0.8 < ours["masters"]["response.fits"]["pull"] < 1.2
    assert "**says so**, stops" in text and "ISO is 3200" in text.split("What they said:")[1].split("##")[0]
    assert {each.name for each in missing} >= {"darktable"}
    for name in ("flatbench.png", "flatbench_maps.png"):
        assert 1000 < (tmp_path / "images" / name).stat().st_size < 200_000


def test_rows_of_siril_and_rawtherapee_are_put_right(tools, tmp_path):
    """A light that is brighter above stays so, whatever order the program stores rows in."""
    worlds, programs = tools["worlds"], tools["programs"]
    world = worlds.World("dng", (120, 180), 2)
    worlds.write_world(world, tmp_path / "frames")
    for command, run in (("siril-cli", programs.run_siril), ("rawtherapee-cli", programs.run_rawtherapee)):
        if shutil.which(command) is None:
            continue
        made = run(tmp_path / "frames", tmp_path / command, world).lights["night"][0]
        value = tools["errors"].native(made, world.channel()) if made.ndim == 3 else made
        stars = world.stars()[1][8:-8, 8:-8]
        value = value[8:-8, 8:-8]
        assert np.median(value[stars]) > np.median(value[~stars]) * 1.02, command
        # upside down, stars would be elsewhere
        assert np.median(value[::-1][stars]) < np.median(value[stars]), command


def test_a_series_shows_other_stars_over_the_same_response(tools):
    """The median of lights of many fields is the response: what a program without flats needs."""
    world = tools["worlds"].World("dng", SHAPE, 2)
    fields = [world.stars(field) for field in range(1, 17)]
    assert not any(np.array_equal(fields[0][0], each) for each, _ in fields[1:])
    assert 0.01 < np.mean([starry.mean() for _, starry in fields]) < 0.3
    assert np.median([electrons for electrons, _ in fields], axis=0).mean() < 1e-4 * tools["worlds"].SKY


def test_better_alike_and_worse_are_put_apart(tools):
    """Where nobody else has a figure, nothing is said; ties in nothing are no gain."""
    page, programs = tools["page"], tools["programs"]
    ours, other, third = (SimpleNamespace(name=name) for name in (programs.OURS, "one", "two"))

    def row(quantity, *scores):
        return page.Measure(quantity, "w", [f"{quantity}{score}" for score in scores], scores)

    rows = [
        *(row("better", 1, 3, 2), row("alike", 2.1, 2, None), row("worse", 3, 2, 9)),
        *(row("alone", 1, None, None), row("none", None, 1, 2), row("nothing", 0, 0, 1)),
    ]
    found = re.split(r"\*\*(.+)\*\*\n\n", page.standing([ours, other, third], rows))
    better, alike, worse = found[2::2]
    assert tuple(found[1::2]) == page.STANDING
    assert better.strip() == "- better: *w* better1 against better2 (two)"
    assert alike.strip().splitlines() == [
        "- alike: *w* alike2.1 against alike2 (one)",
        "- nothing: *w* nothing0 against nothing0 (one)",
    ]
    assert worse.strip() == "- worse: *w* worse3 against worse2 (one)"
    assert "| **better1** | better3 |" in page.summary([ours, other, third], rows)


def test_a_program_that_fails_or_hangs_is_no_end(tools, tmp_path):
    attempt = tools["usage"].attempt
    assert attempt(["sh", "-c", "echo no; exit 3"], tmp_path)[:2] == (3, "no\n")
    assert attempt(["sleep", "30"], tmp_path, limit=0.3).status is None
    with pytest.raises(SystemExit, match="failed"):
        tools["usage"].measure(["sh", "-c", "exit 3"], tmp_path)

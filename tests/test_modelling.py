"""Models of the flat: fitted, chosen, written and exported, against simulated truth."""

from collections import Counter

import lensfunpy
import numpy as np
import pytest
from astropy.io import fits
from conftest import BASE_CONFIG, BLACK, LONG, MARGINS, Project, exif
from numpy.polynomial import polynomial
from test_workflow import table

from flatfield.demo.simulation import coordinates, write_dng
from flatfield.files.frame_table import FrameRecord
from flatfield.measure import model_blocks, model_choice, models
from flatfield.measure.lensfun import RadialModel, describe_vignetting
from flatfield.raw.cfa import ColorFilterArray
from flatfield.raw.mosaic import Mosaic

ROWS, COLUMNS, NOISE = 32, 48, 5e-4
RGGB = ColorFilterArray.from_name("RGGB")
X, Y = coordinates(ROWS, COLUMNS)
EVEN = (1, -0.9, 0.35, -0.08)  # 1 + k1 r^2 + k2 r^4 + k3 r^6
GAIN, CENTER = (1, 0.8, 0.6, 0.3, 0.1, 0.2), (0.04, -0.03)


def random_polynomial(degree, rng):
    """All terms, those of the highest degree well above the noise."""
    total = np.add.outer(range(degree + 1), range(degree + 1))
    sign, size = rng.choice([-1, 1], total.shape), rng.uniform(0.02, 0.05, total.shape)
    coefficients = np.where(total <= degree, sign * size, 0)
    coefficients[0, 0] = 1
    return polynomial.polyval2d(X / X.max(), Y / Y.max(), coefficients)


def free_radial(x, y):
    corner = np.array([COLUMNS, ROWS]) / np.hypot(COLUMNS, ROWS)
    farthest = (corner[0] + abs(CENTER[0])) ** 2 + (corner[1] + abs(CENTER[1])) ** 2
    return 1 / polynomial.polyval(((x - CENTER[0]) ** 2 + (y - CENTER[1]) ** 2) / farthest, GAIN)


def rippled(rng):
    """What neither a polynomial nor a radial function follows: a lamp behind a crumpled sheet."""
    phase = rng.uniform(0, 6, 2)
    ripples = 0.01 * np.sin(9 * X + phase[0]) * np.cos(11 * Y + phase[1])
    return polynomial.polyval(X**2 + Y**2, EVEN) * (1 + ripples)


TRUTHS = {
    "polynomial of degree 2": lambda rng: random_polynomial(2, rng),
    "polynomial of degree 5": lambda rng: random_polynomial(5, rng),
    "polynomial of degree 8": lambda rng: random_polynomial(8, rng),
    models.LENSFUN: lambda rng: polynomial.polyval(X**2 + Y**2, EVEN),
    models.DNG: lambda rng: free_radial(X, Y),
    models.SPLINE: rippled,
}


def blocks_of(truth, rng, channels=1):
    values = np.array([truth * (1 + NOISE * rng.standard_normal(truth.shape)) for _ in range(channels)])
    return model_blocks.Blocks(
        *(np.tile(each, (channels, 1)) for each in (X[0], Y[:, 0])),
        values,
        NOISE * np.abs(values),
        np.ones(truth.shape, bool),
    )


@pytest.mark.parametrize("name", TRUTHS)
def test_the_true_model_is_chosen(name):
    chosen = Counter()
    count = 100 if LONG else 20
    for seed in range(count):
        rng = np.random.default_rng(seed)
        blocks = blocks_of(TRUTHS[name](rng), rng)
        chosen[model_choice.choose_model(blocks, *model_choice.fit_models(blocks))] += 1
    print(chosen)
    assert chosen[name] >= 0.95 * count


@pytest.mark.parametrize("name", TRUTHS)
def test_a_model_is_its_truth_within_noise(name):
    """The mean square error of a least-squares fit is noise^2 parameters / blocks."""
    rng = np.random.default_rng(7)
    truth = TRUTHS[name](rng)
    blocks = blocks_of(truth, rng)
    fit = models.MODELS[name](blocks.x[0], blocks.y[0], blocks.values[0], blocks.weights[0])
    found = fit.evaluate(blocks.x[0], blocks.y[0])
    expected = NOISE * np.sqrt(fit.parameters / truth.size)
    assert np.sqrt(np.mean((found / truth - 1) ** 2)) < 2 * expected


def test_coefficients_of_the_radial_models():
    values = polynomial.polyval(X**2 + Y**2, EVEN)
    fit = models.fit_even_radial(X[0], Y[:, 0], 300 * values, np.ones_like(values))
    assert [fit.coefficients[name] for name in ("k1", "k2", "k3")] == pytest.approx(EVEN[1:], abs=1e-8)
    values = free_radial(X, Y)
    found = models.fit_free_radial(X[0], Y[:, 0], 300 * values, np.ones_like(values)).coefficients
    assert (found["center_x"], found["center_y"]) == pytest.approx(CENTER, abs=1e-5)
    assert [found[f"k{i}"] for i in range(5)] == pytest.approx(GAIN[1:], abs=2e-3)


@pytest.mark.parametrize("cfa", ["RGGB", "MONO", "RBGBRGGGRGGBGGBGGRBRGRBGGGBGGRGGRGGB"])
def test_dust_and_hot_pixels_do_not_count(cfa):
    rng, cfa, shape = np.random.default_rng(1), ColorFilterArray.from_name(cfa), (288, 432)
    x, y = coordinates(*shape)
    color = np.array([0.5, 1.0, 0.6])[cfa.channel_map(shape)]
    truth = 8000 * color * polynomial.polyval(x * x + y * y, EVEN)
    dust = 1 - 0.03 * np.exp(-((x - 0.3) ** 2 + (y + 0.2) ** 2) / (2 * 0.015**2))
    mosaic = truth * dust * (1 + 0.005 * rng.standard_normal(shape))
    hot = rng.random(shape) < 2e-4
    mosaic[hot] *= 3
    blocks = model_blocks.average_blocks(mosaic.astype(np.float32), np.zeros(shape, bool), cfa, 36)
    assert not blocks.known[
        np.hypot(*np.ix_(blocks.y[0].mean(axis=0) + 0.2, blocks.x[0].mean(axis=0) - 0.3)) < 0.025
    ].any()
    assert blocks.known.mean() > 0.9
    fits_, predictions = model_choice.fit_models(blocks)
    assert model_choice.choose_model(blocks, fits_, predictions) == models.LENSFUN
    drawn = models.draw_mosaic(fits_[models.LENSFUN], cfa, shape)
    assert np.abs(drawn / truth - 1).max() < 2e-3
    # errors of blocks are those of noise and pixel response
    pull = (blocks.values - drawn_blocks(truth, cfa, 12)) / blocks.errors
    assert pull[:, blocks.known].std() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("name", ["RGGB", "MONO"])
def test_hot_and_dead_pixels_in_pairs_are_found_and_edges_are_not(name):
    cfa, rng = ColorFilterArray.from_name(name), np.random.default_rng(4)
    mosaic = rng.normal(4000, 20, (60, 90)).astype(np.float32)
    mosaic[30:, 48:] *= 1.5  # a shadow with a corner
    planted, p = np.zeros(mosaic.shape, bool), cfa.period
    for row, column, factor in ((10, 10, 3), (10, 30, 0.2), (20, 60, 1.3)):
        for place in ((row, column), (row + p, column)):  # neighbours of one colour
            mosaic[place] *= factor
            planted[place] = True
    assert (model_blocks.find_hot_pixels(mosaic, np.ones(mosaic.shape, bool), cfa) == planted).all()


def drawn_blocks(mosaic, cfa, size):
    """Means of each channel in blocks, by masks."""
    channel_map = cfa.channel_map(mosaic.shape)
    planes = [np.where(channel_map == index, mosaic, np.nan) for index in range(len(cfa.channels))]
    rows, columns = (length // size for length in mosaic.shape)
    whole = np.array(planes)[:, : rows * size, : columns * size].reshape(-1, rows, size, columns, size)
    return np.nanmean(whole, axis=(2, 4))


# Errors of models, against frames of which the truth is known pixel by pixel


def logistic(distance, width):
    return 1 / (1 + np.exp(distance / width))


#: Flats as factors on a usual vignetting, of x, y and the distance from the centre (half diagonals).
DESCRIBED = {
    "vignetting": lambda x, y, r: 1,
    "soft corners": lambda x, y, r: logistic(r - 1.07, 0.05),
    "ripple": lambda x, y, r: 1 + 0.002 * np.cos(40 * r),
    "smooth structure": lambda x, y, r: 1 + 0.003 * np.sin(9 * x + 2) * np.cos(11 * y + 1),
    "off centre": lambda x, y, r: np.exp(0.05 * x - 0.03 * y + 0.02 * x * y),
}
NOT_DESCRIBED = {
    "dark corners": lambda x, y, r: np.where(r > 0.93, 0.85, 1),
    "hard vignetting": lambda x, y, r: logistic(r - 0.95, 0.02),
    "shadow of the mirror": lambda x, y, r: np.where(y < -0.52, 0.9, 1),
    "image circle": lambda x, y, r: np.where(r > 0.8, 0, 1),
    "one black corner": lambda x, y, r: np.where(x + y > 1.25, 0.02, 1),
}


def simulated_flat(factor, shape, name, seed):
    """A flat of 0.3 % noise, 0.5 % pixel response, two specks of dust, hot pixels; its smooth and its whole truth."""
    rng, cfa = np.random.default_rng(seed), ColorFilterArray.from_name(name)
    x, y = coordinates(*shape)
    smooth = 8000 * (1 + 0.8 * (x * x + y * y)) ** -2 * factor(x, y, np.hypot(x, y))
    if not cfa.is_mono:
        smooth = smooth * np.array([0.5, 1.0, 0.6])[cfa.channel_map(shape)]
    truth = smooth * (1 + 0.005 * rng.standard_normal(shape))
    for _ in range(2):
        px, py = rng.uniform(-0.6, 0.6), rng.uniform(-0.35, 0.35)
        truth = truth * (1 - 0.04 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 0.012**2)))
    truth = truth * np.where(rng.random(shape) < 1e-5, 3, 1)
    error = 0.003 * np.sqrt(8000 * np.maximum(smooth, 40))
    value = truth + error * rng.standard_normal(shape)
    arrays = [each.astype(np.float32) for each in (value, error)]
    return Mosaic(arrays[0], cfa, fits.Header(), arrays[1], np.zeros(shape, np.uint8)), smooth, truth


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.parametrize("cfa", ["RGGB", "MONO"] if LONG else ["RGGB"])
def test_the_error_of_a_model_is_its_error(name, cfa):
    """Quoted over true, rms over frame and edge and over the runs."""
    shape = (720, 1080) if LONG else (480, 720)
    border = np.ones(shape, bool)
    border[shape[0] // 20 : -shape[0] // 20, shape[0] // 20 : -shape[0] // 20] = False
    squares = []
    for seed in range(8 if LONG else 3):
        flat, smooth, truth = simulated_flat(DESCRIBED[name], shape, cfa, seed)
        found = model_choice.model_flat(flat)
        assert found.name
        wrong, quoted = found.model.value / smooth - 1, found.model.error / smooth
        squares.append([np.mean(each[where] ** 2) for where in (border, ~border) for each in (quoted, wrong)])
        inside = ~border & (np.abs(truth / smooth - 1) < 0.02)
        pull = (found.detail.value - truth / smooth)[inside] / found.detail.error[inside]
        assert pull.std() == pytest.approx(1, abs=0.1)
    edge, edge_true, frame, frame_true = np.sqrt(np.mean(squares, axis=0))
    print(name, cfa, frame / frame_true, edge / edge_true)
    assert 0.7 < frame / frame_true < 1.6 and 0.65 < edge / edge_true < 1.7  # 3 runs of 8 parameters: 10 to 15 %


@pytest.mark.parametrize("name", NOT_DESCRIBED)
def test_no_model_describes_hard_vignetting(name):
    flat, _, _ = simulated_flat(NOT_DESCRIBED[name], (480, 720), "RGGB", 1)
    found = model_choice.model_flat(flat)
    assert found.name is None and found.reason == "no model describes this flat"
    np.testing.assert_array_equal(found.model.value, flat.value)
    np.testing.assert_array_equal(found.model.error, flat.error)
    assert found.radial.coefficients is None and "no model describes this flat" in found.radial.reason
    assert all(row["remark"].startswith("no model describes this flat: misses") for row in found.rows)


def test_blocks_with_saturated_pixels_do_not_count():
    """Of 12 frames, the brightest tenth is cut off: pixels that are left beside saturated ones are less sensitive."""
    shape, cfa = (240, 360), ColorFilterArray.from_name("MONO")
    x, y = coordinates(*shape)
    smooth = 8000 * (1 + 0.8 * (x * x + y * y)) ** -2
    nothing, off, kept = np.zeros(shape, bool), [], []
    expected = model_blocks.average_blocks(smooth.astype(np.float32), nothing, cfa, 12).values
    for seed in range(4):
        rng = np.random.default_rng(seed)
        truth = smooth * (1 + 0.01 * rng.standard_normal(shape))
        frames = truth + np.sqrt(truth / 2) * rng.standard_normal((12, *shape))
        top = np.quantile(frames, 0.9)
        saturated = (frames >= top).any(axis=0)
        value = np.minimum(frames, top).mean(axis=0).astype(np.float32)
        with_them = model_blocks.average_blocks(value, saturated, cfa, 12)
        without = model_blocks.average_blocks(value, saturated, cfa, 12, saturated)
        for found, pulls in ((with_them, off), (without, kept)):
            pulls += ((found.values - expected) / found.errors)[0][found.known].tolist()
    assert np.min(off) < -6 and np.mean(np.abs(off) > 4) > 0.03  # they would bend a model
    assert np.abs(kept).max() < 4.5 and len(kept) > 0.6 * len(off)  # 300 blocks


# The whole way

SHAPE = (144, 216)


@pytest.fixture(scope="module")
def modelled(tmp_path_factory):
    """A set whose vignetting is lensfun's, and lights that show dust and vignetting alone."""
    project = Project.create(tmp_path_factory.mktemp("modelled") / "project")
    folder = project.folder / "raws/first"
    folder.mkdir(parents=True)
    for index in range(9):
        write_frame(folder / f"F{index}.dng", 6000 * vignetting() * dust(), index)
    (project.folder / "raws/lights").mkdir()
    write_frame(project.folder / "raws/lights/sky.dng", 3000 * vignetting() * dust(), 20, iso=800)
    project.configure(
        BASE_CONFIG
        | {
            "sets": {"first": {"frames": "first/*.dng", "subsets": {"A": {"slice": "0:5"}, "B": {"slice": "5:9"}}}},
            "models": {"crop_factor": 1.5, "distance_m": 10},
        }
    )
    project.run()
    return project


def vignetting():
    x, y = coordinates(*SHAPE)
    return polynomial.polyval(x * x + y * y, EVEN)


def dust():
    x, y = coordinates(*SHAPE)
    return 1 - 0.2 * np.exp(-((x + 0.4) ** 2 + (y - 0.1) ** 2) / (2 * 0.03**2))


def write_frame(path, signal, index, iso=100):
    rng = np.random.default_rng(index)
    color = np.array([0.5, 1.0, 0.6])[RGGB.channel_map(SHAPE)]
    whole = np.pad(rng.poisson(4 * signal * color) / 4, [(MARGINS[0], 0), (MARGINS[1], 0)])
    i, j = np.mgrid[0 : whole.shape[0], 0 : whole.shape[1]]
    black = np.array(BLACK).reshape(2, 2)[(i - MARGINS[0]) % 2, (j - MARGINS[1]) % 2]
    write_dng(path, np.rint(whole + black).astype(np.uint16), exif(index, iso=iso), margins=MARGINS, black=BLACK)


def test_model_times_detail_is_the_flat(modelled):
    rows = table(modelled.path("first/models.tsv"))
    assert {row["model"] for row in rows if row["chosen"] == "yes"} == {models.LENSFUN}
    assert len(rows) == 3 * len(models.MODELS)
    for row in rows:
        if row["chosen"] == "yes":
            noise, cv, rms = (float(row[name]) for name in ("noise_percent", "cv_rms_percent", "rms_percent"))
            assert rms < cv and cv == pytest.approx(noise, rel=0.15)
    flat = fits.getdata(modelled.path("first/response.fits")).astype(float)
    model = fits.getdata(modelled.path("first/models/model.fits")).astype(float)
    detail = fits.getdata(modelled.path("first/models/detail.fits")).astype(float)
    np.testing.assert_allclose(model * detail, flat, rtol=1e-6)
    color = np.array([0.5, 1.0, 0.6])[RGGB.channel_map(SHAPE)]
    shape = model / (vignetting() * color)
    assert np.abs(shape / shape.mean() - 1).max() < 3e-3
    assert detail[dust() < 0.85].mean() == pytest.approx(dust()[dust() < 0.85].mean(), abs=0.005)


@pytest.mark.parametrize("part", ["whole", "model", "detail"])
def test_either_part_may_be_applied(modelled, tmp_path, part):
    project = modelled.copy(tmp_path / "project")
    project.change_config(lambda config: config.update(apply={"flat_part": part}))
    project.run("results/lights/night/sky.fits")
    light = fits.getdata(project.path("lights/night/sky.fits")).astype(float)
    left = {"whole": 1, "model": dust(), "detail": vignetting()}[part]
    color = np.array([0.5, 1.0, 0.6])[RGGB.channel_map(SHAPE)]
    ratio = drawn_blocks(light / color / left, RGGB, 8) / 3000
    ratio /= np.median(ratio)  # noise of a red block of 16 pixels in the corner: 0.6 %
    assert np.abs(ratio - 1).max() < 0.03 and np.median(np.abs(ratio - 1)) < 0.004


def test_lensfun_corrects_as_the_model(modelled):
    text = modelled.path("first/models/lensfun.xml").read_text()
    database = lensfunpy.Database(xml=text, load_common=False, load_bundled=False)
    (camera,) = database.find_cameras("Demo", "Demo A7S")
    (lens,) = database.find_lenses(camera, "Demo", "Test 14mm")
    assert camera.crop_factor == 1.5
    modifier = lensfunpy.Modifier(lens, camera.crop_factor, *SHAPE[::-1])
    modifier.initialize(14, 2.8, 10, pixel_format=np.float32, flags=lensfunpy.ModifyFlags.VIGNETTING)
    picture = np.ones((*SHAPE, 3), np.float32)
    assert modifier.apply_color_modification(picture)
    x, y = coordinates(*SHAPE)
    (row,) = [
        row for row in table(modelled.path("first/models.tsv")) if row["channel"] == "GREEN" and "pa" in row["model"]
    ]
    found = [1, *(float(part.split("=")[1]) for part in row["coefficients"].split())]
    np.testing.assert_allclose(picture[..., 1], 1 / polynomial.polyval(x * x + y * y, found), rtol=0.002)
    np.testing.assert_allclose(picture[..., 1] * polynomial.polyval(x * x + y * y, EVEN), 1, rtol=0.005)


def test_lensfun_without_metadata_says_so():
    radial = RadialModel({"k1": 0.0, "k2": 0.0, "k3": 0.0}, 0.01, "")
    options = {"crop_factor": 1, "distance_m": 1000}
    text = describe_vignetting([FrameRecord("F.dng")], radial, (9, 9), options)
    assert "do not record: camera, lens, focal length, aperture" in text
    lensfunpy.Database(xml=text, load_common=False, load_bundled=False)
    odd = FrameRecord("F.dng", camera="<A&B>", lens='"--> x', focal_length_mm=14, aperture=2.8)
    text = describe_vignetting([odd], radial, (9, 9), options)
    (camera,) = lensfunpy.Database(xml=text, load_common=False, load_bundled=False).cameras
    assert camera.model == "<A&B>"
    assert "standard error 0.01 %" in text
    text = describe_vignetting([odd], RadialModel(None, 3.0, "no model describes this flat"), (9, 9), options)
    assert "no entry, as no model describes this flat" in text and "<lens>" not in text


def test_raw_powers_are_ill_conditioned():
    """The notebook's normal equations (1, x, y ... x^3 y^3 of pixel numbers), as docs/science.md says; and ours."""
    x, y = np.arange(0, 4256, 32.0), np.arange(0, 2848, 32.0)
    powers = np.array([np.multiply.outer(y**j, x**i).ravel() for i in range(4) for j in range(4)]).T
    assert np.linalg.cond(powers.T @ powers) > 1e15
    legendre = np.array(
        [
            np.multiply.outer(
                np.polynomial.Legendre.basis(j)(y / 1424 - 1), np.polynomial.Legendre.basis(i)(x / 2128 - 1)
            )
            for i in range(4)
            for j in range(4)
        ]
    ).reshape(16, -1)
    assert np.linalg.cond(legendre @ legendre.T) < 100

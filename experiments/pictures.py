"""Pictures of README and documentation, from the bundled model and smollm2-135m: `python -m experiments.pictures`, or `make pictures`.

They go into docs/pictures. Needs Chromium and the extra [images]. Runs go into build/pictures, and go on there when the command is given
again.
"""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import urlencode

import typer

from mechdyn.cli import run_script
from mechdyn.errors import InputError

_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SHOWN = {"condition": "clean", "step": 6, "head": "L1H5", "show": "ever"}
_WIDTH, _HEIGHT = 1040, 860
_MOST_BYTES = 150_000


def pictures(
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("docs/pictures"),
    work: Annotated[Path, typer.Option(help="Folder of the runs that they show.")] = Path("build/pictures"),
) -> None:
    """The timeline and the heads of one step of the README's sample; the explorer of one, clean beside dynamic ablation; a run's viewer."""
    from mechdyn.runs.ablate import ablate
    from mechdyn.runs.configs import AblateConfig, ExploreConfig
    from mechdyn.runs.explore import explore
    from mechdyn.views import explorer

    run = work / "ablate"
    conditions = ("clean", "dynamic", "random-average")
    ablate(AblateConfig(lengths=(512,), depths=(0.5,), runs=2, conditions=conditions), run)
    explored = explore(ExploreConfig(run=str(run)))
    page = explorer(explored.traces, title=explored.title).save(work / "explorer.html")
    out.mkdir(parents=True, exist_ok=True)
    shown = screenshot(page, out / "explorer.png", urlencode(_SHOWN)), screenshot_of_viewer(run, work, out / "viewer.png")
    for picture in (*shown, *figures(out)):
        print(f"picture {picture}, {picture.stat().st_size:,} bytes")


def screenshot_of_viewer(run: Path, work: Path, picture: Path) -> Path:
    """The viewer's list with the first sample that an ablation breaks."""
    from mechdyn.reports.viewer import make_viewer
    from mechdyn.runs.viewing import view

    viewed = view(run)
    broken = max(viewed.samples, key=lambda sample: sample.interest)
    condition = next((name for name in broken.units if not broken.correct[name]), next(iter(broken.units)))
    page = make_viewer(viewed, work / "view").page
    return screenshot(page, picture, urlencode({"condition": condition, "sample": broken.key}))


def figures(out: Path) -> list[Path]:
    """The figures of the README's first lines, as SVG: of `smollm2-135m`, which `mechdyn models get smollm2-135m` fetches."""
    import mechdyn as md

    model = md.load_model("smollm2-135m")
    trace = md.trace(model, md.niah(model, length=512, depth=0.5, seed=0))
    drawn = {"timeline.svg": md.views.timeline(trace), "layer_head.svg": md.views.layer_head(trace, step=16)}
    for name, figure in drawn.items():
        figure.write_image(out / name, width=860)
    return [out / name for name in drawn]


def screenshot(page: Path, picture: Path, fragment: str = "", *, width: int = _WIDTH, height: int = _HEIGHT) -> Path:
    """The top of a page as a PNG.

    Raises:
        InputError: no browser, or a picture too large for the repository.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise InputError(f"a picture of a page needs one of {', '.join(_BROWSERS)}; install chromium")
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--virtual-time-budget=4000",
            _OFFLINE,
        ]
        target = [f"--user-data-dir={profile}", f"--window-size={width},{height}", f"--screenshot={picture.resolve()}"]
        address = f"{page.resolve().as_uri()}#{fragment}"
        subprocess.run([browser, *flags, *target, address], check=True, capture_output=True, timeout=120)
    if picture.stat().st_size > _MOST_BYTES:
        raise InputError(f"{picture} has {picture.stat().st_size:,} bytes, pictures may have {_MOST_BYTES:,}; make it smaller")
    return picture


if __name__ == "__main__":
    run_script(pictures)

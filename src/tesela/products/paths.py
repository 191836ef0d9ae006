"""Every file and folder name of a site, as functions that say a path and never create it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

PICTURE_PX: Final = 640
"""Longest side of the small picture beside an image, pixels."""
RAW_PICTURE_PX: Final = 320
"""The same of a raw frame."""


def survey_file(site: Path) -> Path:
    """The settings of the installation."""
    return site / "survey.toml"


def site_file(site: Path) -> Path:
    """What holds at this installation alone."""
    return site / "site.toml"


def log_folder(site: Path) -> Path:
    """Logs for machines, one file a day."""
    return site / "logs"


def cameras_folder(site: Path) -> Path:
    """Cameras of this site's own, one TOML each."""
    return site / "cameras"


def ledger_file(site: Path) -> Path:
    """The administrative database."""
    return site / "ledger.sqlite"


def lock_file(site: Path) -> Path:
    """Held by the one controller of a site with SQLite."""
    return site / "controller.lock"


def work_folder(site: Path) -> Path:
    """Temporary files of running attempts; swept at start."""
    return site / "work"


QUICK_WORK: Final = "quicklook"
"""Folder within that of the attempts, which belongs to the quick look alone."""


ENGINE_WORK: Final = "engine"
"""Folder within that of the attempts, which belongs to engines."""

RESTORE_WORK: Final = "restore"
"""Folder within that of the attempts for versions that are made again."""

NOT_ATTEMPTS: Final = (QUICK_WORK, ENGINE_WORK, RESTORE_WORK)
"""Folders beside those of the attempts; who works there sweeps there."""


def engine_folder(site: Path) -> Path:
    """Logs of batch jobs, and what pilots need to be let in."""
    return work_folder(site) / ENGINE_WORK


def quick_work_folder(site: Path) -> Path:
    """Temporary files of the quick look, a folder for each frame that is looked at."""
    return work_folder(site) / QUICK_WORK


def quicklook_lock(site: Path) -> Path:
    """Held by the one quick look of a site."""
    return site / "quicklook.lock"


def raw(night: str, filename: str) -> Path:
    """A raw frame, relative to the site."""
    return Path("raw") / night / filename


def raw_picture(night: str, frame: str) -> Path:
    """The small picture of a raw frame, relative to the site: not beside it, for it may stay
    where it came from."""
    return Path("products") / "raw" / night / f"{frame}.jpg"


def refcat(name: str, version: int) -> Path:
    """A reference catalogue, relative to the site."""
    return Path("products") / "refcat" / f"{name}.v{version}.parquet"


def master(key: str, version: int) -> Path:
    """A master, relative to the site; keys are `KIND.telescope.camera...night`."""
    kind = key.split(".", 1)[0].lower()
    return Path("products") / "master" / kind / f"{key}.v{version}.fits"


def master_page(key: str, version: int, name: str) -> Path:
    """A plot or table about a master, relative to the site."""
    image = master(key, version)
    return image.with_name(f"{image.stem}.pages") / name


def detrended(frame: str, night: str, version: int) -> Path:
    """A detrended image, relative to the site."""
    return Path("products") / "detrended" / night / f"{frame}.v{version}.fits"


def reduced(frame: str, night: str, version: int) -> Path:
    """A reduced image, relative to the site."""
    return Path("products") / "reduced" / night / f"{frame}.v{version}.fits"


def quicklook(frame: str, night: str, version: int) -> Path:
    """The star list of a quick look, relative to the site; its pictures are beside it."""
    return Path("products") / "quicklook" / night / f"{frame}.v{version}.parquet"


def coadd(tile: str, band: str, version: int) -> Path:
    """A coadd, relative to the site."""
    return Path("products") / "coadd" / tile / f"{tile}.{band}.v{version}.fits"


def catalogue(tile: str, band: str, version: int) -> Path:
    """A single catalogue, relative to the site."""
    return Path("products") / "catalogue" / tile / f"{tile}.{band}.v{version}.parquet"


def dual(tile: str, version: int) -> Path:
    """A dual catalogue, relative to the site."""
    return Path("products") / "dual" / tile / f"{tile}.v{version}.parquet"


def zeropoints(tile: str, version: int) -> Path:
    """The photometric solution of a tile, relative to the site."""
    return Path("products") / "zeropoints" / tile / f"{tile}.v{version}.parquet"


def valueadded(tile: str, version: int) -> Path:
    """Photometric redshifts and classes of a tile, relative to the site."""
    return Path("products") / "valueadded" / tile / f"{tile}.v{version}.parquet"


def science(tile: str, version: int, table: str) -> Path:
    """A table of a tile in the working science database, relative to the site."""
    return Path("products") / "science" / tile / f"{tile}.v{version}.{table}.parquet"


def picture(image: Path) -> Path:
    """The small picture beside an image."""
    return image.with_suffix(".jpg")


def preview(image: Path) -> Path:
    """The image and its mask at several scales, beside it."""
    return image.with_suffix(".preview.fz")


def validation(release: Path) -> Path:
    """What the last validation of a release found, beside its folder."""
    return release.with_name(f"{release.name}.validation.json")


def releases_folder(site: Path) -> Path:
    """All releases of a site, and the file that says which are served."""
    return site / "releases"


def settings_now_file(site: Path) -> Path:
    """What the settings of the steps came to; may be removed at any time."""
    return site / "cache" / "steps.json"


def pictures_folder(site: Path) -> Path:
    """Pictures that the portal made and keeps; may be removed at any time."""
    return site / "cache" / "pictures"


def transfer_folder(site: Path) -> Path:
    """What is kept of shipments under way, from and to other sites."""
    return site / "transfer"


def outbox(site: Path, to: str) -> Path:
    """Shipments to another site, until their receipts are here."""
    return transfer_folder(site) / "out" / to


def send_lock(site: Path, to: str) -> Path:
    """Held by the one process that sends to a site."""
    return transfer_folder(site) / f"send-{to}.lock"


def receive_lock(site: Path) -> Path:
    """Held by the one process that takes in what other sites sent."""
    return transfer_folder(site) / "receive.lock"


def journal(site: Path, sender: str, shipment: str) -> Path:
    """What was found of each file of a shipment that came from another site."""
    return transfer_folder(site) / "in" / sender / f"{shipment}.jsonl"


def copies(sender: str) -> Path:
    """What a site with a ledger keeps for another one, relative to the site."""
    return Path("copies") / sender


def quarantine_folder(site: Path) -> Path:
    """Files that were taken out of the archive, until somebody has looked at them."""
    return site / "quarantine"

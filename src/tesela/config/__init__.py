"""From TOML to frozen, validated settings.

`build` fills any frozen dataclass from a table and refuses what it does not know; the packages
own their settings classes. A site has two files: `survey.toml`, which every site of a survey
shares, and `site.toml`, which is of this installation alone.
"""

from tesela.config.site import Alerts, Cluster, LedgerPlace, Send, SiteSettings, load_site
from tesela.config.survey import (
    Calibration,
    Filter,
    Flow,
    Intervention,
    Override,
    Project,
    Reference,
    SkyFrames,
    Survey,
    load_survey,
)
from tesela.config.toml import as_table, build, fingerprint, load_toml

__all__ = [
    "Alerts",
    "Calibration",
    "Cluster",
    "Filter",
    "Flow",
    "Intervention",
    "LedgerPlace",
    "Override",
    "Project",
    "Reference",
    "Send",
    "SiteSettings",
    "SkyFrames",
    "Survey",
    "as_table",
    "build",
    "fingerprint",
    "load_site",
    "load_survey",
    "load_toml",
]

"""The Reduction Portal: what a site did with each night, frame and tile. It changes nothing."""

from tesela.web.portal.app import PortalSettings, create_app

__all__ = ["PortalSettings", "create_app"]

"""What both portals share: design, security headers, browser packages, plots drawn as SVG."""

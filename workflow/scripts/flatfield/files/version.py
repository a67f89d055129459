"""Version of this project, written into each product."""

VERSION = "0.1.0"

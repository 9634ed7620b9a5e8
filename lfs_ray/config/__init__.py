"""Configuration: sections (dataclasses), load (TOML), flags (command line), check, resume."""

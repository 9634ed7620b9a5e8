"""Sets of identification, re-identification, templates and classification, read as published."""

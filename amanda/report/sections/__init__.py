"""The sections of the report, one function a file; `amanda.report.registry` finds them."""

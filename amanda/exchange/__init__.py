"""Features made elsewhere, in and out. `docs/features-from-elsewhere.md`."""

from amanda.exchange.exporting import export_features
from amanda.exchange.importing import ExchangeSummary, ImportOptions, import_features

__all__ = ["ExchangeSummary", "ImportOptions", "export_features", "import_features"]

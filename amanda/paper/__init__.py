"""The figures of the paper's tables, as data; `amanda.paper_tables` reads them."""

"""The operators; Airflow imports this module at every start, so it imports none of them."""

#: The modules to import operators from, as the provider's description lists them.
MODULES = ("users", "events", "devices", "bulk", "cohorts")

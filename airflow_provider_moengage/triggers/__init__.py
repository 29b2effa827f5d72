"""The triggers; Airflow imports this module at every start, so it imports none of them."""

#: The modules with triggers, as the provider's description lists them.
MODULES = ("next_poke",)

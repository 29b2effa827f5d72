"""The decorators ``@task.moengage_…``; Airflow imports this module at every start, so it imports none of them."""

#: Decorator → the module that has it, as the provider's description lists them.
MODULES = {
    "moengage_track_users": "users",
    "moengage_unset_attributes": "users",
    "moengage_track_events": "events",
    "moengage_bulk_import": "bulk",
    "moengage_sync_cohort": "cohorts",
}

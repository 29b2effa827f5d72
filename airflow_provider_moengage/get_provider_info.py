"""The provider's description for Airflow, which imports this module at every start: no heavy imports."""

from __future__ import annotations

from typing import Any

from airflow_provider_moengage import __version__, decorators, operators, sensors, triggers

INTEGRATION = "MoEngage"
ASSET_URIS = [
    {
        "schemes": ["moengage"],
        "handler": "airflow_provider_moengage.assets.sanitize_uri",
        "factory": "airflow_provider_moengage.assets.create_asset",
        "to_openlineage_converter": "airflow_provider_moengage.assets.convert_asset_to_openlineage",
    }
]
#: The connection form's own fields, in order. Airflow 3.2 and newer read them from here, older versions from
#: the hook.
FORM_FIELDS: dict[str, dict[str, Any]] = {
    "data_center": {
        "label": "Data centre",
        "schema": {
            "type": ["string", "null"],
            "enum": ["01", "02", "03", "04", "05", "06", "101"],
            "values_display": {
                "01": "01 - US",
                "02": "02 - EU",
                "03": "03 - India",
                "04": "04 - US",
                "05": "05 - Singapore",
                "06": "06 - Indonesia",
                "101": "101 - region unpublished",
            },
            # Its own section, because the section of the extras is collapsed and this field is required.
            "section": "Data centre (required without a host)",
        },
        "description": "Required without a host. Its number is part of your dashboard's address: dashboard-01.moengage.com is 01",
    },
    "project_code": {
        "label": "Project code",
        "schema": {"type": ["string", "null"]},
        "description": "Portfolio workspaces only",
    },
    "forwarded_for": {
        "label": "X-Forwarded-For",
        "schema": {"type": ["string", "null"]},
        "description": "An IP address of the workspace's allow-list, if it has one",
    },
    "limits": {
        "label": "Rate limits",
        "schema": {"type": ["string", "null"]},
        "description": 'Units a minute, as JSON, where MoEngage raised them: {"users": 20000}',
    },
    "rate_limit_share": {
        "label": "Share of the rate limits",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1},
        "description": "The share of every rate window to use; the rest is left to other senders",
    },
    "rate_limit_conn_id": {
        "label": "Redis connection for shared rate limits",
        "schema": {"type": ["string", "null"]},
        "description": "The id of a connection of type redis: all tasks of all workers then share one rate window; "
        'needs the extra "redis" of this package',
    },
    "timeout": {
        "label": "Time-out in seconds",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
        "description": "How long to wait for a response; 30 if empty",
    },
    "allow_http": {
        "label": "Allow plain http",
        "schema": {"type": ["boolean", "null"], "default": False},
        "description": "For a host that is not this machine; the key is then readable on the network",
    },
}
FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {
        "login": "Workspace ID (required)",
        "password": "Data API key (required)",
        "host": "Host (sandbox or proxy only)",
        "port": "Port (443 for MoEngage itself)",
    },
    "placeholders": {
        "login": "the Workspace ID, formerly App ID",
        "password": "the key of the Data tile",
        "host": "empty for MoEngage itself; http://127.0.0.1 for the sandbox",
        "port": "443: the Test button of Airflow 3.3 needs one",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the description of this provider, as ``airflow/provider_info.schema.json`` specifies."""
    return {
        "package-name": "airflow-provider-moengage",
        "name": "MoEngage",
        "description": "Users, events and devices between your warehouse and `MoEngage <https://www.moengage.com/>`__.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://developers.moengage.com/",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {
                "integration-name": INTEGRATION,
                "python-modules": ["airflow_provider_moengage.hooks.moengage"],
            }
        ],
        "operators": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [f"{operators.__name__}.{name}" for name in operators.MODULES],
            }
        ],
        "sensors": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [f"{sensors.__name__}.{name}" for name in sensors.MODULES],
            }
        ],
        "triggers": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [f"{triggers.__name__}.{name}" for name in triggers.MODULES],
            }
        ],
        "extra-links": [
            "airflow_provider_moengage.links.MoEngageDashboardLink",
            "airflow_provider_moengage.links.MoEngageRejectedRowsLink",
        ],
        "asset-uris": ASSET_URIS,
        # The same for Airflow 2.
        "dataset-uris": ASSET_URIS,
        "task-decorators": [
            {"name": name, "class-name": f"{decorators.__name__}.{module}.{name}_task"}
            for name, module in decorators.MODULES.items()
        ],
        "config": {
            "moengage": {
                "description": "Defaults of the MoEngage operators.",
                "options": {
                    "staging_path": {
                        "description": "A folder that all workers reach, as an ObjectStoragePath URL. The rows of a "
                        "query are copied there before they are sent, so that a retry reads the same ones.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://lake_conn@lake/moengage/staged",
                        "default": None,
                    },
                    "snapshot_path": {
                        "description": "A folder that all workers reach, as an ObjectStoragePath URL. With changed_only=True "
                        "it keeps fingerprints of the records that MoEngage has accepted.",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://lake_conn@lake/moengage/snapshots",
                        "default": None,
                    },
                    "lineage_sql": {
                        "description": "Whether OpenLineage's events have the text of a task's query. It may hold personal data as "
                        "literals.",
                        "version_added": "0.1.0",
                        "type": "boolean",
                        "example": None,
                        "default": "False",
                    },
                    "max_line_bytes": {
                        "description": "The maximum length in bytes of a line of a file, a CSV record and an element of a JSON "
                        "array; longer ones are rejected, so that no file can fill the memory of a worker.",
                        "version_added": "0.1.0",
                        "type": "integer",
                        "example": "50000000",
                        "default": "10000000",
                    },
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "moengage",
                "hook-class-name": "airflow_provider_moengage.hooks.moengage.MoEngageHook",
                "hook-name": "MoEngage",
                "conn-fields": FORM_FIELDS,
                "ui-field-behaviour": FIELD_BEHAVIOUR,
            }
        ],
    }

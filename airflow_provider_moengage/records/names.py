"""
The attribute names and customer ids that MoEngage accepts.

Sources: Data API overview ("User attributes", "Customer ID"), Track User, and the docs' page on reserved
names.
"""

from __future__ import annotations

from functools import lru_cache

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid

#: Compared case-insensitively after trimming. Source: Data API overview.
BLOCKED_CUSTOMER_IDS = frozenset(
    {
        "unknown", "guest", "null", "0", "1", "true", "false", "user_attribute_unique_id", "", "na", "n/a", '""',
        "dummy_seller_code", "user_id", "id", "customer_id", "uid", "userid", "none", "-2", "-1", "2",
    }
)  # fmt: skip
BLOCKED_NAMES = frozenset({"id", "_id", "moe_it"})
#: MoEngage drops values under these names silently.
RESERVED_NAMES = frozenset(
    {
        "MOE_TIME_FORMAT",
        "MOE_TIME_TIMEZONE",
        "MOE_GAID",
        "MOE_ISLAT",
        "INSTALL",
        "UPDATE",
        "status",
        "user_id",
    }
)
RESERVED_PREFIX = "USER_ATTRIBUTE_"
FETCH_ONLY_NAMES = frozenset(
    {
        "t_rev", "t_trans", "moe_ip_city", "moe_ip_pin", "moe_ip_subdivision", "moe_ip_country", "moe_dtzo", "u_s_c",
        "locale_language_display", "locale_country_display", "uninstall_time", "installed", "moe_cr_from", "geo",
        "moe_w_ds", "moe_rsp_android", "moe_rsp_ios", "moe_rsp_web", "moe_rsu", "moe_ds_bts_push_hour",
        "moe_ds_bts_email_hour", "moe_ds_bts_sms_hour", "moe_ds_mpc_best_channel",
    }
)  # fmt: skip
#: Accepted when a user is created, never updated later.
CREATE_ONLY_NAMES = frozenset(
    {"publisher_name", "campaign_name", "u_l_a", "cr_t", "moe_gaid", "advertising_identifier", "moe_mweb"}
)
#: The documented names under MoEngage's own prefix; any other risks the workspace being blacklisted.
WRITABLE_SYSTEM_NAMES = frozenset(
    {
        "moe_geo_location", "moe_unsubscribe", "moe_wa_subscription", "moe_em_unsub_categories", "moe_sub_w",
        "moe_spam", "moe_hard_bounce", "moe_sms_subscription", "moe_email_optin_status", "moe_gaid", "moe_mweb",
        "moe_mobile",
    }
)  # fmt: skip
SYSTEM_PREFIX = "moe_"
#: MoEngage truncates longer names silently.
MAX_NAME_LENGTH = 200
#: MoEngage truncates longer values silently.
MAX_VALUE_LENGTH = 512


@lru_cache(maxsize=4096)
def name_fault(name: object) -> tuple[str, str] | None:
    """
    Return why an attribute of this name must not be written.

    :return: the code and the reason of the broken rule; None if the name is valid.
    """
    fault = unset_fault(name)
    if fault is not None or not isinstance(name, str):
        return fault
    if name == "customer_id":
        return (
            "blocked_attribute",
            "attribute 'customer_id' identifies the user and cannot be an attribute too",
        )
    if name in RESERVED_NAMES or name.startswith(RESERVED_PREFIX):
        return "reserved_attribute", f"attribute {name!r} is reserved by MoEngage, which drops its value"
    if name.casefold().startswith(SYSTEM_PREFIX) and name not in WRITABLE_SYSTEM_NAMES:
        return (
            "system_attribute",
            f"attribute {name!r} begins with {SYSTEM_PREFIX!r}, MoEngage's own prefix; give it another name",
        )
    return None


@lru_cache(maxsize=4096)
def unset_fault(name: object) -> tuple[str, str] | None:
    """Return why an attribute of this name must not be unset; like :func:`name_fault`."""
    if not isinstance(name, str):
        return "attribute_name", f"an attribute's name is of type {type(name).__name__}; names are strings"
    if not name.strip():
        return "blocked_attribute", "an attribute has an empty name, which MoEngage blocks"
    if len(name) > MAX_NAME_LENGTH:
        return (
            "attribute_name_length",
            f"attribute {name[:40]!r}… has a name over {MAX_NAME_LENGTH} characters, which MoEngage would cut",
        )
    if name in BLOCKED_NAMES:
        return "blocked_attribute", f"attribute {name!r} is blocked by MoEngage"
    if name in FETCH_ONLY_NAMES:
        return "fetch_only_attribute", f"attribute {name!r} can be read but not written; MoEngage drops it"
    return None


@lru_cache(maxsize=4096)
def event_name_fault(name: object) -> tuple[str, str] | None:
    """Return why an event attribute must not have this name; like :func:`name_fault`."""
    if not isinstance(name, str) or not name.strip():
        return "event_name", "an attribute of the event has an empty name"
    rule = event_name_rule(name)
    return None if rule is None else ("event_name", f"attribute {name[:40]!r} {rule}")


def event_name_rule(name: str) -> str | None:
    """Return what is wrong with the name of an event or of its attribute, as a predicate; None if it is valid."""
    if not name.strip():
        return "is empty"
    if name.casefold().startswith(SYSTEM_PREFIX):
        return f"begins with {SYSTEM_PREFIX!r}, MoEngage's own prefix; give it another name"
    if len(name) > MAX_NAME_LENGTH:
        return f"is a name over {MAX_NAME_LENGTH} characters, which MoEngage would cut"
    return None


def check_customer_id(customer_id: object, called: str = "customer_id") -> str:
    """
    Check a customer id, and return it.

    :param called: the name of the id in reasons.
    :raises MoEngageRecordInvalid: MoEngage would not process a user with this id, or would truncate it.
    """
    if customer_id is None or customer_id == "":
        raise MoEngageRecordInvalid("customer_id_missing", f"{called} is missing")
    if not isinstance(customer_id, str):
        raise MoEngageRecordInvalid(
            "customer_id_type", f"{called} is of type {type(customer_id).__name__}; it must be a string"
        )
    stripped = customer_id.strip()
    if stripped.casefold() in BLOCKED_CUSTOMER_IDS:
        raise MoEngageRecordInvalid(
            "blocked_customer_id",
            f"{called} is one of the words that MoEngage blocks, such as 'unknown' or 'null'",
        )
    if len(stripped) < 2:
        raise MoEngageRecordInvalid("customer_id_length", f"{called} has one character; it needs two or more")
    if len(customer_id) > MAX_VALUE_LENGTH:
        raise MoEngageRecordInvalid(
            "customer_id_length",
            f"{called} has over {MAX_VALUE_LENGTH} characters, which MoEngage would cut",
        )
    return customer_id

"""The documented names: attributes that MoEngage reserves, and customer ids that it ignores."""

from __future__ import annotations

#: Customer ids that MoEngage ignores; compared trimmed and case-insensitively.
BLOCKED_CUSTOMER_IDS = frozenset(
    {
        *(
            "",
            '""',
            "unknown",
            "guest",
            "null",
            "none",
            "true",
            "false",
            "na",
            "n/a",
            "0",
            "1",
            "2",
            "-1",
            "-2",
        ),
        *("id", "uid", "userid", "user_id", "customer_id", "user_attribute_unique_id", "dummy_seller_code"),
    }
)

BLOCKED = frozenset({"", "id", "_id"})

RESERVED = frozenset(
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

#: Belongs at the top level of a request.
CUSTOMER_ID = "customer_id"

FETCH_ONLY = frozenset(
    {
        *(
            "t_rev",
            "t_trans",
            "moe_ip_city",
            "moe_ip_pin",
            "moe_ip_subdivision",
            "moe_ip_country",
            "moe_dtzo",
        ),
        *("u_s_c", "locale_language_display", "locale_country_display", "uninstall_time", "installed"),
        *("moe_cr_from", "geo", "moe_w_ds", "moe_rsp_android", "moe_rsp_ios", "moe_rsp_web", "moe_rsu"),
        *("moe_ds_bts_push_hour", "moe_ds_bts_email_hour", "moe_ds_bts_sms_hour", "moe_ds_mpc_best_channel"),
    }
)

#: Neither writable nor readable.
HIDDEN = frozenset({"moe_it"})

CREATE_ONLY = frozenset(
    {"publisher_name", "campaign_name", "u_l_a", "cr_t", "moe_gaid", "advertising_identifier", "moe_mweb"}
)

SYSTEM_PREFIX = "moe_"

#: The writable names with the system prefix.
SYSTEM_WRITABLE = frozenset(
    {
        *(
            "moe_geo_location",
            "moe_unsubscribe",
            "moe_wa_subscription",
            "moe_em_unsub_categories",
            "moe_sub_w",
        ),
        *("moe_spam", "moe_hard_bounce", "moe_sms_subscription", "moe_email_optin_status", "moe_gaid"),
        *("moe_mweb", "moe_mobile"),
    }
)

#: Standard attributes, which do not count as custom attributes.
STANDARD = (
    SYSTEM_WRITABLE
    | CREATE_ONLY
    | {
        *("name", "first_name", "last_name", "email", "age", "gender", "mobile", "source", "created_time"),
        *("last_seen", "transactions", "revenue", "platforms", "push_preference"),
        *("u_n", "u_fn", "u_ln", "u_gd", "u_em", "u_mb", "uid", "u_bd"),
    }
)


def unwritable(name: str) -> str | None:
    """Return why MoEngage drops an attribute of this name; None if it accepts it."""
    if name in BLOCKED:
        return "dropped: the name is blocked"
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        return "dropped: the name is reserved"
    if name == CUSTOMER_ID:
        return "dropped: customer_id belongs at the top level"
    if name in FETCH_ONLY or name in HIDDEN:
        return "dropped: the attribute cannot be written"
    if name.startswith(SYSTEM_PREFIX) and name not in SYSTEM_WRITABLE:
        return "dropped: the name has the system prefix moe_"
    return None

"""Raw logs to canonical events: one function per format, each a lazy stream for `cjm.ingest`."""

from cjm_analytics.loaders.access_log import access_log
from cjm_analytics.loaders.adobe import adobe_analytics
from cjm_analytics.loaders.delighted import delighted
from cjm_analytics.loaders.describe import describe
from cjm_analytics.loaders.ga4 import ga4
from cjm_analytics.loaders.hubspot import hubspot
from cjm_analytics.loaders.intercom import intercom
from cjm_analytics.loaders.matomo import matomo
from cjm_analytics.loaders.ocel import ocel
from cjm_analytics.loaders.product_analytics import amplitude, mixpanel, posthog
from cjm_analytics.loaders.qualtrics import qualtrics
from cjm_analytics.loaders.salesforce import salesforce
from cjm_analytics.loaders.segment import rudderstack, segment
from cjm_analytics.loaders.shopify import shopify
from cjm_analytics.loaders.snowplow import snowplow
from cjm_analytics.loaders.sql import sql
from cjm_analytics.loaders.stripe import stripe
from cjm_analytics.loaders.surveymonkey import surveymonkey
from cjm_analytics.loaders.table import table
from cjm_analytics.loaders.typeform import typeform
from cjm_analytics.loaders.xes import xes
from cjm_analytics.loaders.zendesk import zendesk

__all__ = [
    "access_log",
    "adobe_analytics",
    "amplitude",
    "delighted",
    "describe",
    "ga4",
    "hubspot",
    "intercom",
    "matomo",
    "mixpanel",
    "ocel",
    "posthog",
    "qualtrics",
    "rudderstack",
    "salesforce",
    "segment",
    "shopify",
    "snowplow",
    "sql",
    "stripe",
    "surveymonkey",
    "table",
    "typeform",
    "xes",
    "zendesk",
]


def __getattr__(name: str) -> object:
    from cjm_analytics.errors import hint

    raise AttributeError(f"cjm_analytics.loaders has no {name!r}.{hint(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)

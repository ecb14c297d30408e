"""The standard model and the samples' make sense of what common systems write."""

from __future__ import annotations

import warnings

import pytest

from cjm_analytics.durations import DAY
from cjm_analytics.model import JourneyModel


def test_the_standard_model_has_three_phases_and_nine_stages():
    model = JourneyModel.standard()
    assert {phase.id: phase.stages for phase in model.phases} == {
        "before": ("awareness", "information_search", "consideration"),
        "during": ("customer_service", "next_steps", "finalising"),
        "after": ("after_sales", "use", "survey"),
    }
    assert [phase.horizon for phase in model.phases] == [30 * DAY, 3 * DAY, 90 * DAY]
    assert model.warnings.empty
    assert (model.journeys.inactivity, model.journeys.new_cycle.min_gap) == (90 * DAY, 14 * DAY)


def test_the_models_that_come_along_read_without_warnings(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        standard = JourneyModel.standard()
        sample = JourneyModel.read(root / "data" / "samples" / "journey.toml")
    assert sample.stages == standard.stages
    funnel = {"product_view", "add_to_cart", "checkout", "purchase"}
    for model in (standard, sample):
        assert funnel <= {one.id for one in model.touchpoints}


def test_names_of_touchpoints_are_the_same_in_both_models(root):
    standard = {one.id for one in JourneyModel.standard().touchpoints}
    sample = {one.id for one in JourneyModel.read(root / "data" / "samples" / "journey.toml").touchpoints}
    assert sample <= standard


PAGE = {"event": "page_view", "source_kind": "clickstream"}


@pytest.mark.parametrize(
    ("event", "touchpoint"),
    [
        # Segment, e-commerce names
        ("Product Viewed", "product_view"),
        ("Product Clicked", "product_view"),
        ("Product List Viewed", "product_list"),
        ("Products Searched", "search"),
        ("Product Added", "add_to_cart"),
        ("Product Removed", "remove_from_cart"),
        ("Cart Viewed", "cart_view"),
        ("Checkout Started", "checkout"),
        ("Checkout Step Viewed", "checkout"),
        ("Checkout Step Completed", "checkout"),
        ("Payment Info Entered", "checkout"),
        ("Order Completed", "purchase"),
        ("Order Updated", "delivery"),
        ("Order Refunded", "order_return"),
        ("Order Cancelled", "order_return"),
        ("Coupon Applied", "checkout"),
        ("Promotion Clicked", "ad_click"),
        ("Product Shared", "wishlist"),
        ("Product Added to Wishlist", "wishlist"),
        ("Wishlist Product Added to Cart", "add_to_cart"),
        ("Product Reviewed", "review"),
        ("Email Link Clicked", "newsletter"),
        ("Email Opened", "email_open"),
        ("Live Chat Message Sent", "support_contact"),
        ("Live Chat Conversation Started", "support_contact"),
        ("Signed Up", "sign_up"),
        ("Signed In", "login"),
        # GA4
        ("view_item", "product_view"),
        ("view_item_list", "product_list"),
        ("select_item", "product_view"),
        ("view_search_results", "search"),
        ("search", "search"),
        ("add_to_cart", "add_to_cart"),
        ("remove_from_cart", "remove_from_cart"),
        ("view_cart", "cart_view"),
        ("begin_checkout", "checkout"),
        ("add_shipping_info", "checkout"),
        ("add_payment_info", "checkout"),
        ("purchase", "purchase"),
        ("refund", "order_return"),
        ("add_to_wishlist", "wishlist"),
        ("generate_lead", "enquiry"),
        ("login", "login"),
        ("sign_up", "sign_up"),
        ("select_promotion", "ad_click"),
        ("file_download", "enquiry"),
        # shop and payment systems
        ("order_placed", "purchase"),
        ("order_paid", "purchase"),
        ("order_cancelled", "order_return"),
        ("refund_created", "order_return"),
        ("fulfillment_created", "delivery"),
        ("abandoned_checkout", "checkout"),
        ("checkout.session.completed", "purchase"),
        ("charge.refunded", "order_return"),
        ("payment_intent.payment_failed", "payment_failed"),
        ("Payment Failed", "payment_failed"),
        # CRM and support
        ("ticket_created", "support_contact"),
        ("ticket_reopened", "support_contact"),
        ("conversation_started", "support_contact"),
        ("lead_created", "enquiry"),
        ("meeting", "sales_contact"),
        ("opportunity_won", "purchase"),
        ("campaign_responded", "ad_click"),
        ("form_submission", "enquiry"),
        # surveys, ads, product use
        ("survey sent", "survey_answer"),
        ("nps_response", "survey_answer"),
        ("Ad Clicked", "ad_click"),
        ("Setup Completed", "setup"),
        ("Feature Used", "product_use"),
        ("shipping_details", "checkout"),
        ("product_view", "product_view"),
        ("cart_view", "cart_view"),
        ("checkout", "checkout"),
        ({"event": "survey", "instrument": "nps"}, "survey_answer"),
        ({"event": "anything", "source_kind": "survey"}, "survey_answer"),
        ({"event": "anything", "source_kind": "support"}, "support_contact"),
        # pages
        ({**PAGE, "path": "/"}, "home_page"),
        ({**PAGE, "path": "/?utm_source=x"}, "home_page"),
        ({**PAGE, "path": "/blog/how-to-choose-a-lamp"}, "blog"),
        ({**PAGE, "path": "/search?q=lamp"}, "search"),
        ({**PAGE, "path": "/de/product/lamp-1"}, "product_view"),
        ({**PAGE, "path": "/cart"}, "cart_view"),
        ({**PAGE, "path": "/checkout"}, "checkout_page"),
        ({**PAGE, "path": "/checkout/success"}, "order_confirmation"),
        ({**PAGE, "path": "/account/setup-guide"}, "setup"),
        ({**PAGE, "path": "/account/orders"}, "product_use"),
        ({**PAGE, "path": "/help/returns"}, "self_help"),
        ({**PAGE, "path": "/category/lamps"}, "product_list"),
        ({"event": "$pageview", "path": "/product/lamp-1"}, "product_view"),
        ({"event": "Viewed Home Page", "path": "/"}, "home_page"),
        ({**PAGE, "path": "/imprint"}, None),
        # what happens on a page is not a visit of the page
        ({"event": "Zoomed", "path": "/product/lamp-1"}, None),
        # no contacts
        ("page_ping", None),
        ("session_start", None),
        ("user_engagement", None),
        ("$autocapture", None),
        ({"event": "Order Completed", "is_bot": True}, None),
        ({"event": "ticket_created", "actor": "system"}, None),
    ],
)
def test_the_standard_model_knows_common_names(standard, event, touchpoint):
    found = standard.explain({"event": event} if isinstance(event, str) else event)
    assert found.touchpoint == touchpoint, str(found)


@pytest.fixture(scope="module")
def standard():
    return JourneyModel.standard()

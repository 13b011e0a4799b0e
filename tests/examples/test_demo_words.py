"""What the demo prints of the webhook that came."""

import pytest

from ordertrace_rules.cli.demo import _told_by_webhook
from ordertrace_shop.receiver import Delivery


@pytest.mark.parametrize(("now", "growing"), [("Paid: 3 orders", False), ("Paid: 9 orders", True)])
def test_a_webhook_that_told_of_fewer_orders_than_the_guide_says_why(now: str, growing: bool) -> None:
    body = {"data": {"title": {"en": "Paid: 3 orders", "zh": "已付款：3 个订单"}}}
    said = _told_by_webhook(Delivery("msg_1", True, body), now, "en")
    assert said.startswith("“Paid: 3 orders”") and "msg_1" in said
    assert ("the incident was still growing when it was sent" in said) == growing

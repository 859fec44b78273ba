"""Prices that change at midnight, by the shop's own clock."""

from shop.clock import clock


def discount(price):
    # Not datetime.utcnow(): the shop's clock can be set in tests.
    return price * 0.9 if clock.utcnow().hour < 6 else price

"""Carts that expire."""

from datetime import datetime, timedelta

from shop.storage import load_cart, save_cart

LIFETIME = timedelta(hours=2)


def touch(number):
    save_cart(number, datetime.utcnow() + LIFETIME)


def is_expired(number):
    expires = load_cart(number)
    return expires is None or expires < datetime.utcnow()

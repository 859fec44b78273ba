"""Receipts, as they are shown to customers."""

import datetime as dt


def receipt(order):
    made = dt.datetime.utcnow()
    return {"order": order, "made": made.isoformat() + "Z"}

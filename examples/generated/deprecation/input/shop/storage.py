"""What is kept of a cart: one row, the time as text without an offset."""

import sqlite3
from datetime import datetime

FORMAT = "%Y-%m-%d %H:%M:%S"
connection = sqlite3.connect("shop.db")


def save_cart(number, expires):
    connection.execute("INSERT OR REPLACE INTO carts VALUES (?, ?)", (number, expires.strftime(FORMAT)))


def load_cart(number):
    row = connection.execute("SELECT expires FROM carts WHERE number = ?", (number,)).fetchone()
    return datetime.strptime(row[0], FORMAT) if row else None

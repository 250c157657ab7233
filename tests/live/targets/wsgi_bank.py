"""A WSGI application that takes long for each answer: it asks a bank."""

import time


def application(environ, start_response):
    ask_the_bank()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def ask_the_bank():
    time.sleep(0.3)

"""A Twisted web server that now and then blocks its reactor: argv blocks|healthy. Prints its port."""

import json
import sys
import time

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site


class Page(Resource):
    isLeaf = True  # noqa: N815

    def render_GET(self, request):  # noqa: N802
        if sys.argv[1] == "blocks":
            fetch_price()
        return b"ok"


def fetch_price():
    time.sleep(0.3)


port = reactor.listenTCP(0, Site(Page()), interface="127.0.0.1")
print(json.dumps({"port": port.getHost().port}), flush=True)
reactor.run()

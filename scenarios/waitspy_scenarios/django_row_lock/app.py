"""The Django project, in one file: ``uvicorn waitspy_scenarios.django_row_lock.app:application``.

``ACCOUNTS_PORT`` is PostgreSQL's port; with ``ACCOUNTS_IN_REQUEST`` set, visits are counted inside
of Django's request instead of in front of it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

_IN_REQUEST = "ACCOUNTS_IN_REQUEST" in os.environ

App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ["ACCOUNTS_PORT"],
            "USER": "postgres",
            "NAME": "postgres",
        }
    },
    MIDDLEWARE=[f"{__name__}.counted_visits"] if _IN_REQUEST else [],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a demonstration",  # noqa: S106
)
django.setup(set_prefix=False)

from django.db import models  # noqa: E402  (models need the settings)


class Account(models.Model):  # type: ignore[misc]
    """A customer; every request of theirs counts as a visit."""

    name = models.TextField()
    visits = models.IntegerField(default=0)

    class Meta:
        """Where Django files it: there is no installed application."""

        app_label = "accounts"
        db_table = "account"

    def __str__(self) -> str:
        return str(self.name)


def count_visit(account: int) -> None:
    """One UPDATE, which waits while another session has the account's row locked."""
    Account.objects.filter(pk=account).update(visits=models.F("visits") + 1)


def account_page(_request: HttpRequest, account: int) -> JsonResponse:
    """An ordinary synchronous view; it takes no lock."""
    found = Account.objects.get(pk=account)
    return JsonResponse({"name": found.name, "visits": found.visits})


urlpatterns = [path("accounts/<int:account>", account_page)]


def counted_visits(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Django's middleware: runs in the thread that Django gives to this one request."""

    def middleware(request: HttpRequest) -> HttpResponse:
        count_visit(_account_of(request.path))
        return get_response(request)

    return middleware


class CountedVisits:
    """ASGI middleware in front of Django: runs in the one thread that the whole process shares."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Counts, then lets Django answer."""
        if scope["type"] == "http":
            await sync_to_async(count_visit)(_account_of(scope["path"]))
        await self._app(scope, receive, send)


def _account_of(path_of_page: str) -> int:
    return int(path_of_page.rpartition("/")[2])


application: App = ASGIHandler() if _IN_REQUEST else CountedVisits(ASGIHandler())

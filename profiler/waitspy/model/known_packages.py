"""Packages by the name of their folder: those that call the program's code, and well-known others.

The second list decides only where nothing else does: in programs that were packed without the notes
that an installer makes of its packages.
"""

from __future__ import annotations

import sys

FRAMEWORKS = frozenset({
    "_pytest", "aiohttp", "aiomisc", "amqp", "anyio", "asgiref", "billiard", "blacksheep",
    "celery", "click", "curio", "daphne", "django", "dramatiq", "eventlet", "falcon", "fastapi",
    "flask", "gevent", "granian", "greenlet", "grpc", "gunicorn", "huey", "hypercorn", "kombu",
    "litestar", "nest_asyncio", "nest_asyncio.py", "prometheus_client", "quart", "rq", "sanic",
    "sentry_sdk", "sniffio", "starlette", "tornado", "trio", "twisted", "typer", "uvicorn",
    "uvloop", "waitress", "werkzeug", "wrapt",
})  # fmt: skip
"""Packages that call the program's code, by the name of their folder."""

LIBRARIES = frozenset({
    "aiobotocore", "aiocache", "aiofiles", "aiokafka", "aiomysql", "aiopg", "aioredis", "alembic",
    "apscheduler", "argon2", "async_timeout", "asyncpg", "attr", "attrs", "azure", "backoff",
    "bcrypt", "beanie", "boto", "boto3", "botocore", "brotli", "bs4", "cachetools", "cassandra",
    "cattr", "cattrs", "certifi", "cffi", "chardet", "charset_normalizer", "clickhouse_driver",
    "confluent_kafka", "consul", "cryptography", "ddtrace", "decorator.py", "deprecated", "dns",
    "docker", "elastic_transport", "elasticsearch", "filelock", "fsspec", "google", "gql",
    "graphene", "graphql", "h11", "h2", "hpack", "httpcore", "httplib2", "httptools", "httpx",
    "idna", "importlib_metadata", "jinja2", "jose", "jsonschema", "jwt", "kafka", "kazoo",
    "kubernetes", "ldap3", "loguru", "lxml", "mako", "markupsafe", "marshmallow", "matplotlib",
    "minio", "mongoengine", "motor", "msgpack", "multidict", "mysql", "MySQLdb", "networkx",
    "newrelic", "numpy", "oauthlib", "openai", "opensearchpy", "opentelemetry", "orjson",
    "packaging", "pandas", "paramiko", "passlib", "peewee.py", "pika", "PIL", "pip",
    "pkg_resources", "playhouse", "playwright", "pony", "psutil", "psycopg", "psycopg2",
    "psycopg_pool", "pyarrow", "pyasn1", "pycparser", "pydantic", "pydantic_settings",
    "PyInstaller",
    "pymongo", "pymssql", "pymysql", "pynamodb", "pyodbc", "pyparsing", "pytz", "redis",
    "requests", "requests_oauthlib", "rich", "s3transfer", "scipy", "selenium", "setuptools",
    "simplejson", "six.py", "sklearn", "slack_sdk", "snowflake", "socketio", "sqlalchemy",
    "sqlmodel", "stripe", "structlog", "sympy", "tenacity", "tortoise", "tqdm", "twilio",
    "typing_extensions.py", "tzlocal", "ujson", "urllib3", "valkey", "websocket", "websockets",
    "wsproto", "xmltodict.py", "yaml", "yarl", "zeep", "zmq", "zope",
})  # fmt: skip
"""Packages that programs call."""

MAKERS = {
    "__array_function__": "numpy",
    "attrs": "attr",
    "decorator-gen": "decorator.py",
    "lambdifygenerated": "sympy",
}
"""Who makes code under such a name, where that is not the name of the package itself."""

STDLIB = sys.stdlib_module_names | {
    "_bootlocale", "aifc", "asynchat", "asyncore", "binhex", "cgi", "cgitb", "chunk", "crypt",
    "distutils", "dummy_threading", "formatter", "getpath", "imghdr", "imp", "mailcap", "nntplib",
    "parser", "pipes", "smtpd", "sndhdr", "sunau", "symbol", "telnetlib", "uu", "xdrlib",
}  # fmt: skip
"""Modules of the standard library, of any Python."""

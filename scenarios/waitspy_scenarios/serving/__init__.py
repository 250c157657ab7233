"""What the scenarios with servers share: start real servers, keep them busy, stop everything.

A scenario's ``__main__`` is a coroutine that gets a ``Stage``, starts its servers on it and lets
load flow::

    async def play(stage: Stage) -> None:
        port = free_port()
        await stage.start(
            "uvicorn", sys.executable, "-m", "uvicorn", "waitspy_scenarios.my_story.app:app",
            "--port", str(port),
            ready="Application startup complete",
        )
        path = "/awaits" if stage.options.healthy else "/blocks"
        await stage.load(Load("report", get(port, path), clients=8))

    if __name__ == "__main__":
        sys.exit(run(play, make_parser(my_story.__doc__), Needs(("uvicorn",))))

The program that runs it holds the slow upstream and the clients on one event loop that nothing
blocks, so that a profiler of the whole tree has nothing to say of them.
"""

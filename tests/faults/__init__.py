"""What can go wrong, one file a fault; each folder is what is broken.

The first paragraph of a file's docstring is the fault, the second is what must hold under it:
``docs/reliability.md`` is made of them (``make faults``).
"""

"""What the kernel says of processes: /proc, sockets, descriptors."""

"""What the service does when something breaks for real: processes, servers, disks, clocks and sources."""

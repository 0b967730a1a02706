"""The store under fire: killed processes, damaged files, disks that refuse."""

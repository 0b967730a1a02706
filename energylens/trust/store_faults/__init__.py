"""Tests of the store under faults: killed processes, damaged files, disks that refuse."""

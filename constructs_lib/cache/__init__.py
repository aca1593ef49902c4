"""The ElastiCache replication group, how its clients log in, and its alarms."""

"""The RDS instance, its engines, backups, events and alarms."""

"""The same app on one machine: real engines, a CloudFormation emulator, and what holds them together."""

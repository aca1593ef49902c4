"""The local CloudFormation emulator: ministack, with handlers of our own where it has none or only pretends."""

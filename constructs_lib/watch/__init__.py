"""What tells: log groups, alarms, and the topic that they tell."""

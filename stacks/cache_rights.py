"""What the app may do in a cache with role-based access: what it does. A test holds both lists against its code."""

KEY_PATTERNS = ("product:*", "session:*", "leaderboard:*", "flag:*", "cache_aside:barrier")
COMMANDS = ("del", "eval", "get", "info", "mget", "set", "wait")

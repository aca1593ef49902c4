"""What the app may do in a cache with role-based access: what it does. A test holds both lists against its code."""

KEY_PATTERNS = ("product:*", "session:*", "leaderboard:*", "flag:*", "login:*", "cache_aside:barrier")
COMMANDS = ("del", "eval", "get", "incr", "info", "mget", "pexpire", "pttl", "set", "wait")

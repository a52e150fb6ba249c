//! Limits and what they cost in memory, computed at start (TigerBeetle's habit: then allocate, and never again).

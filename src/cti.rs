//! What an agent's desktop asks and is told.

//! What a statement does to the session that runs it: a lexer and verdicts.

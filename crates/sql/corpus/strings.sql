select 'it''s', E'a\'b', $a$ ;$$ $b$ $a$, U&'\0061', B'01', x'1F', N'n', "a""b", U&"d!0061t" uescape '!', $1; listen a

"""SQL for single values: what `flowanalysis.sources.values` says of them, said by the database or left to it.

A value of which the database would say something else ends the statement with an error, and the careful way reads it.
"""

from __future__ import annotations

# The database trims, cuts and matches far slower than it compares, and evaluates every argument of coalesce: so the
# common case comes first, each time. '[' is the letter after 'Z', '{' the one after 'z'.
BLANK = r"\x09-\x0d\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
CAREFUL = "error('a value that only the careful way can judge')"


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def is_blank(path: str) -> str:
    """True for a text of nothing but blanks, of any alphabet."""
    return f"regexp_full_match({path}, '[{BLANK}]*')"


def _is_nested(path: str) -> str:
    """True for what may be an object or a list, which the database hands out as text."""
    return f"({path}[1] in ('[', '{{') and json_valid({path}))"


def text(path: str) -> str:
    """A text, NULL for nothing but blanks."""
    usual = f"when {path} >= 'A' and {path} < '[' then {path} when {path} >= 'a' and {path} < '{{' then {path}"
    short = f"when {path} >= '!' and {path} < '[' and strlen({path}) < 20 then {path}"
    odd = f"{_is_nested(path)} or regexp_full_match({path}, '-?[0-9]{{19,}}')"
    careful = f"case when {is_blank(path)} then null when {odd} then {CAREFUL} else {path} end"
    return f"case {usual} {short} when {path} is not null then {careful} end"


def _stripped(path: str) -> str:
    """The text without the blanks, and then the brackets, around it, in lower case; the database has its own way
    with two capitals."""
    bare = f"lower(trim(regexp_replace({path}, '^[{BLANK}]+|[{BLANK}]+$', '', 'g'), '{{}}'))"
    odd = f"{_is_nested(path)} or regexp_matches({path}, '[\\x{{130}}\\x{{3a3}}]')"
    return f"case when {is_blank(path)} then null when {odd} then {CAREFUL} else {bare} end"


def fold(path: str) -> str:
    """An id."""
    odd = f"{path} < '!' or {path} >= '{{' or {path}[-1] < '!' or {path}[-1] >= '{{'"
    odd += f" or strlen({path}) <> length({path}) or {path}[1] = '['"
    return f"nullif(case when {odd} then {_stripped(path)} else lower({path}) end, '')"


def end(path: str) -> str:
    """The last segment of a path, in a column that is folded afterwards."""
    odd = f"regexp_matches({path}, '[^!-Z\\\\^-z]') or ends_with({path}, '/')"
    # what is folded twice would lose the blanks beside a slash
    again = f"regexp_matches({path}, '/[{BLANK}{{}}]|[{BLANK}{{}}]/')"
    careful = f"split_part(rtrim({_stripped(path)}, '/'), '/', -1)"
    return (
        f"case when {odd} then case when {again} then {CAREFUL} else {careful} end else split_part({path}, '/', -1) end"
    )


def last(path: str) -> str:
    """The last segment of a path, folded."""
    return f"nullif(lower({end(path)}), '')"


def first_of(*choices: tuple[str, str], otherwise: str = "null") -> str:
    """The expression of the first path that has a value; the others are not evaluated."""
    cases = " ".join(f"when {_has_value(path)} then {value}" for path, value in choices)
    return f"case {cases} else {otherwise} end"


def _has_value(path: str) -> str:
    """True for an id or a path that is more than blanks, brackets and slashes."""
    careful = f"case when {is_blank(path)} then false when regexp_full_match({path}, '[{BLANK}{{}}/]*') then {CAREFUL}"
    return f"({path} >= '/0' and {path} < '{{' or {path} <> '' and {careful} else true end)"


# A time that the database reads like the careful way. It takes more: one digit for two, names of zones, 24:00.
TIME = (
    "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "([T ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?)?"
)


def time(path: str) -> str:
    """A time in UTC, NULL for the sentinels of never."""
    # not a plain cast: the database casts what stands beside the rows of a list too, for which it is not asked
    read = f"coalesce(try_cast({path} as timestamptz), {CAREFUL})"
    shaped = f"regexp_full_match({path}, '{TIME}') and {path} >= '0001'"
    never = f"{path} < '1901' or {path} >= '9'"
    return (
        f"case when {path} is null or {is_blank(path)} then null when not ({shaped}) then {CAREFUL} "
        f"when {read} is not null and ({never}) then null else {read} end"
    )


def is_time(path: str) -> str:
    """True for a text that `time` reads."""
    return (
        f"regexp_full_match({path}, '{TIME}') and {path} >= '1901' and {path} < '9' "
        f"and try_cast({path} as timestamptz) is not null"
    )


# Columns made of a few words take a byte a row out of the database instead of a text.
WORDS: tuple[str, ...] = ("user", "group", "service_principal", "device", "unknown", "member", "owner", "deleted")
WORDS += ("m365", "mail_security", "distribution", "security")
FEW_WORDS = f"create type few_words as enum ({', '.join(map(quoted, WORDS))})"


def word(text: str) -> str:
    """One of the few words."""
    return f"{quoted(text)}::few_words"

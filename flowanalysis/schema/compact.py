"""Text that repeats, kept once: a column of ids costs four bytes a row, and its strings are made when asked for.

Tables of millions of rows name a few hundred thousand things again and again. To every caller a `CompactText` is a
column of the type `TEXT`; inside are the distinct words and, for each row, the place of its word. What the words alone
can answer (which rows are equal, chosen, missing, mapped) costs no strings; whatever else pandas asks for sees the
plain strings, made once and kept.

pandas keeps its text in the attribute ``_pa_array``; that name is all that is taken from its inside, and
tests/test_schema_compact.py holds every operation against the plain column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.api.indexers import check_array_indexer
from pandas.arrays import ArrowStringArray as Plain

from flowanalysis.schema.declare import TEXT


def compact(values: pa.Array | pa.ChunkedArray, *, distinct: bool = False) -> Plain:
    """Text of an Arrow dictionary as a column that stays one; any other text as plain strings.

    A dictionary may have a word twice, or NA, unless whoever made it knows that all of its words are `distinct`.

    Examples
    --------
    >>> column = compact(pa.array(["a", "b", None, "a"]).dictionary_encode())
    >>> column.tolist(), (column == "a").tolist(), column.dtype == TEXT
    (['a', 'b', <NA>, 'a'], [True, False, <NA>, True], True)
    """
    if not pa.types.is_dictionary(values.type):
        return Plain(values, dtype=TEXT)
    whole = _whole(values)
    words = whole.dictionary.cast(pa.large_string())
    if not distinct and (words.null_count or len(words.unique()) < len(words)):
        return Plain(pa.DictionaryArray.from_arrays(whole.indices, words).cast(pa.large_string()), dtype=TEXT)
    return CompactText.of(words, _places(whole.indices))


def encoded(column: object) -> pa.DictionaryArray:
    """A column of text as an Arrow dictionary: the one it has, whose words may go unused, or one made now."""
    array = column.array if isinstance(column, pd.Series) else column
    if isinstance(array, CompactText):
        return pa.DictionaryArray.from_arrays(pa.array(array.places, mask=array.places < 0), array.words)
    if isinstance(array, pa.DictionaryArray):
        return array
    if not isinstance(array, pa.Array | pa.ChunkedArray):
        array = pa.array(array if isinstance(array, Plain) else pd.array(array, dtype=TEXT))
    return _whole(array.cast(pa.large_string()).dictionary_encode())


def distinct(column: object) -> pa.Array:
    """The words that rows of a column have, each once, in no order."""
    array = column.array if isinstance(column, pd.Series) else column
    return array.used().words if isinstance(array, CompactText) else encoded(array).dictionary


def worded(words: Sequence[str], which: np.ndarray) -> CompactText:
    """A column out of a few distinct words: the number of the word in each row, -1 for NA."""
    return CompactText.of(pa.array(words, pa.large_string()), np.asarray(which, dtype=np.int32))


def chosen(columns: Sequence[object], which: np.ndarray) -> Plain:
    """In each row the text of one of the columns, by its number; NA at -1.

    Examples
    --------
    >>> first, second = pd.array(["a", "b", "c"], TEXT), pd.array(["x", "y", "z"], TEXT)
    >>> chosen([first, second], np.array([1, 0, -1])).tolist()
    ['x', 'b', <NA>]
    """
    joined = pa.chunked_array([encoded(column) for column in columns]).unify_dictionaries()
    places = np.full(len(which), -1, np.int32)
    for number, chunk in enumerate(joined.chunks):
        here = which == number
        places[here] = _places(chunk.indices)[here]
    return CompactText.of(joined.chunk(0).dictionary, places)


def _whole(values: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """A dictionary in one piece."""
    if isinstance(values, pa.Array):
        return values
    if values.num_chunks == 1:
        return values.chunk(0)
    if not values.num_chunks:
        return pa.array([], values.type)
    joined = values.unify_dictionaries().combine_chunks()
    return joined if isinstance(joined, pa.Array) else joined.chunk(0)


def _places(indices: pa.Array) -> np.ndarray:
    places = indices.cast(pa.int32())
    return (places.fill_null(-1) if places.null_count else places).to_numpy()  # nothing to fill is nothing to copy


class CompactText(Plain):  # type: ignore[misc]  # pandas carries no types
    """Text as distinct words and the place of each row's word; NA is the place -1.

    Attributes
    ----------
    words : pyarrow.LargeStringArray
        Distinct, none is NA; some may go unused.
    places : numpy.ndarray
        int32, one a row. Never written to: other columns may share it.
    """

    words: pa.Array
    places: np.ndarray
    _text: pa.ChunkedArray | None

    def __new__(cls, values: object, dtype: object = TEXT) -> Plain:
        """What pandas makes of a result through this type is plain text."""
        return Plain(values, dtype=dtype)

    @classmethod
    def of(cls, words: pa.Array, places: np.ndarray, text: pa.ChunkedArray | None = None) -> CompactText:
        """A column of these words at these places."""
        made = object.__new__(cls)
        made._dtype, made._cache = TEXT, {}
        made.words, made.places, made._text = words, places, text
        return made

    @property
    def _pa_array(self) -> pa.ChunkedArray:
        if self._text is None:
            self._text = pa.chunked_array([encoded(self).cast(pa.large_string())])
        return self._text

    @_pa_array.setter
    def _pa_array(self, text: pa.ChunkedArray) -> None:
        made = encoded(text)
        self.words, self.places, self._text = made.dictionary, _places(made.indices), text

    def _from_pyarrow_array(self, values: pa.Array | pa.ChunkedArray) -> Plain:
        return Plain(values, dtype=self._dtype)

    def _each(self, answer: Callable[[Plain], Any]) -> Any:
        """The answer for every row, asked once for every word; the answer for NA comes last, at the place -1."""
        if len(self.words) > len(self):
            return answer(Plain(self._pa_array, dtype=self._dtype))
        words = pa.chunked_array([self.words, pa.nulls(1, pa.large_string())])
        return _spread(answer(Plain(words, dtype=self._dtype)), self.places)

    def used(self) -> CompactText:
        """The same rows without words that none of them has."""
        count = np.bincount(self.places + 1, minlength=len(self.words) + 1)[1:]
        if count.all():
            return self
        places = np.append(np.cumsum(count > 0) - 1, -1).astype(np.int32)  # the last one stays NA's
        return CompactText.of(self.words.filter(pa.array(count > 0)), places[self.places])

    def __len__(self) -> int:
        return len(self.places)

    def __reduce__(self) -> tuple[Any, ...]:
        used = self.used()
        return CompactText.of, (used.words, used.places)

    @property
    def nbytes(self) -> int:
        """Bytes of words and places."""
        return int(self.words.nbytes + self.places.nbytes)

    def copy(self) -> CompactText:
        """The same words and places, which are never written to."""
        return CompactText.of(self.words, self.places, self._text)

    def view(self, dtype: object = None) -> Any:
        """The same places; another type is a matter of the plain strings."""
        return self._part(self.places) if dtype is None else super().view(dtype)

    def _part(self, places: np.ndarray) -> CompactText:
        """What stays as read-only as it was."""
        made = CompactText.of(self.words, places)
        made._readonly = self._readonly
        return made

    def isna(self) -> np.ndarray:
        """True where there is no word."""
        return self.places < 0

    @property
    def _hasna(self) -> bool:
        return bool((self.places < 0).any())

    def isin(self, values: Any) -> np.ndarray:
        """Which rows have one of the values."""
        return self._each(lambda words: words.isin(values))

    def map(self, mapper: Any, na_action: Any = None) -> Any:
        """Each row's word put through a mapping or a function, which is asked once for a word."""
        used = self.used()
        if used._hasna:
            return used._each(lambda words: words.map(mapper, na_action=na_action))
        return _spread(Plain(used.words, dtype=self._dtype).map(mapper, na_action=na_action), used.places)

    def _cmp_method(self, other: Any, op: Any) -> Any:
        if isinstance(other, str) or other is pd.NA:
            return self._each(lambda words: words._cmp_method(other, op))
        return super()._cmp_method(other, op)

    def _str_contains(self, *args: Any, **options: Any) -> Any:
        return self._each(lambda words: words._str_contains(*args, **options))

    def _str_startswith(self, *args: Any, **options: Any) -> Any:
        return self._each(lambda words: words._str_startswith(*args, **options))

    def _str_lower(self) -> Plain:
        return self._each(lambda words: words._str_lower())

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, slice):
            return self._part(self.places[item])
        if pd.api.types.is_list_like(item) and not isinstance(item, tuple):
            return CompactText.of(self.words, self.places[check_array_indexer(self, item)])
        if pd.api.types.is_integer(item):
            place = self.places[item]
            return self.words[place].as_py() if place >= 0 else self._dtype.na_value
        return super().__getitem__(item)

    def take(self, indices: Sequence[int], allow_fill: bool = False, fill_value: Any = None) -> Plain:
        """Rows by number; -1 is NA with `allow_fill`, the last row without."""
        chosen = np.asarray(indices, dtype=np.intp)
        filled = chosen < 0
        odd = len(chosen) and (chosen.max() >= len(self) or (allow_fill and chosen.min() < -1) or not len(self))
        if odd or (allow_fill and not pd.isna(fill_value)):
            return super().take(indices, allow_fill=allow_fill, fill_value=fill_value)
        places = self.places[chosen]
        if allow_fill and filled.any():
            places[filled] = -1
        return CompactText.of(self.words, places)

    def factorize(self, use_na_sentinel: bool = True) -> tuple[np.ndarray, Plain]:
        """Codes by first appearance, and the words in that order."""
        if not use_na_sentinel and self._hasna:
            return super().factorize(use_na_sentinel=use_na_sentinel)
        places, found = pd.factorize(self.places)
        return _codes(places, found), Plain(self.words.take(pa.array(found[found >= 0])), dtype=self._dtype)

    def unique(self) -> Plain:
        """The words in the order of their first appearance."""
        found = pd.unique(self.places)
        return Plain(self.words.take(pa.array(found, mask=found < 0)), dtype=self._dtype)

    def to_numpy(self, dtype: Any = None, copy: bool = False, na_value: Any = pd.api.extensions.no_default) -> Any:
        """Strings as objects, each word made once."""
        if dtype is not None and np.dtype(dtype) != object:
            return super().to_numpy(dtype, copy=copy, na_value=na_value)
        return self._each(lambda words: words.to_numpy(object, na_value=na_value))

    def __iter__(self) -> Any:
        return iter(self.to_numpy(object, na_value=self._dtype.na_value))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, str) and not self._readonly:
            place = pc.index(self.words, pa.scalar(value, pa.large_string())).as_py()
            if place < 0:
                place = len(self.words)
                self.words = pa.concat_arrays([self.words, pa.array([value], pa.large_string())])
            places = self.places.copy()
            places[check_array_indexer(self, key)] = place
            self.places, self._text = places, None
        else:
            super().__setitem__(key, value)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Plain]) -> Plain:
        if not all(isinstance(part, CompactText) for part in to_concat):
            return super()._concat_same_type(to_concat)
        if all(part.words is to_concat[0].words for part in to_concat):
            return CompactText.of(to_concat[0].words, np.concatenate([part.places for part in to_concat]))
        told = [encoded(part.used() if len(part) < len(part.words) else part) for part in to_concat]
        whole = _whole(pa.chunked_array(told))  # words that are distinct in each part are so in all
        return CompactText.of(whole.dictionary, _places(whole.indices))


def _spread(answers: Any, places: np.ndarray) -> Any:
    """The answer at each place; text stays compact."""
    if isinstance(answers, Plain) and answers.dtype == TEXT:
        answers = compact(encoded(answers), distinct=True)
    return answers[places]


def _codes(places: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Codes by first appearance once the one of NA is -1 and those behind it move up."""
    order = np.cumsum(found >= 0) - 1
    order[found < 0] = -1
    return order.astype(np.intp)[places]

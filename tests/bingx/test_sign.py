"""The signature, against the vector of bingx.md §5."""

from urllib.parse import parse_qs

from ditad.bingx.sign import canonical, plain_query, signature, signed_query

SECRET = "a-secret-for-tests-only"


def test_the_vector_of_the_specification() -> None:
    """The documents' own vectors are wrong; this one is ours."""
    expected = "6358704e75c375f33091b7e09967123005e18965a2bf9c2be3757e74451ba397"
    text = canonical({"timestamp": "1696751141337", "symbol": "BTC-USDT", "recvWindow": "5000"})
    assert text == "recvWindow=5000&symbol=BTC-USDT&timestamp=1696751141337"
    assert expected == signature(text, SECRET)
    assert signed_query({"symbol": "BTC-USDT"}, SECRET, 1696751141337).endswith(f"&signature={expected}")


def test_values_are_encoded_in_what_is_sent_and_raw_in_what_is_signed() -> None:
    """A value with reserved characters is signed as it is and sent encoded."""
    query = signed_query({"a": "x y&z"}, SECRET, 1)
    sent = {name: values[0] for name, values in parse_qs(query).items()}
    assert sent.pop("signature") == signature(canonical(sent), SECRET)
    assert "a=x%20y%26z" in query


def test_a_question_without_a_key_is_not_signed() -> None:
    """Public questions carry their parameters only."""
    assert plain_query({"b": "2", "a": "1/2"}) == "a=1%2F2&b=2"

-- How an invitation that was not delivered waits for its next try: the relay and the recorder of mail events go by the same.

CREATE FUNCTION retry_delay(attempts integer) RETURNS interval LANGUAGE sql VOLATILE AS $$
    SELECT interval '80 seconds' * power(3, least(greatest(attempts, 1), 8) - 1) * (0.8 + 0.4 * random())
$$;
COMMENT ON FUNCTION retry_delay IS 'How long to wait after this many tries: 80 seconds, then three times as long each time, which spreads 8 tries over about a day; a fifth more or less at random, so that what failed together is not tried together.';

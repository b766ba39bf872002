-- One meaning of "open": an invitation that has not ended. One that can be accepted now is "claimable".
-- is_open(invitation), which meant the latter, is not used any more; it stays for as long as earlier code may be serving.

CREATE FUNCTION has_ended(status text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT status IN ('accepted', 'revoked', 'expired')
$$;
COMMENT ON FUNCTION has_ended IS 'Whether an invitation with this status has ended; all others are open, and an athlete has at most one (invitation_open_key).';

CREATE FUNCTION is_claimable(invitation) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT has_ended($1.status) AND $1.expires_at > now()
$$;
COMMENT ON FUNCTION is_claimable IS 'Whether an invitation can be accepted now: it is open, and not too old.';
COMMENT ON FUNCTION is_open IS 'Of an earlier version: is_claimable has taken its place.';

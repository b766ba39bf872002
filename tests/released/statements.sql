-- The statements of the last release, with the types of their parameters and the columns that they give.
-- Written when a release is made (deploy/README.md), and never by hand.

-- assign_workout
    WITH allowed AS (
        SELECT workout.id AS workout_id, business.id AS business_id
        FROM workout, business
        WHERE workout.id = $2 AND workout.user_id = $1 AND business.id = $3 AND business.user_id = $1
    ), named AS (
        SELECT DISTINCT named.id, athlete.id IS NULL AS is_stranger
        FROM allowed, unnest($4) AS named (id)
        LEFT JOIN athlete ON athlete.id = named.id AND athlete.invited_by = $3
    ), assigned AS (
        INSERT INTO workout_athlete (workout_id, athlete_id, business_id)
        SELECT allowed.workout_id, named.id, allowed.business_id
        FROM allowed, named
        WHERE NOT EXISTS (SELECT FROM named WHERE is_stranger)
        ON CONFLICT ON CONSTRAINT workout_athlete_key DO NOTHING
        RETURNING athlete_id
    )
    SELECT named.id, named.is_stranger, assigned.athlete_id IS NOT NULL AS is_new
    FROM named LEFT JOIN assigned ON assigned.athlete_id = named.id
    ORDER BY named.id
-- takes: uuid, uuid, uuid, _uuid
-- gives: id uuid, is_stranger bool, is_new bool

-- change_my_workout
    WITH changed AS (
        UPDATE workout_athlete
        SET selected     = coalesce($3, selected),
            completed_at = CASE WHEN $4 THEN coalesce(completed_at, now())
                                WHEN NOT $4 THEN NULL
                                ELSE completed_at END
        WHERE athlete_id = ANY ($1) AND workout_id = $2
        RETURNING id, workout_id, athlete_id, business_id, selected, created_at, completed_at
    )
    SELECT changed.id, changed.workout_id, workout.name, changed.athlete_id, business.id AS business_id,
           business.name AS business_name, changed.selected, changed.created_at, changed.completed_at
    FROM changed
    JOIN workout ON workout.id = changed.workout_id
    JOIN business ON business.id = changed.business_id
    ORDER BY changed.created_at DESC, changed.id DESC
-- takes: _uuid, uuid, bool, bool
-- gives: id uuid, workout_id uuid, name text, athlete_id uuid, business_id uuid, business_name text, selected bool, created_at timestamptz, completed_at timestamptz

-- claim_due
    WITH due AS (
        SELECT id FROM invitation
        WHERE status = 'queued' AND next_attempt_at <= now() AND expires_at > now()
        ORDER BY next_attempt_at
        LIMIT $1
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE invitation SET attempts = attempts + 1, next_attempt_at = now() + make_interval(secs => $2)
        FROM due
        WHERE invitation.id = due.id
        RETURNING invitation.id, invitation.athlete_id, invitation.attempts, invitation.channel, invitation.expires_at
    )
    SELECT claimed.id AS invitation_id, claimed.attempts, claimed.channel, claimed.expires_at,
           CASE claimed.channel WHEN 'sms' THEN athlete.phone ELSE athlete.email END AS recipient,
           athlete.full_name, athlete.locale, athlete.athlete_code,
           business.name AS business_name, owner.email AS owner_email
    FROM claimed
    JOIN athlete ON athlete.id = claimed.athlete_id
    JOIN business ON business.id = athlete.invited_by
    JOIN "user" AS owner ON owner.id = business.user_id
-- takes: int8, float8
-- gives: invitation_id uuid, attempts int4, channel text, expires_at timestamptz, recipient text, full_name text, locale text, athlete_code text, business_name text, owner_email text

-- code_attempts
    SELECT is_locked, retry_after FROM code_attempts($1)
-- takes: uuid
-- gives: is_locked bool, retry_after int8

-- correct_athlete
    UPDATE athlete SET email = $2, phone = $3, athlete_code = $4 WHERE id = $1
-- takes: uuid, text, text, text
-- gives: 

-- count_wrong_code
    SELECT count_wrong_code($1)
-- takes: uuid
-- gives: count_wrong_code void

-- create_workout
    INSERT INTO workout AS created (id, user_id, name)
    SELECT $5, caller.id, $6 FROM sign_in($1, $2, $3, $4) AS caller
    ON CONFLICT (id) DO UPDATE SET id = created.id
    RETURNING id, name, created_at
-- takes: uuid, text, text, text, uuid, text
-- gives: id uuid, name text, created_at timestamptz

-- end_invitation
    UPDATE invitation SET status = CASE WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
    WHERE athlete_id = $1 AND NOT has_ended(status)
-- takes: uuid
-- gives: 

-- find_by_contact
    SELECT roster.id, roster.business_id, roster.email, roster.phone, roster.full_name, roster.locale,
         roster.athlete_code, roster.linked_at, roster.created_at, roster.invitation_id,
         roster.invitation_status, roster.invitation_channel, roster.invitation_sent_at,
         roster.invitation_expires_at, roster.invitation_last_error FROM roster
    WHERE business_id = $1 AND (email = $2 OR email IS NULL AND $2 IS NULL AND phone = $3)
-- takes: uuid, text, text
-- gives: id uuid, business_id uuid, email text, phone text, full_name text, locale text, athlete_code text, linked_at timestamptz, created_at timestamptz, invitation_id uuid, invitation_status text, invitation_channel text, invitation_sent_at timestamptz, invitation_expires_at timestamptz, invitation_last_error text

-- find_by_contacts
    WITH given AS (
        SELECT * FROM unnest($3, $4, $5) AS given (id, email, phone)
    ), found AS (
        SELECT given.id AS given_id, athlete.id
        FROM given JOIN athlete ON athlete.invited_by = $2 AND athlete.email = given.email
        UNION ALL
        SELECT given.id AS given_id, athlete.id
        FROM given JOIN athlete ON athlete.invited_by = $2 AND athlete.phone = given.phone
        WHERE given.email IS NULL AND athlete.email IS NULL
    )
    SELECT found.given_id, roster.id, roster.business_id, roster.email, roster.phone, roster.full_name, roster.locale,
         roster.athlete_code, roster.linked_at, roster.created_at, roster.invitation_id,
         roster.invitation_status, roster.invitation_channel, roster.invitation_sent_at,
         roster.invitation_expires_at, roster.invitation_last_error FROM business
    LEFT JOIN (found JOIN roster ON roster.id = found.id) ON true
    WHERE business.id = $2 AND business.user_id = $1
-- takes: uuid, uuid, _uuid, _text, _text
-- gives: given_id uuid, id uuid, business_id uuid, email text, phone text, full_name text, locale text, athlete_code text, linked_at timestamptz, created_at timestamptz, invitation_id uuid, invitation_status text, invitation_channel text, invitation_sent_at timestamptz, invitation_expires_at timestamptz, invitation_last_error text

-- import_athletes
    WITH gym AS (
        SELECT id FROM business WHERE id = $2 AND user_id = $1
    ), given AS (
        SELECT *
        FROM unnest($3, $4, $5, $6, $7, $8, $9)
            AS given (id, code, email, phone, full_name, locale, channel)
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT given.id, gym.id, code, email, phone, full_name, locale
        FROM gym, given
        ORDER BY email, phone
        ON CONFLICT DO NOTHING
        RETURNING id, created_at
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT registered.id, given.channel, 0, now(), now() + make_interval(days => $10)
        FROM registered JOIN given ON given.id = registered.id
        RETURNING id, athlete_id, expires_at
    )
    SELECT registered.id, registered.created_at, invited.id AS invitation_id, invited.expires_at
    FROM gym
    LEFT JOIN registered ON true
    LEFT JOIN invited ON invited.athlete_id = registered.id
-- takes: uuid, uuid, _uuid, _text, _text, _text, _text, _text, _text, int4
-- gives: id uuid, created_at timestamptz, invitation_id uuid, expires_at timestamptz

-- invitation_history
    WITH invited AS (
        SELECT status, created_at, lag(id) OVER in_order IS NOT NULL AS is_renewal
        FROM invitation
        WHERE athlete_id = $1
        WINDOW in_order AS (ORDER BY created_at, id)
    ), renewed AS (
        SELECT created_at FROM invited
        WHERE is_renewal AND created_at > statement_timestamp() - make_interval(secs => $2)
    )
    SELECT last.status AS last_status,
           last.is_renewal AND last.created_at > statement_timestamp() - make_interval(secs => $3)
               AS is_double_click,
           (SELECT count(*) FROM renewed) AS renewals,
           (SELECT ceil(extract(epoch FROM min(created_at) - statement_timestamp()) + $2)::bigint
            FROM renewed) AS retry_after
    FROM invited AS last
    ORDER BY last.created_at DESC
    LIMIT 1
-- takes: uuid, float8, float8
-- gives: last_status text, is_double_click bool, renewals int8, retry_after int8

-- invite_again
    INSERT INTO invitation (athlete_id, channel, attempts, created_at, next_attempt_at, expires_at)
    SELECT $1, $2, 1, at, at + make_interval(secs => $4), at + make_interval(days => $3)
    FROM statement_timestamp() AS at
-- takes: uuid, text, int4, float8
-- gives: 

-- join_waitlist
    INSERT INTO waitlist (email) VALUES ($1) ON CONFLICT ON CONSTRAINT waitlist_email_key DO NOTHING
-- takes: text
-- gives: 

-- let_others_go
    UPDATE workout_athlete SET selected = false
    WHERE athlete_id = ANY ($1) AND selected AND workout_id <> $2
-- takes: _uuid, uuid
-- gives: 

-- link_athletes
    WITH claimable AS (
        SELECT athlete.id, athlete.invited_by, athlete.athlete_code IS NOT DISTINCT FROM $3 AS by_code,
               invitation.id AS invitation_id
        FROM athlete JOIN invitation ON invitation.athlete_id = athlete.id
        WHERE athlete.id = ANY ($2) AND is_claimable(invitation)
    ), chosen AS (
        SELECT DISTINCT ON (invited_by) id, invitation_id
        FROM claimable
        WHERE NOT EXISTS (
            SELECT FROM athlete AS member
            WHERE member.invited_by = claimable.invited_by AND member.user_id = $1
        )
        ORDER BY invited_by, by_code DESC
    ), linked AS (
        UPDATE athlete
        SET user_id = $1, linked_at = statement_timestamp(),
            linked_via = CASE WHEN email = $4 THEN 'email' ELSE 'code' END
        FROM chosen
        WHERE athlete.id = chosen.id
    ), accepted AS (
        UPDATE invitation SET status = 'accepted' FROM chosen WHERE invitation.id = chosen.invitation_id
    )
    SELECT claimable.by_code, chosen.id IS NOT NULL AS is_linked
    FROM claimable LEFT JOIN chosen ON chosen.id = claimable.id
-- takes: uuid, _uuid, text, text
-- gives: by_code bool, is_linked bool

-- linked_athletes
    SELECT athlete.id AS athlete_id, athlete.linked_via AS via, athlete.linked_at,
           business.id AS business_id, business.name AS business_name,
           athlete.athlete_code IS NOT DISTINCT FROM $2 AS by_code
    FROM athlete JOIN business ON business.id = athlete.invited_by
    WHERE athlete.user_id = $1
    ORDER BY athlete.linked_at, athlete.id
-- takes: uuid, text
-- gives: athlete_id uuid, via text, linked_at timestamptz, business_id uuid, business_name text, by_code bool

-- list_athletes
    SELECT athlete.*
    FROM business LEFT JOIN LATERAL (
        SELECT roster.id, roster.business_id, roster.email, roster.phone, roster.full_name, roster.locale,
         roster.athlete_code, roster.linked_at, roster.created_at, roster.invitation_id,
         roster.invitation_status, roster.invitation_channel, roster.invitation_sent_at,
         roster.invitation_expires_at, roster.invitation_last_error FROM roster
        WHERE business_id = business.id AND (created_at, id) < ($3, $4)
              AND ($6 IS NULL OR invitation_status = $6)
        ORDER BY created_at DESC, id DESC
        LIMIT $5
    ) AS athlete ON true
    WHERE business.id = $2 AND business.user_id = $1
    ORDER BY athlete.created_at DESC, athlete.id DESC
-- takes: uuid, uuid, timestamptz, uuid, int8, text
-- gives: id uuid, business_id uuid, email text, phone text, full_name text, locale text, athlete_code text, linked_at timestamptz, created_at timestamptz, invitation_id uuid, invitation_status text, invitation_channel text, invitation_sent_at timestamptz, invitation_expires_at timestamptz, invitation_last_error text

-- list_businesses
    SELECT id, name, created_at FROM business
    WHERE user_id = $1 AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4
-- takes: uuid, timestamptz, uuid, int8
-- gives: id uuid, name text, created_at timestamptz

-- list_followers
    SELECT follower.*
    FROM workout LEFT JOIN LATERAL (
        SELECT assignment.id, assignment.athlete_id, assignment.business_id, assignment.created_at, assignment.selected,
               assignment.completed_at, athlete.full_name, athlete.email, athlete.phone, athlete.linked_at
        FROM workout_athlete AS assignment JOIN athlete ON athlete.id = assignment.athlete_id
        WHERE assignment.workout_id = workout.id AND (assignment.created_at, assignment.id) < ($3, $4)
        ORDER BY assignment.created_at DESC, assignment.id DESC
        LIMIT $5
    ) AS follower ON true
    WHERE workout.id = $2 AND workout.user_id = $1
    ORDER BY follower.created_at DESC, follower.id DESC
-- takes: uuid, uuid, timestamptz, uuid, int8
-- gives: id uuid, athlete_id uuid, business_id uuid, created_at timestamptz, selected bool, completed_at timestamptz, full_name text, email text, phone text, linked_at timestamptz

-- list_my_workouts
    SELECT assignment.id, assignment.workout_id, workout.name, assignment.athlete_id, business.id AS business_id,
           business.name AS business_name, assignment.selected, assignment.created_at, assignment.completed_at
    FROM athlete
    JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
    JOIN workout ON workout.id = assignment.workout_id
    JOIN business ON business.id = assignment.business_id
    WHERE athlete.user_id = $1 AND (assignment.created_at, assignment.id) < ($2, $3)
    ORDER BY assignment.created_at DESC, assignment.id DESC
    LIMIT $4
-- takes: uuid, timestamptz, uuid, int8
-- gives: id uuid, workout_id uuid, name text, athlete_id uuid, business_id uuid, business_name text, selected bool, created_at timestamptz, completed_at timestamptz

-- list_workouts
    SELECT id, name, created_at FROM workout
    WHERE user_id = $1 AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4
-- takes: uuid, timestamptz, uuid, int8
-- gives: id uuid, name text, created_at timestamptz

-- lock_athletes
    SELECT athlete.id
    FROM athlete JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
    WHERE athlete.user_id = $1 AND assignment.workout_id = $2
    ORDER BY athlete.id
    FOR NO KEY UPDATE OF athlete, assignment
-- takes: uuid, uuid
-- gives: id uuid

-- lock_caller
    SELECT id FROM "user" WHERE id = $1 FOR NO KEY UPDATE
-- takes: uuid
-- gives: id uuid

-- lock_candidates
    SELECT id FROM athlete
    WHERE user_id IS NULL AND (athlete_code = $1 OR email = $2)
    ORDER BY id
    FOR UPDATE
-- takes: text, text
-- gives: id uuid

-- lock_to_renew
    SELECT athlete.user_id IS NOT NULL AS is_linked, athlete.email, athlete.phone, athlete.athlete_code,
           business.name AS business_name, owner.email AS owner_email
    FROM athlete
    JOIN business ON business.id = athlete.invited_by
    JOIN "user" AS owner ON owner.id = business.user_id
    WHERE athlete.id = $3 AND business.id = $2 AND business.user_id = $1
    FOR UPDATE OF athlete
-- takes: uuid, uuid, uuid
-- gives: is_linked bool, email text, phone text, athlete_code text, business_name text, owner_email text

-- lock_to_revoke
    SELECT athlete.user_id IS NOT NULL AS is_linked
    FROM athlete JOIN business ON business.id = athlete.invited_by
    WHERE athlete.id = $3 AND business.id = $2 AND business.user_id = $1
    FOR UPDATE OF athlete
-- takes: uuid, uuid, uuid
-- gives: is_linked bool

-- me
    SELECT caller.*, owned.list AS businesses, been.list AS athletes
    FROM sign_in($1, $2, $3, $4) AS caller,
    LATERAL (
        SELECT coalesce(json_agg(business), '[]') AS list
        FROM (
            SELECT id, name, created_at FROM business
            WHERE user_id = caller.id
            ORDER BY created_at DESC, id DESC LIMIT 200
        ) AS business
    ) AS owned,
    LATERAL (
        SELECT coalesce(json_agg(athlete), '[]') AS list
        FROM (
            SELECT athlete.id AS athlete_id, json_build_object('id', business.id, 'name', business.name) AS business,
                   linked_via AS via, linked_at
            FROM athlete JOIN business ON business.id = athlete.invited_by
            WHERE athlete.user_id = caller.id
            ORDER BY linked_at DESC, athlete.id DESC LIMIT 200
        ) AS athlete
    ) AS been
-- takes: uuid, text, text, text
-- gives: id uuid, email text, full_name text, avatar_url text, created_at timestamptz, businesses json, athletes json

-- open_business
    INSERT INTO business AS opened (id, user_id, name)
    SELECT $5, caller.id, $6 FROM sign_in($1, $2, $3, $4) AS caller
    ON CONFLICT (id) DO UPDATE SET id = opened.id
    RETURNING id, name, created_at
-- takes: uuid, text, text, text, uuid, text
-- gives: id uuid, name text, created_at timestamptz

-- overdue
    SELECT extract(epoch FROM now() - min(next_attempt_at))::float8 AS seconds
    FROM invitation WHERE status = 'queued' AND next_attempt_at <= now() AND expires_at > now()
-- takes: 
-- gives: seconds float8

-- read_athlete
    SELECT roster.id, roster.business_id, roster.email, roster.phone, roster.full_name, roster.locale,
         roster.athlete_code, roster.linked_at, roster.created_at, roster.invitation_id,
         roster.invitation_status, roster.invitation_channel, roster.invitation_sent_at,
         roster.invitation_expires_at, roster.invitation_last_error FROM roster WHERE id = $1
-- takes: uuid
-- gives: id uuid, business_id uuid, email text, phone text, full_name text, locale text, athlete_code text, linked_at timestamptz, created_at timestamptz, invitation_id uuid, invitation_status text, invitation_channel text, invitation_sent_at timestamptz, invitation_expires_at timestamptz, invitation_last_error text

-- read_workout
    SELECT id, name, created_at FROM workout WHERE id = $2 AND user_id = $1
-- takes: uuid, uuid
-- gives: id uuid, name text, created_at timestamptz

-- record_attempt
    UPDATE invitation
    SET status = CASE WHEN $3 = 'sent' THEN 'sent'
                      WHEN $3 = 'refused' OR $3 = 'failed' AND attempts >= $6 THEN 'failed'
                      ELSE 'queued' END,
        attempts = CASE $3 WHEN 'throttled' THEN attempts - 1 ELSE attempts END,
        next_attempt_at = now() + CASE $3 WHEN 'throttled' THEN make_interval(secs => $7)
                                          ELSE retry_delay(attempts) END,
        sent_at = CASE $3 WHEN 'sent' THEN now() END,
        provider_message_id = $4,
        last_error = $5
    WHERE id = $1 AND status = 'queued' AND attempts = $2
    RETURNING status, sent_at, last_error
-- takes: uuid, int4, text, text, text, int4, float8
-- gives: status text, sent_at timestamptz, last_error text

-- record_outcome
    WITH recorded AS (
        UPDATE invitation SET status = $2, last_error = $4
        WHERE provider_message_id = $1 AND status = ANY ($3)
        RETURNING status
    )
    SELECT (SELECT status FROM recorded LIMIT 1) AS recorded
    FROM invitation WHERE provider_message_id = $1
    LIMIT 1
-- takes: text, text, _text, text
-- gives: recorded text

-- register_athlete
    WITH gym AS (
        SELECT business.id, business.name AS business_name, owner.email AS owner_email
        FROM business JOIN "user" AS owner ON owner.id = business.user_id
        WHERE business.id = $2 AND business.user_id = $1
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT $3, gym.id, $4, $5, $6, $7, $8 FROM gym
        ON CONFLICT DO NOTHING
        RETURNING id, created_at
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT id, $9, 1, now() + make_interval(secs => $11), now() + make_interval(days => $10)
        FROM registered
        RETURNING id, expires_at
    )
    SELECT gym.business_name, gym.owner_email, registered.id, registered.created_at,
           invited.id AS invitation_id, invited.expires_at
    FROM gym LEFT JOIN registered ON true LEFT JOIN invited ON true
-- takes: uuid, uuid, uuid, text, text, text, text, text, text, int4, float8
-- gives: business_name text, owner_email text, id uuid, created_at timestamptz, invitation_id uuid, expires_at timestamptz

-- revoke_invitation
    UPDATE invitation SET status = 'revoked'
    WHERE athlete_id = $1 AND NOT has_ended(status)
    RETURNING id
-- takes: uuid
-- gives: id uuid

-- send_again
    WITH queued AS (
        UPDATE invitation
        SET status = 'queued', next_attempt_at = now() + retry_delay(attempts), provider_message_id = NULL, sent_at = NULL,
            last_error = $2
        WHERE provider_message_id = $1 AND status IN ('sent', 'delivered') AND attempts < $4 AND expires_at > now()
        RETURNING status
    ), bounced AS (
        UPDATE invitation SET status = 'bounced', last_error = $3
        WHERE provider_message_id = $1 AND status IN ('sent', 'delivered') AND (attempts >= $4 OR expires_at <= now())
        RETURNING status
    )
    SELECT (SELECT status FROM (TABLE queued UNION ALL TABLE bounced) AS changed LIMIT 1) AS recorded
    FROM invitation WHERE provider_message_id = $1
    LIMIT 1
-- takes: text, text, text, int4
-- gives: recorded text

-- sign_in
    SELECT id, email, full_name, avatar_url, created_at FROM sign_in($1, $2, $3, $4)
-- takes: uuid, text, text, text
-- gives: id uuid, email text, full_name text, avatar_url text, created_at timestamptz

-- take_waitlist_place
    UPDATE waitlist SET user_id = $1 WHERE email = $2 AND user_id IS DISTINCT FROM $1
-- takes: uuid, text
-- gives: 

-- unassign_workout
    WITH own AS (
        SELECT id FROM workout WHERE id = $2 AND user_id = $1
    ), unassigned AS (
        DELETE FROM workout_athlete USING own WHERE workout_id = own.id AND athlete_id = $3
    )
    SELECT id FROM own
-- takes: uuid, uuid, uuid
-- gives: id uuid

-- waitlisted_since
    SELECT min(created_at) AS since FROM waitlist WHERE email = $2 OR user_id = $1
-- takes: uuid, text
-- gives: since timestamptz

-- Workouts that are described, archived, and done again and again; and those that athletes write for themselves.

ALTER TABLE workout
    ADD COLUMN description text CONSTRAINT workout_description_length CHECK (length(description) BETWEEN 1 AND 10000),
    ADD COLUMN archived_at timestamptz;
COMMENT ON COLUMN workout.description IS 'What is to be done, in its author''s words, on any number of lines.';
COMMENT ON COLUMN workout.archived_at IS 'When its author put it aside: it is in no list of the author''s, and is not assigned any more.';

-- An athlete follows one workout at a time. Earlier code never selected an own one; should there be several, the newest counts.
UPDATE workout SET selected = false
WHERE selected AND EXISTS (
    SELECT FROM workout AS newer
    WHERE newer.athlete_id = workout.athlete_id AND newer.selected
      AND (newer.created_at, newer.id) > (workout.created_at, workout.id)
);
CREATE UNIQUE INDEX workout_selected_key ON workout (athlete_id) WHERE selected;
CREATE INDEX workout_of_author ON workout (user_id, created_at DESC, id DESC) WHERE athlete_id IS NULL AND archived_at IS NULL;
CREATE INDEX workout_of_athlete ON workout (user_id, created_at DESC, id DESC) WHERE athlete_id IS NOT NULL AND archived_at IS NULL;
COMMENT ON COLUMN workout.athlete_id IS 'Set where an athlete wrote it for themselves: the athlete that its author was then.';
COMMENT ON COLUMN workout.selected IS 'Whether its athlete follows this own workout now; at most one per athlete (workout_selected_key), and none while the athlete follows an assigned one: who selects locks the athlete.';

CREATE TABLE completion (
    id           uuid        NOT NULL,
    workout_id   uuid        NOT NULL REFERENCES workout,
    athlete_id   uuid        NOT NULL REFERENCES athlete,
    user_id      uuid        NOT NULL REFERENCES "user",
    completed_at timestamptz NOT NULL,
    PRIMARY KEY (id, athlete_id)
);
CREATE INDEX completion_by_workout ON completion (workout_id, athlete_id, user_id, completed_at DESC);
CREATE INDEX completion_by_person ON completion (user_id, workout_id, completed_at DESC, id DESC);
CREATE INDEX completion_by_athlete ON completion (athlete_id);
COMMENT ON TABLE completion IS 'A time that somebody has done a workout. It stays when the workout is taken from the athlete, and when the athlete leaves the gym.';
COMMENT ON COLUMN completion.id IS 'Drawn by the program. A person to whom several gyms have assigned the workout does it for all of them at once: one row for each, with the same id.';
COMMENT ON COLUMN completion.workout_id IS 'What was done.';
COMMENT ON COLUMN completion.athlete_id IS 'As which athlete: the gym sees it there.';
COMMENT ON COLUMN completion.user_id IS 'Who did it: the person that was linked to the athlete then.';
COMMENT ON COLUMN completion.completed_at IS 'When.';

INSERT INTO completion (id, workout_id, athlete_id, user_id, completed_at)
SELECT gen_random_uuid(), assignment.workout_id, athlete.id, athlete.user_id, assignment.completed_at
FROM workout_athlete AS assignment JOIN athlete ON athlete.id = assignment.athlete_id
WHERE assignment.completed_at IS NOT NULL AND athlete.user_id IS NOT NULL;

-- Earlier code knows workout_athlete.completed_at alone, and may be serving for a while yet. What it writes there becomes a
-- completion, or takes the last one back; what it reads there is the last one. Code that writes both finds nothing left to do.
CREATE FUNCTION keep_completion() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    person uuid := (SELECT user_id FROM athlete WHERE id = NEW.athlete_id);
BEGIN
    IF person IS NULL THEN
        RETURN NEW;
    END IF;
    IF NEW.completed_at IS NOT NULL THEN
        INSERT INTO completion (id, workout_id, athlete_id, user_id, completed_at)
        SELECT gen_random_uuid(), NEW.workout_id, NEW.athlete_id, person, NEW.completed_at
        WHERE NOT EXISTS (
            SELECT FROM completion
            WHERE workout_id = NEW.workout_id AND athlete_id = NEW.athlete_id AND user_id = person
              AND completed_at = NEW.completed_at
        );
    ELSIF TG_OP = 'UPDATE' THEN
        DELETE FROM completion
        WHERE workout_id = NEW.workout_id AND athlete_id = NEW.athlete_id AND user_id = person
          AND completed_at = OLD.completed_at;
    END IF;
    NEW.completed_at := (
        SELECT max(completed_at) FROM completion
        WHERE workout_id = NEW.workout_id AND athlete_id = NEW.athlete_id AND user_id = person
    );
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keep_completion IS 'Of an earlier version: makes what is written to workout_athlete.completed_at a completion.';
CREATE TRIGGER keep_completion BEFORE INSERT OR UPDATE OF completed_at ON workout_athlete
    FOR EACH ROW EXECUTE FUNCTION keep_completion();
COMMENT ON COLUMN workout_athlete.completed_at IS 'When the athlete completed it last, for earlier code: the table completion has every time.';

-- Whoever is removed follows no own workout any more either.
CREATE OR REPLACE FUNCTION remove_athlete(its_id uuid, by_whom text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    UPDATE athlete SET removed_at = statement_timestamp(), removed_by = by_whom WHERE id = its_id AND removed_at IS NULL;

    UPDATE workout_athlete SET selected = false WHERE athlete_id = its_id AND selected;
    UPDATE workout SET selected = false WHERE athlete_id = its_id AND selected;

    WITH ended AS (
        UPDATE invitation
        SET is_current = false,
            status = CASE WHEN has_ended(status) THEN status WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
        WHERE athlete_id = its_id AND is_current
        RETURNING status
    )
    SELECT count(*) FROM ended WHERE status = 'revoked';
$$;

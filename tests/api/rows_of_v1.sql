-- Rows of every table, in every column, as the first migration left them. Like it, they are never edited.

INSERT INTO "user" (id, email, full_name, avatar_url) VALUES
    ('11111111-0000-7000-8000-000000000001', 'owner@example.com', 'Olga Owner', 'https://images.example.com/olga.png'),
    ('11111111-0000-7000-8000-000000000002', NULL, 'Adam Athlete', NULL);

INSERT INTO business (id, user_id, name) VALUES
    ('22222222-0000-7000-8000-000000000001', '11111111-0000-7000-8000-000000000001', 'Old Gym');

INSERT INTO athlete (id, user_id, athlete_code, invited_by, email, phone, full_name, locale, linked_at, linked_via) VALUES
    ('33333333-0000-7000-8000-000000000001', '11111111-0000-7000-8000-000000000002', '0000000001',
     '22222222-0000-7000-8000-000000000001', 'adam@example.com', '+393331234567', 'Adam', 'it', now(), 'code'),
    ('33333333-0000-7000-8000-000000000002', NULL, '0000000002',
     '22222222-0000-7000-8000-000000000001', NULL, '+393331234568', NULL, 'en', NULL, NULL);

INSERT INTO invitation
    (id, athlete_id, channel, status, attempts, provider_message_id, last_error, sent_at, expires_at)
VALUES
    ('44444444-0000-4000-8000-000000000001', '33333333-0000-7000-8000-000000000001', 'email', 'accepted', 2,
     'message-1', 'The mailbox was full.', now(), now() + interval '30 days'),
    ('44444444-0000-4000-8000-000000000002', '33333333-0000-7000-8000-000000000002', 'sms', 'queued', 0,
     NULL, NULL, NULL, now() + interval '30 days');

INSERT INTO workout (id, name, user_id, athlete_id, selected) VALUES
    ('55555555-0000-7000-8000-000000000001', 'Legs', '11111111-0000-7000-8000-000000000001',
     '33333333-0000-7000-8000-000000000001', true);

INSERT INTO workout_athlete (workout_id, athlete_id, business_id, selected, completed_at) VALUES
    ('55555555-0000-7000-8000-000000000001', '33333333-0000-7000-8000-000000000001',
     '22222222-0000-7000-8000-000000000001', true, now());

INSERT INTO waitlist (email, user_id) VALUES
    ('waiting@example.com', '11111111-0000-7000-8000-000000000002');

INSERT INTO athlete_code_attempt (user_id, failures) VALUES
    ('11111111-0000-7000-8000-000000000002', 3);

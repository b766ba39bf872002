-- What the sample events speak of: two owners with a gym each, their athletes, workouts, and somebody on the waitlist.
--
-- The ids are fixed, and the users' are the `sub` claims of the events. The times of invitations are relative to now, so that what is
-- open stays open; the others are fixed, because answers repeat them. It may be run twice: what is there already stays as it is.

BEGIN;

-- Giulia and Bruno own a gym each; Chloe, and Bruno too, train at Giulia's. Ada, Marco and Hugo have no account here yet.
INSERT INTO "user" (id, email, full_name, avatar_url, created_at) VALUES
    ('e0409e8b-3359-4eda-88c4-fa33ccb2cda7', 'giulia@example.com', 'Giulia Ferri', NULL,                                   '2026-01-12T08:25:00Z'),
    ('f2effed9-b2fe-4705-ab0b-121393261a43', 'bruno@example.com',  'Bruno Keller', 'https://images.example.com/bruno.png', '2026-01-14T17:00:00Z'),
    ('cd7e016f-139b-4125-94ec-a959bcbbaf8b', 'chloe@example.org',  'Chloe Martin', NULL,                                   '2026-01-19T19:42:10Z')
ON CONFLICT DO NOTHING;

INSERT INTO identity (subject, user_id, created_at) SELECT id::text, id, created_at FROM "user" ON CONFLICT DO NOTHING;

INSERT INTO business (id, user_id, name, created_at) VALUES
    ('019bb153-8740-77fd-a248-f45c1fc0a7f6', 'e0409e8b-3359-4eda-88c4-fa33ccb2cda7', 'Palestra Aurora', '2026-01-12T08:30:00Z'),
    ('019bbd77-be60-76c0-a810-5402e08f07d8', 'f2effed9-b2fe-4705-ab0b-121393261a43', 'Ironworks',       '2026-01-14T17:05:00Z')
ON CONFLICT DO NOTHING;

-- Chloe and Bruno are linked, each in one way. Dev was invited too long ago, and Emil's invitation was withdrawn. Marco has only a phone,
-- and so needs his code. Ada is invited by both gyms; Farah by the other one, and her mail came back.
INSERT INTO athlete
    (id, user_id, athlete_code, invited_by, email, phone, full_name, locale, created_at, linked_at, linked_via)
VALUES
    ('019bd5b2-7100-754c-b9a5-3ae83c8e13c5', 'cd7e016f-139b-4125-94ec-a959bcbbaf8b', '8HJN846J13', '019bb153-8740-77fd-a248-f45c1fc0a7f6', 'chloe@example.org',    NULL,            'Chloe Martin', 'en', '2026-01-19T10:00:00Z', '2026-01-19T19:42:10Z', 'email'),
    ('019bdfda-8a00-76a8-b2f3-b59c581d8a1f', 'f2effed9-b2fe-4705-ab0b-121393261a43', 'VT66Y9JCKV', '019bb153-8740-77fd-a248-f45c1fc0a7f6', 'b.keller@example.net', NULL,            'Bruno Keller', 'en', '2026-01-21T09:20:00Z', '2026-01-22T06:58:31Z', 'code'),
    ('019bfa1f-1660-775c-9c7d-48d884ffd2fc', NULL,                                   '733DVHYXVS', '019bb153-8740-77fd-a248-f45c1fc0a7f6', 'dev@example.org',      NULL,            'Dev Patel',    'en', '2026-01-26T11:45:00Z', NULL,                   NULL),
    ('019c1eb0-5ac0-7728-9e16-8c095d02802a', NULL,                                   'Z7Y866N323', '019bb153-8740-77fd-a248-f45c1fc0a7f6', 'emil@example.org',     NULL,            'Emil Costa',   'it', '2026-02-02T14:10:00Z', NULL,                   NULL),
    ('019c6749-8f40-7edc-ae67-132fddea34db', NULL,                                   'CQJ5HM753V', '019bb153-8740-77fd-a248-f45c1fc0a7f6', NULL,                   '+393331234567', 'Marco Riva',   'it', '2026-02-16T16:30:00Z', NULL,                   NULL),
    ('019c8983-2800-7bbf-9b33-37855402177a', NULL,                                   'NP49NKT0CB', '019bb153-8740-77fd-a248-f45c1fc0a7f6', 'ada@example.org',      '+38640123456',  'Ada Novak',    'en', '2026-02-23T08:00:00Z', NULL,                   NULL),
    ('019c8e80-5120-74dd-8ded-aea47715ce77', NULL,                                   '0J7RWGWMMY', '019bbd77-be60-76c0-a810-5402e08f07d8', 'ada@example.org',      NULL,            NULL,           'en', '2026-02-24T07:15:00Z', NULL,                   NULL),
    ('019c94ab-9a00-7e3f-b1fa-63d4235d732e', NULL,                                   'RP95K6Q1FW', '019bbd77-be60-76c0-a810-5402e08f07d8', 'farah@example.net',    NULL,            'Farah Aziz',   'en', '2026-02-25T12:00:00Z', NULL,                   NULL)
ON CONFLICT DO NOTHING;

-- Open: Marco's (still to be sent), both of Ada's, Farah's. Expired by its time alone, whatever the status says: Dev's.
INSERT INTO invitation
    (id, athlete_id, channel, status, attempts, provider_message_id, last_error, created_at, sent_at, expires_at)
VALUES
    ('ddd9c88f-5ebc-4a18-9d84-1272d4815b52', '019bd5b2-7100-754c-b9a5-3ae83c8e13c5', 'email', 'accepted',  1, '0110019cec5c41c1-d47a7317-17dd-46c0-9dd4-52380d5a1d99-000000', NULL,                          now() - interval '29 days', now() - interval '29 days', now() + interval '1 day'),
    ('37823f28-5613-4e90-8c59-363410c26bf1', '019bdfda-8a00-76a8-b2f3-b59c581d8a1f', 'email', 'accepted',  1, '0110019cccc68482-c730c006-1326-4037-9781-8ba029df75d7-000000', NULL,                          now() - interval '28 days', now() - interval '28 days', now() + interval '2 days'),
    ('f062e199-c900-4ca2-8c36-c11eb834263c', '019bfa1f-1660-775c-9c7d-48d884ffd2fc', 'email', 'delivered', 1, '0110019cef260e9a-d8141b15-75de-47e9-8fe9-764e03def79e-000000', NULL,                          now() - interval '31 days', now() - interval '31 days', now() - interval '1 day'),
    ('8e2cc41f-874e-4d9b-870f-03b0557bd253', '019c1eb0-5ac0-7728-9e16-8c095d02802a', 'email', 'revoked',   1, '0110019c06ad80f2-2c389ec0-b166-4554-83e2-c7a36177dc85-000000', NULL,                          now() - interval '20 days', now() - interval '20 days', now() + interval '10 days'),
    ('f1caea39-0715-486b-b6db-cc356c8c3359', '019c6749-8f40-7edc-ae67-132fddea34db', 'sms',   'queued',    0, NULL,                                                           NULL,                          now() - interval '1 day',   NULL,                       now() + interval '29 days'),
    ('6217d7f0-417e-4c32-a3ce-fd10e8d0a003', '019c8983-2800-7bbf-9b33-37855402177a', 'email', 'delivered', 1, '0110019cfdee430d-57a1e674-42f9-4ceb-9b5c-6f332e0df76d-000000', NULL,                          now() - interval '7 days',  now() - interval '7 days',  now() + interval '23 days'),
    ('4655844d-d31c-4067-968d-98fd450f4309', '019c8e80-5120-74dd-8ded-aea47715ce77', 'email', 'sent',      1, '0110019c4e09b830-0420dbfd-b7a6-4f4d-ade4-b5b03ed2f7ad-000000', NULL,                          now() - interval '6 days',  now() - interval '6 days',  now() + interval '24 days'),
    ('bc8d9c7c-7949-4b15-8165-dd5bf5ca0968', '019c94ab-9a00-7e3f-b1fa-63d4235d732e', 'email', 'bounced',   1, '0110019c7f128297-1d690554-1086-4b97-b8b8-044cb746bd94-000000', 'The mailbox does not exist.', now() - interval '5 days',  now() - interval '5 days',  now() + interval '25 days')
ON CONFLICT DO NOTHING;

INSERT INTO workout (id, user_id, name, created_at) VALUES
    ('019c90ce-d500-705d-b42f-1a87e7e33207', 'e0409e8b-3359-4eda-88c4-fa33ccb2cda7', 'Legs, week 1', '2026-02-24T18:00:00Z'),
    ('019c95f5-3100-7fd7-bae8-7f6b92af98cf', 'e0409e8b-3359-4eda-88c4-fa33ccb2cda7', 'Back, week 1', '2026-02-25T18:00:00Z'),
    ('019c9b89-6a00-74e2-995a-5d81bd52d321', 'f2effed9-b2fe-4705-ab0b-121393261a43', 'Rowing, 5 km', '2026-02-26T20:00:00Z')
ON CONFLICT DO NOTHING;

-- Legs, week 1: Chloe follows it now, Bruno has done it, Marco has it before he has signed up.
INSERT INTO workout_athlete (id, workout_id, athlete_id, business_id, selected, created_at, completed_at) VALUES
    ('0eb2b18d-7cae-455c-9108-6fc00a6de536', '019c90ce-d500-705d-b42f-1a87e7e33207', '019bd5b2-7100-754c-b9a5-3ae83c8e13c5', '019bb153-8740-77fd-a248-f45c1fc0a7f6', true,  '2026-02-24T18:10:00Z', NULL),
    ('51faf6bb-4a1b-4e55-b27b-1be03af1371d', '019c90ce-d500-705d-b42f-1a87e7e33207', '019bdfda-8a00-76a8-b2f3-b59c581d8a1f', '019bb153-8740-77fd-a248-f45c1fc0a7f6', false, '2026-02-24T18:11:00Z', '2026-02-27T18:05:00Z'),
    ('2f5c2f1f-b2a2-4636-a0e2-d6040af4eb68', '019c90ce-d500-705d-b42f-1a87e7e33207', '019c6749-8f40-7edc-ae67-132fddea34db', '019bb153-8740-77fd-a248-f45c1fc0a7f6', false, '2026-02-26T07:30:00Z', NULL)
ON CONFLICT DO NOTHING;

INSERT INTO waitlist (id, email, created_at) VALUES
    ('54cfc763-a8eb-4f70-89c2-3589e44bbc3b', 'gina@example.org', '2026-02-20T21:12:00Z')
ON CONFLICT DO NOTHING;

-- For the samples of inviting again: Ivo, who was invited again five times today, and may not be a sixth time.
INSERT INTO athlete (id, athlete_code, invited_by, email, full_name, locale, created_at) VALUES
    ('019c9e78-2580-7816-91d9-3080f9b439fc', '2WJYT7P96Z', '019bbd77-be60-76c0-a810-5402e08f07d8', 'ivo@example.org', 'Ivo Marin', 'en', '2026-02-27T09:40:00Z')
ON CONFLICT DO NOTHING;

INSERT INTO invitation (id, athlete_id, channel, status, attempts, provider_message_id, created_at, sent_at, expires_at) VALUES
    ('c112b1f6-0148-43bd-b594-9ab1ec33bfa3', '019c9e78-2580-7816-91d9-3080f9b439fc', 'email', 'revoked', 1, '0110019d1d31690a-7bc25c58-78b9-4e7a-85c4-2b8ae1d6ebce-000000', now() - interval '4 days',  now() - interval '4 days',  now() + interval '26 days'),
    ('f3a74c4e-ee57-495f-bbbc-91384ac73060', '019c9e78-2580-7816-91d9-3080f9b439fc', 'email', 'revoked', 1, '0110019d6eb0ecc1-75f02487-c29d-40ef-9e5b-d2a4c8973701-000000', now() - interval '5 hours', now() - interval '5 hours', now() + interval '30 days'),
    ('1bbe009c-34b3-479e-a1e2-9208568f3218', '019c9e78-2580-7816-91d9-3080f9b439fc', 'email', 'revoked', 1, '0110019df51f7f7c-7ce10609-e9f9-4ec3-80d1-95419baf1dc3-000000', now() - interval '4 hours', now() - interval '4 hours', now() + interval '30 days'),
    ('9da13695-5202-4f9b-a699-7c899f592c2f', '019c9e78-2580-7816-91d9-3080f9b439fc', 'email', 'revoked', 1, '0110019d1639aae9-508b14f1-b7c3-4e48-a91c-5bad4d12c512-000000', now() - interval '3 hours', now() - interval '3 hours', now() + interval '30 days'),
    ('8ff78584-133e-401d-8834-ef92d89d3549', '019c9e78-2580-7816-91d9-3080f9b439fc', 'email', 'revoked', 1, '0110019d8f3b30ad-3bce1484-b0ae-49bb-b96a-149cb6340e6b-000000', now() - interval '2 hours', now() - interval '2 hours', now() + interval '30 days'),
    ('0aadcfa2-a5cf-4e5c-b703-7c27e2a0f5f3', '019c9e78-2580-7816-91d9-3080f9b439fc', 'email', 'sent',    1, '0110019d24d67e80-f984c753-1dd1-4bb4-b756-9beaa90d1144-000000', now() - interval '1 hour',  now() - interval '1 hour',  now() + interval '30 days')
ON CONFLICT DO NOTHING;

-- For the samples of an athlete's own workouts: Chloe trains at Bruno's as well, and follows one workout in each gym.
INSERT INTO athlete (id, user_id, athlete_code, invited_by, email, full_name, locale, created_at, linked_at, linked_via) VALUES
    ('019c940f-f640-7b77-8601-ca12e3b4ecd2', 'cd7e016f-139b-4125-94ec-a959bcbbaf8b', '30QXGFCKTA', '019bbd77-be60-76c0-a810-5402e08f07d8', 'chloe@example.org', 'Chloe Martin', 'en', '2026-02-25T09:10:00Z', '2026-02-25T20:31:44Z', 'email')
ON CONFLICT DO NOTHING;

INSERT INTO invitation (id, athlete_id, channel, status, attempts, provider_message_id, created_at, sent_at, expires_at) VALUES
    ('a38f7211-fb62-4664-9994-f369ee66f5ef', '019c940f-f640-7b77-8601-ca12e3b4ecd2', 'email', 'accepted', 1, '0110019c9424681e-ef046056-33cd-4766-b025-4c662478b32c-000000', now() - interval '5 days', now() - interval '5 days', now() + interval '25 days')
ON CONFLICT DO NOTHING;

INSERT INTO workout (id, user_id, name, created_at) VALUES
    ('019ca078-d780-7d65-959c-fb81e5596fdb', 'f2effed9-b2fe-4705-ab0b-121393261a43', 'Core, week 1', '2026-02-27T19:00:00Z')
ON CONFLICT DO NOTHING;

INSERT INTO workout_athlete (id, workout_id, athlete_id, business_id, selected, created_at) VALUES
    ('6321e5d0-24fd-4918-a015-e2f436185f70', '019c9b89-6a00-74e2-995a-5d81bd52d321', '019c940f-f640-7b77-8601-ca12e3b4ecd2', '019bbd77-be60-76c0-a810-5402e08f07d8', true,  '2026-02-26T20:05:00Z'),
    ('04906788-a222-4317-964b-10ee579d8aa5', '019ca078-d780-7d65-959c-fb81e5596fdb', '019c940f-f640-7b77-8601-ca12e3b4ecd2', '019bbd77-be60-76c0-a810-5402e08f07d8', false, '2026-02-27T19:10:00Z')
ON CONFLICT DO NOTHING;

-- And what she wrote for herself, at Bruno's; and one of Giulia's that is archived.
INSERT INTO workout (id, user_id, athlete_id, name, description, created_at, archived_at) VALUES
    ('019cad3c-7180-7b6e-8f0c-5a3a1f0e9d11', 'cd7e016f-139b-4125-94ec-a959bcbbaf8b', '019c940f-f640-7b77-8601-ca12e3b4ecd2', 'Morning run', '5 km, easy', '2026-02-20T06:40:00Z', NULL),
    ('019cb1a2-8f40-7c1e-9a55-2b7d1c0e4f63', 'e0409e8b-3359-4eda-88c4-fa33ccb2cda7', NULL,                                   'Arms',        NULL,         '2026-01-28T18:00:00Z', '2026-02-24T18:30:00Z')
ON CONFLICT DO NOTHING;

COMMIT;

-- A gym registers its athletes today and has their invitations sent later: until then these are held.

ALTER TABLE invitation
    DROP CONSTRAINT invitation_status,
    ADD CONSTRAINT invitation_status CHECK (status IN
        ('held', 'queued', 'sent', 'delivered', 'bounced', 'complained', 'failed', 'accepted', 'revoked', 'expired'));
COMMENT ON COLUMN invitation.status IS 'Open: held (the gym has not had it sent), queued, sent, delivered, bounced, complained, failed: the code works in each of them until expires_at. Final: accepted, revoked, expired.';
